//! The settings of one connection.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};

/// What a connection says about its registry: the fields of its JSON, nested ones joined by a dot (`extra.region`).
///
/// Every value is kept as a secret, since only the driver's description says which ones are; `Debug` shows names.
/// An empty value counts as absent: unset variables arrive as empty strings.
///
/// ```
/// use regent_plugin_api::Settings;
/// use regent_plugin_api::secrecy::SecretString;
///
/// let values = [("registryBase", " registry.example.com "), ("username", ""), ("password", "s3cr3t")];
/// let values = values.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
/// let settings = Settings::new("acme-cr", values, false);
///
/// assert_eq!(settings.base(), Some("registry.example.com"));
/// assert_eq!(settings.username(), None);
/// assert!(settings.password().is_some());
/// assert!(!format!("{settings:?}").contains("s3cr3t"));
/// ```
#[derive(Clone)]
pub struct Settings {
    registry_type: String,
    values: BTreeMap<String, SecretString>,
    plain_http: bool,
}

impl Settings {
    /// Settings for a connection of this type. `plain_http`: the operator allowed HTTP for this registry.
    pub fn new(
        registry_type: impl Into<String>,
        values: impl IntoIterator<Item = (String, SecretString)>,
        plain_http: bool,
    ) -> Self {
        let values = values.into_iter().filter(|(_, v)| !v.expose_secret().is_empty()).collect();
        Self { registry_type: registry_type.into(), values, plain_http }
    }

    /// The type as the connection spelled it, e.g. `harbor-cr`.
    pub fn registry_type(&self) -> &str {
        &self.registry_type
    }

    /// Whether the registry may be called over plain HTTP (`REGENT_INSECURE_REGISTRIES`, `--plain-http`). If not,
    /// it is HTTPS and nothing else.
    ///
    /// ```
    /// # use regent_plugin_api::Settings;
    /// # let settings = Settings::new("acme-cr", [("registryBase".to_owned(), "registry.example.com".into())], false);
    /// let scheme = if settings.plain_http() { "http" } else { "https" };
    /// let base = format!("{scheme}://{}/", settings.required_text("registryBase")?);
    /// assert_eq!(base, "https://registry.example.com/");
    /// # Ok::<(), regent_plugin_api::Error>(())
    /// ```
    pub fn plain_http(&self) -> bool {
        self.plain_http
    }

    /// `registryBase`, trimmed.
    pub fn base(&self) -> Option<&str> {
        self.text("registryBase")
    }

    /// `username`.
    pub fn username(&self) -> Option<&str> {
        self.text("username")
    }

    /// `password`.
    pub fn password(&self) -> Option<&SecretString> {
        self.secret("password")
    }

    /// `username` and `password`, which go together; `None` for neither.
    ///
    /// ```
    /// # use regent_plugin_api::Settings;
    /// let settings = Settings::new("acme-cr", [("username".to_owned(), "robot".into())], false);
    /// let error = settings.username_and_password().unwrap_err();
    /// assert_eq!(error.message(), "the connection's password is missing, while there is a username");
    ///
    /// let nothing = Settings::new("acme-cr", [], false);
    /// assert!(nothing.username_and_password()?.is_none()); // an anonymous connection
    /// # Ok::<(), regent_plugin_api::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::invalid_setting`] for one without the other.
    pub fn username_and_password(&self) -> Result<Option<(&str, &SecretString)>> {
        match (self.username(), self.password()) {
            (Some(username), Some(password)) => Ok(Some((username, password))),
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err(Error::invalid_setting("password", "is missing, while there is a username"))
            }
            (None, Some(_)) => {
                Err(Error::invalid_setting("username", "is missing, while there is a password"))
            }
        }
    }

    /// A value that is no secret, trimmed.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|v| v.expose_secret().trim()).filter(|v| !v.is_empty())
    }

    /// A value that is a secret, untouched.
    pub fn secret(&self, name: &str) -> Option<&SecretString> {
        self.values.get(name)
    }

    /// A value that is no secret and has to be there.
    ///
    /// ```
    /// # use regent_plugin_api::Settings;
    /// let settings = Settings::new("acme-cr", [("extra.region".to_owned(), "eu-1".into())], false);
    /// assert_eq!(settings.required_text("extra.region")?, "eu-1");
    /// assert_eq!(settings.required_text("extra.project").unwrap_err().details["setting"], "extra.project");
    /// # Ok::<(), regent_plugin_api::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::invalid_setting`] where it is missing.
    pub fn required_text(&self, name: &str) -> Result<&str> {
        self.text(name).ok_or_else(|| Error::invalid_setting(name, "is missing"))
    }

    /// A secret that has to be there.
    ///
    /// ```
    /// use regent_plugin_api::http::HeaderValue;
    /// use regent_plugin_api::secrecy::ExposeSecret;
    /// use regent_plugin_api::{Error, Result, Settings};
    ///
    /// fn header(settings: &Settings) -> Result<HeaderValue> {
    ///     let token = format!("Bearer {}", settings.required_secret("token")?.expose_secret());
    ///     let mut header = HeaderValue::try_from(token)
    ///         .map_err(|_| Error::invalid_setting("token", "can't stand in a header"))?;
    ///     header.set_sensitive(true);
    ///     Ok(header)
    /// }
    /// # let settings = Settings::new("acme-cr", [("token".to_owned(), "s3cr3t".into())], false);
    /// # assert_eq!(header(&settings)?, "Bearer s3cr3t");
    /// # assert_eq!(header(&Settings::new("acme-cr", [], false)).unwrap_err().code(), "setting_invalid");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::invalid_setting`] where it is missing.
    pub fn required_secret(&self, name: &str) -> Result<&SecretString> {
        self.secret(name).ok_or_else(|| Error::invalid_setting(name, "is missing"))
    }

    /// All names that have a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// All values, for whoever carries them across the ABI.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.values.iter().map(|(n, v)| (n.as_str(), v))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("registry_type", &self.registry_type)
            .field("names", &self.values.keys())
            .field("plain_http", &self.plain_http)
            .finish_non_exhaustive()
    }
}
