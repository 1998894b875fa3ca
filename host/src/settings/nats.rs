//! How NATS servers are reached: the settings of a queue that several agents share.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{CertificateFiles, Reader};
use crate::jobs::LEASE;
use crate::seal::KeySource;

/// The shortest lease: a shorter one ends while an agent is only slow.
const MIN_LEASE: Duration = Duration::from_secs(3);
/// The port of NATS servers.
const NATS_PORT: u16 = 4222;

/// NATS servers, and how the agent shows itself to them. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// Servers of one cluster.
    pub servers: NatsServers,
    /// `REGENT_QUEUE_CREDENTIALS`: a file with a JWT and its seed.
    pub credentials: Option<PathBuf>,
    /// `REGENT_QUEUE_NKEY`: a file with the seed of an NKEY.
    pub nkey: Option<PathBuf>,
    /// `REGENT_QUEUE_CA`: authorities for the servers' certificates, in place of the system's.
    pub authorities: Option<PathBuf>,
    /// `REGENT_QUEUE_CERT` and `REGENT_QUEUE_KEY`.
    pub certificate: Option<CertificateFiles>,
    /// `REGENT_QUEUE_PREFIX`: what the names of streams and subjects begin with.
    pub prefix: String,
    /// `REGENT_QUEUE_REPLICAS`: on how many servers each thing is stored.
    pub replicas: usize,
    /// `REGENT_QUEUE_LEASE`: how long a lease lasts when it is not renewed.
    pub lease: Duration,
}

/// The addresses of NATS servers, and what their URLs hold of a user.
#[derive(Clone)]
pub struct NatsServers {
    /// `nats://host:port` or `tls://host:port`, without user and password.
    pub addresses: Vec<String>,
    /// Whether a connection without TLS is refused.
    pub needs_tls: bool,
    /// How the agent shows itself, where the URLs say so.
    pub user: Option<NatsUser>,
}

/// Who the agent is, as URLs of NATS servers say it.
#[derive(Debug, Clone)]
pub enum NatsUser {
    /// `nats://token@host`.
    Token(SecretString),
    /// `nats://user:password@host`.
    Password(String, SecretString),
}

impl NatsServers {
    /// URLs with commas or blanks between them; a port that is left out is 4222.
    ///
    /// # Errors
    /// What is wrong, without quoting anything: a URL may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || "must be a URL such as nats://host:4222, or several with commas between them".to_owned();
        let mut servers = Self { addresses: Vec::new(), needs_tls: false, user: None };
        for word in super::parse::list(text) {
            let url = Url::parse(&word).map_err(|_| wrong())?;
            let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
            let scheme = match url.scheme() {
                "nats" => "nats",
                "tls" => "tls",
                _ => return Err("must begin with nats:// or tls://".to_owned()),
            };
            if !matches!(url.path(), "" | "/") || url.query().is_some() {
                return Err("must have nothing after the port".to_owned());
            }
            servers.needs_tls |= scheme == "tls";
            servers.addresses.push(format!("{scheme}://{host}:{}", url.port().unwrap_or(NATS_PORT)));
            let decoded =
                |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            let user = match (decoded(url.username()), url.password().map(decoded)) {
                (user, Some(password)) => Some(NatsUser::Password(user, password.into())),
                (token, None) if !token.is_empty() => Some(NatsUser::Token(token.into())),
                _ => None,
            };
            servers.user = servers.user.or(user);
        }
        if servers.addresses.is_empty() { Err(wrong()) } else { Ok(servers) }
    }
}

impl fmt::Display for NatsServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.addresses.join(", "))
    }
}

impl fmt::Debug for NatsServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsServers").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// A word that names of streams and subjects can begin with.
fn prefix(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.len() <= 32 && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("must be up to 32 letters, digits, - and _".to_owned())
    }
}

/// On how many servers things are stored.
fn replicas(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ (1 | 3 | 5)) => Ok(number),
        _ => Err("must be 1, 3 or 5".to_owned()),
    }
}

/// How long a lease lasts.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = super::parse::duration(text)?;
    if lease < MIN_LEASE { Err(format!("must be at least {} s", MIN_LEASE.as_secs())) } else { Ok(lease) }
}

impl<L: Fn(&str) -> Option<String>> Reader<'_, L> {
    /// The settings of a shared queue, if there is to be one.
    pub(super) fn nats(&mut self, seal_keys: &KeySource) -> Option<NatsSettings> {
        let servers = self.parsed("REGENT_QUEUE", NatsServers::parse);
        let settings = NatsSettings {
            credentials: self.path("REGENT_QUEUE_CREDENTIALS"),
            nkey: self.path("REGENT_QUEUE_NKEY"),
            authorities: self.path("REGENT_QUEUE_CA"),
            certificate: self.certificate("REGENT_QUEUE_CERT", "REGENT_QUEUE_KEY"),
            prefix: self.parsed("REGENT_QUEUE_PREFIX", prefix).unwrap_or_else(|| "regent".to_owned()),
            replicas: self.parsed("REGENT_QUEUE_REPLICAS", replicas).unwrap_or(1),
            lease: self.parsed("REGENT_QUEUE_LEASE", lease).unwrap_or(LEASE),
            servers: servers?,
        };
        if settings.credentials.is_some() && settings.nkey.is_some() {
            let why = "can't be set together with REGENT_QUEUE_CREDENTIALS";
            self.faults.push(("REGENT_QUEUE_NKEY", why.to_owned()));
        }
        // A key that one agent makes for itself opens nothing of the others'.
        if matches!(seal_keys, KeySource::Generated(_)) {
            let why =
                "or REGENT_SEAL_KEY_FILE must be set together with REGENT_QUEUE, the same for all agents";
            self.faults.push(("REGENT_SEAL_KEY", why.to_owned()));
        }
        Some(settings)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn servers_are_read_with_their_user_and_shown_without() {
        for (text, addresses, needs_tls, user, password) in [
            ("nats://one", "nats://one:4222", false, "", ""),
            ("nats://one:4300,nats://two", "nats://one:4300, nats://two:4222", false, "", ""),
            ("tls://one nats://two", "tls://one:4222, nats://two:4222", true, "", ""),
            ("nats://me:p%40ss@one,nats://two", "nats://one:4222, nats://two:4222", false, "me", "p@ss"),
            ("nats://t0ken@one", "nats://one:4222", false, "", "t0ken"),
            ("nats://[::1]:4222", "nats://[::1]:4222", false, "", ""),
        ] {
            let servers = NatsServers::parse(text).unwrap();
            assert_eq!(servers.to_string(), addresses);
            assert_eq!(servers.needs_tls, needs_tls, "{text}");
            let found = match &servers.user {
                None => ("", ""),
                Some(NatsUser::Token(token)) => ("", token.expose_secret()),
                Some(NatsUser::Password(user, password)) => (user.as_str(), password.expose_secret()),
            };
            assert_eq!(found, (user, password), "{text}");
            assert!(password.is_empty() || !format!("{servers:?}").contains(password));
        }
    }

    #[test]
    fn what_is_no_server_is_refused_without_being_quoted() {
        for text in ["", "one:4222", "http://u:hunter2@one", "nats://u:hunter2@", "nats://u:hunter2@one/x"] {
            let why = NatsServers::parse(text).unwrap_err();
            assert!(why.starts_with("must ") && !why.contains("hunter2"), "{text}: {why}");
        }
    }

    #[test]
    fn a_prefix_is_a_word_that_subjects_may_have() {
        for (text, fits) in [("regent", true), ("a-b_C9", true), ("a.b", false), ("a b", false), ("é", false)]
        {
            assert_eq!(prefix(text).is_ok(), fits, "{text}");
        }
        for (text, fits) in [("1", true), ("3", true), ("2", false), ("0", false), ("x", false)] {
            assert_eq!(replicas(text).is_ok(), fits, "{text}");
        }
        for (text, fits) in [("3s", true), ("5m", true), ("2999ms", false), ("0", false), ("x", false)] {
            assert_eq!(lease(text).is_ok(), fits, "{text}");
        }
    }
}
