//! Where a request's connection is: body, headers, own settings. The first match wins.

use std::collections::BTreeMap;
use std::fmt;

use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::decode::{Decoded, decode, from_object};
use super::{Connection, ConnectionError};

/// What a request says about its connection. `Debug` shows none of it.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The body's field `credentials`, of a POST.
    pub body: Option<&'a Value>,
    /// The request's headers.
    pub headers: &'a HeaderMap,
}

impl fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("body", &self.body.is_some()).finish_non_exhaustive()
    }
}

/// Finds a request's connection. `own` are the `CR_…` settings.
///
/// Something that is there and can't be read is an error, not a reason to look further: another registry than the
/// one meant would answer. A placeholder that the broker left in place counts as not there.
///
/// # Errors
/// [`ConnectionError`].
pub fn find(
    given: Given<'_>,
    own_settings: &BTreeMap<&'static str, SecretString>,
) -> Result<Decoded, ConnectionError> {
    let mut missing = ConnectionError::Missing {
        reason: "it has no credentials in its body, no x-cr-credentials or authorization header, and the agent has \
                 no connection of its own (CR_TYPE or CR_CREDENTIALS)",
    };
    let candidates = [
        given.body.filter(|v| !v.is_null()).map(from_body),
        header(given.headers, "x-cr-credentials", "the x-cr-credentials header"),
        header(given.headers, "authorization", "the authorization header"),
        own(own_settings),
    ];
    for candidate in candidates.into_iter().flatten() {
        match candidate {
            // An empty header is common and tells nothing; the first telling reason is kept.
            Err(error @ ConnectionError::Missing { .. }) => missing = error,
            found_or_malformed => return found_or_malformed,
        }
    }
    Err(missing)
}

/// The agent's own connection, from the `CR_…` settings; `None` where there is none.
pub fn own(settings: &BTreeMap<&'static str, SecretString>) -> Option<Result<Decoded, ConnectionError>> {
    if let Some(text) = settings.get("CR_CREDENTIALS") {
        return Some(decode(text.expose_secret(), "CR_CREDENTIALS"));
    }
    let registry_type = settings.get("CR_TYPE")?.expose_secret().trim();
    let fields = [
        ("CR_BASE", "registryBase"),
        ("CR_USERNAME", "username"),
        ("CR_PASSWORD", "password"),
        ("CR_TOKEN", "token"),
        ("CR_ROLE_ARN", "roleArn"),
        ("CR_REGION", "extra.region"),
        ("CR_EXTERNAL_ID", "extra.externalId"),
    ];
    let mut fields: BTreeMap<String, SecretString> = fields
        .into_iter()
        .filter_map(|(variable, field)| Some((field.to_owned(), settings.get(variable)?.clone())))
        .collect();
    // As the broker does where a token is all there is: it stands for user and password.
    if let Some(token) = fields.get("token").cloned() {
        fields.entry("username".to_owned()).or_insert_with(|| token.clone());
        fields.entry("password".to_owned()).or_insert(token);
    }
    Some(Ok(Decoded { connection: Connection::new(registry_type, fields), notice: None }))
}

fn from_body(value: &Value) -> Result<Decoded, ConnectionError> {
    let place = "the body's credentials";
    match value {
        Value::String(text) => decode(text, place),
        Value::Object(object) => from_object(object.clone(), place),
        _ => Err(ConnectionError::Malformed { place, part: "it is neither text nor an object".to_owned() }),
    }
}

fn header(headers: &HeaderMap, name: &str, place: &'static str) -> Option<Result<Decoded, ConnectionError>> {
    let value = headers.get(name)?;
    let Ok(text) = std::str::from_utf8(value.as_bytes()) else {
        return Some(Err(ConnectionError::Malformed { place, part: "it is not text".to_owned() }));
    };
    Some(decode(without_scheme(text.trim()), place))
}

/// `Bearer x` and `Basic x` are `x`: what clients put in front of what they were given.
fn without_scheme(text: &str) -> &str {
    match text.split_once(' ') {
        Some((scheme, rest)) if ["bearer", "basic"].contains(&scheme.to_ascii_lowercase().as_str()) => rest,
        _ => text,
    }
}
