//! Where callbacks may go.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use regent_transport::{Class, Fault, Retry};
use secrecy::{ExposeSecret as _, SecretSlice};
use url::{Host, Url};

use crate::settings::CallbackSettings;

/// What a complete callback URL may end in. What stands before it (`/api`, or nothing) is kept for the others.
const PATHS: [&str; 3] = ["/v2/import/done", "/v2/import/result", "/v1/recurring-tests/dependencies"];

/// Which of the Broker Client's callback paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// A result.
    Result,
    /// The end of an operation.
    Done,
    /// Everything, in the older form.
    Dependencies,
}

impl Endpoint {
    fn path(self) -> &'static str {
        match self {
            Self::Done => "/v2/import/done",
            Self::Result => "/v2/import/result",
            Self::Dependencies => "/v1/recurring-tests/dependencies",
        }
    }
}

/// Where an operation's callbacks go: a URL that was judged by [`CallbackRules`].
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackTarget {
    /// Without query and with a path that does not end in a slash, to which those of [`Endpoint`] are added.
    base: Url,
}

/// Why a callback's URL is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// There is none.
    #[error("the request names no callbackUrl, and BROKER_CLIENT_URL is not set")]
    Missing,
    /// It can't be read. It is not shown: it may hold a password.
    #[error("callbackUrl {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The agent does not post there.
    #[error("callbacks may not go to {host}: {reason}")]
    Refused {
        /// Host, and port if it is not the usual one.
        host: String,
        /// The rule.
        reason: &'static str,
    },
}

impl Fault for CallbackError {
    fn class(&self) -> Class {
        match self {
            Self::Missing | Self::Malformed { .. } => Class::Invalid,
            Self::Refused { .. } => Class::Refused,
        }
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Missing | Self::Malformed { .. } => "request_malformed",
            Self::Refused { .. } => "callback_refused",
        }
    }
}

/// Which URLs are taken.
#[derive(Debug, Clone)]
pub struct CallbackRules {
    own: Option<CallbackTarget>,
    /// `host` or `host:port`, lower case; empty when the operator named none.
    hosts: Vec<String>,
}

impl CallbackRules {
    /// The operator's: `BROKER_CLIENT_URL` and `REGENT_CALLBACK_HOSTS`.
    pub fn new(settings: &CallbackSettings) -> Self {
        let own = settings.broker_client_url.as_ref();
        let mut hosts = settings.hosts.clone();
        hosts.extend(own.and_then(Url::host_str).map(str::to_ascii_lowercase));
        // The operator's own URL may have any path in front, as behind a reverse proxy.
        let own = own.map(|url| CallbackTarget::new(url.clone()));
        Self { own, hosts }
    }

    /// Whether any host is taken, since the operator named none. Worth a warning at the start.
    pub fn is_open(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Where the callbacks of a request go that names this URL, or none. A URL is a bare base (`http://host:port`) or ends
    /// in one of the callback paths.
    ///
    /// # Errors
    /// [`CallbackError`].
    pub fn target(&self, given: Option<&str>) -> Result<CallbackTarget, CallbackError> {
        let Some(given) = given.map(str::trim).filter(|given| !given.is_empty()) else {
            return self.own.clone().ok_or(CallbackError::Missing);
        };
        let malformed = |reason| CallbackError::Malformed { reason };
        let url = Url::parse(given).map_err(|_| malformed("is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(malformed("is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed("holds a user name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(malformed("has a query or fragment"));
        }
        let Some(host) = url.host() else { return Err(malformed("names no host")) };
        let refused = |reason| CallbackError::Refused { host: authority(&url), reason };
        if is_link_local(&host) {
            return Err(refused("it is a link-local address"));
        }
        if !self.is_open() && !self.is_listed(&url) {
            return Err(refused(
                "it is neither the host of BROKER_CLIENT_URL nor one of REGENT_CALLBACK_HOSTS",
            ));
        }
        if url.path() != "/" && prefix(url.path()).is_none() && !self.is_below_own(&url) {
            return Err(refused("the path is none of the Broker Client's callback paths"));
        }
        Ok(CallbackTarget::new(url))
    }

    fn is_listed(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let port = url.port_or_known_default().unwrap_or_default();
        let with_port = format!("{host}:{port}");
        self.hosts
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(host) || listed.eq_ignore_ascii_case(&with_port))
    }

    /// Whether it is the very `BROKER_CLIENT_URL`.
    fn is_below_own(&self, url: &Url) -> bool {
        self.own.as_ref().is_some_and(|own| *own == CallbackTarget::new(url.clone()))
    }
}

impl CallbackTarget {
    /// Of a bare base or a complete callback URL.
    fn new(mut base: Url) -> Self {
        base.set_query(None);
        base.set_fragment(None);
        let path = match prefix(base.path()) {
            Some(before) => before.to_owned(),
            None => format!("{}/api", base.path().trim_end_matches('/')),
        };
        base.set_path(&path);
        Self { base }
    }

    /// The URL, to be sealed: it may hold a password.
    pub fn to_secret(&self) -> SecretSlice<u8> {
        self.base.as_str().as_bytes().to_vec().into()
    }

    /// What [`CallbackTarget::to_secret`] made; `None` for anything else.
    pub fn from_secret(text: &SecretSlice<u8>) -> Option<Self> {
        let text = str::from_utf8(text.expose_secret()).ok()?;
        Some(Self { base: Url::parse(text).ok()? })
    }

    /// Host, and port if it is not the usual one.
    pub fn host(&self) -> String {
        authority(&self.base)
    }

    /// The URL of one of the callback paths.
    pub fn url(&self, endpoint: Endpoint) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path().trim_end_matches('/'), endpoint.path()));
        url
    }
}

impl fmt::Debug for CallbackTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The operator's URL may hold a password.
        write!(f, "CallbackTarget({}{})", authority(&self.base), self.base.path())
    }
}

/// What stands before a callback path.
fn prefix(path: &str) -> Option<&str> {
    let path = path.trim_end_matches('/');
    PATHS.iter().find_map(|known| path.strip_suffix(known))
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Literal addresses only: what a name resolves to is judged when it is called (`http`).
fn is_link_local(host: &Host<&str>) -> bool {
    let v4 = |address: Ipv4Addr| address.is_link_local();
    let v6 = |address: Ipv6Addr| address.is_unicast_link_local() || address.to_ipv4_mapped().is_some_and(v4);
    match host {
        Host::Domain(_) => false,
        Host::Ipv4(address) => v4(*address),
        Host::Ipv6(address) => v6(*address),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rules(own: Option<&str>, hosts: &[&str]) -> CallbackRules {
        CallbackRules::new(&CallbackSettings {
            broker_client_url: own.map(|url| url.parse().unwrap()),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            deadline: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        })
    }

    fn done(rules: &CallbackRules, given: Option<&str>) -> Result<String, String> {
        let target = rules.target(given).map_err(|error| error.code().to_owned())?;
        Ok(target.url(Endpoint::Done).into())
    }

    const REFUSED: Result<&str, &str> = Err("callback_refused");
    const MALFORMED: Result<&str, &str> = Err("request_malformed");

    #[test]
    fn without_the_operators_word_any_callback_url_is_taken() {
        let rules = rules(None, &[]);
        assert!(rules.is_open());
        let rows = [
            ("http://broker:8000", Ok("http://broker:8000/api/v2/import/done")),
            ("https://broker/", Ok("https://broker/api/v2/import/done")),
            (" http://broker:8000/api/v2/import/result ", Ok("http://broker:8000/api/v2/import/done")),
            ("http://broker:8000/v2/import/done/", Ok("http://broker:8000/v2/import/done")),
            ("http://b/x/api/v1/recurring-tests/dependencies", Ok("http://b/x/api/v2/import/done")),
            ("http://127.0.0.1:8000", Ok("http://127.0.0.1:8000/api/v2/import/done")),
            ("http://[::1]:8000", Ok("http://[::1]:8000/api/v2/import/done")),
            ("http://broker:8000/admin", REFUSED),
            ("http://broker/rest/scan/result", REFUSED),
            ("http://169.254.169.254/v2/import/done", REFUSED),
            ("http://0xa9fea9fe", REFUSED),
            ("http://[fe80::1]/", REFUSED),
            ("http://[::ffff:169.254.169.254]/", REFUSED),
            ("ftp://broker", MALFORMED),
            ("broker:8000", MALFORMED),
            ("http://user@broker", MALFORMED),
            ("http://:secret@broker", MALFORMED),
            ("http://broker/?x=/v2/import/done", MALFORMED),
            ("http://broker/#/v2/import/done", MALFORMED),
            ("not a url", MALFORMED),
        ];
        for (given, expected) in rows {
            assert_eq!(
                done(&rules, Some(given)),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{given}"
            );
        }
        assert_eq!(done(&rules, None), Err("request_malformed".to_owned()));
        assert_eq!(done(&rules, Some("  ")), Err("request_malformed".to_owned()));
    }

    #[test]
    fn hosts_that_the_operator_named_are_taken_and_no_others() {
        let rules = rules(Some("http://Broker:8000"), &["other.lan", "third:9000", "[fd00::1]:80"]);
        assert!(!rules.is_open());
        let rows = [
            ("http://broker:8000", Ok("http://broker:8000/api/v2/import/done")),
            ("http://BROKER:7000", Ok("http://broker:7000/api/v2/import/done")),
            ("https://other.lan:1234", Ok("https://other.lan:1234/api/v2/import/done")),
            ("http://third:9000", Ok("http://third:9000/api/v2/import/done")),
            ("http://[fd00::1]", Ok("http://[fd00::1]/api/v2/import/done")),
            ("http://third:9001", REFUSED),
            ("http://third", REFUSED),
            ("http://broker.evil", REFUSED),
            ("http://evil/api/v2/import/done", REFUSED),
            ("http://broker:8000@evil/", MALFORMED),
        ];
        for (given, expected) in rows {
            assert_eq!(
                done(&rules, Some(given)),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{given}"
            );
        }
        assert_eq!(done(&rules, None), Ok("http://broker:8000/api/v2/import/done".to_owned()));
    }

    #[test]
    fn the_operators_url_may_have_a_path_in_front() {
        let rules = rules(Some("https://proxy.lan/broker/"), &[]);
        let expected = Ok("https://proxy.lan/broker/api/v2/import/done".to_owned());
        assert_eq!(done(&rules, None), expected);
        assert_eq!(done(&rules, Some("https://proxy.lan/broker")), expected);
        assert_eq!(done(&rules, Some("https://proxy.lan/elsewhere")), Err("callback_refused".to_owned()));
    }

    #[test]
    fn no_debug_output_shows_a_password() {
        let rules = rules(Some("http://user:secret@broker:8000"), &[]);
        assert!(!format!("{rules:?}").contains("secret"));
        assert!(!format!("{:?}", rules.target(Some("http://u:secret@x")).unwrap_err()).contains("secret"));
    }
}
