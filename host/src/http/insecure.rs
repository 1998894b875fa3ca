//! Registries that may be called over plain HTTP.

use std::str::FromStr;

use url::Url;

/// `REGENT_INSECURE_REGISTRIES`: `host:port`, or `host` for its ports 80 and 443. Also what permits a loopback address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InsecureRegistries {
    entries: Vec<(String, Option<u16>)>,
    all: bool,
}

/// A text that is no `host` or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host nor host:port")]
pub struct InvalidRegistry(String);

impl InsecureRegistries {
    /// Every registry: `--plain-http` on the command line.
    pub fn all() -> Self {
        Self { entries: Vec::new(), all: true }
    }

    /// Whether this host and port are among them.
    pub fn contains(&self, host: &str, port: u16) -> bool {
        let named = |(h, p): &(String, Option<u16>)| {
            h.eq_ignore_ascii_case(host) && p.map_or(matches!(port, 80 | 443), |p| p == port)
        };
        self.all || self.entries.iter().any(named)
    }

    /// Whether a connection's `registryBase` is among them. Without a scheme and port, both 80 and 443 are looked for.
    pub fn contains_base(&self, base: &str) -> bool {
        authority(base).is_some_and(|url| {
            let port = url.port_or_known_default().unwrap_or(443);
            url.host_str().is_some_and(|host| self.contains(host, port))
        })
    }
}

impl FromStr for InsecureRegistries {
    type Err = InvalidRegistry;

    /// A list separated by commas or blanks.
    fn from_str(text: &str) -> Result<Self, InvalidRegistry> {
        let parts = text.split([',', ' ', '\n', '\t']).filter(|p| !p.is_empty());
        let entries = parts.map(|part| {
            let invalid = || InvalidRegistry(part.chars().take(80).collect());
            let url = Url::parse(&format!("x://{part}")).map_err(|_| invalid())?;
            let plain = matches!(url.path(), "" | "/") && url.username().is_empty() && url.query().is_none();
            let host = url.host_str().filter(|h| plain && !h.is_empty()).ok_or_else(invalid)?;
            Ok((host.to_ascii_lowercase(), url.port()))
        });
        Ok(Self { entries: entries.collect::<Result<_, _>>()?, all: false })
    }
}

/// Scheme, host and port of a `registryBase`; `https` where it names no scheme. `None` for what is no address, such as
/// the directory of a local registry.
pub(crate) fn authority(base: &str) -> Option<Url> {
    let base = base.trim();
    let url = if base.contains("://") { Url::parse(base) } else { Url::parse(&format!("https://{base}")) };
    let url = url.ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.host_str().filter(|h| !h.is_empty())?;
    (!base.starts_with(['/', '.'])).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_name_host_and_port() {
        let list: InsecureRegistries = "localhost:5000, Registry.lan,[::1]:5001".parse().unwrap();
        let rows = [
            ("localhost:5000", true),
            ("http://LOCALHOST:5000/path", true),
            ("localhost:5001", false),
            ("localhost", false),
            ("registry.lan", true),
            ("http://registry.lan", true),
            ("registry.lan:8080", false),
            ("[::1]:5001", true),
            ("/srv/images", false),
            ("", false),
        ];
        for (base, expected) in rows {
            assert_eq!(list.contains_base(base), expected, "{base}");
        }
        assert!(InsecureRegistries::all().contains_base("anything.example"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["http://h", "h/path", "u:p@h", "h:x", ":5000", "h?x"] {
            assert!(text.parse::<InsecureRegistries>().is_err(), "{text}");
        }
    }
}
