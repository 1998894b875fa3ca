//! Whether a driver sends only to where it says that it does.

use url::Url;

use crate::description::Description;
use crate::host::HostServices;
use crate::settings::Settings;

/// Where one connection's requests may go, as the host sees it: the registry's own host, and what the description
/// declares ([`Description::egress`]).
pub(super) struct Rules {
    /// With the port that the connection names.
    registry: Option<Pattern>,
    declared: Vec<Pattern>,
    plain_http: bool,
}

/// One host that is declared.
struct Pattern {
    /// As the description has it, for messages.
    entry: String,
    host: String,
    port: Option<u16>,
    metadata: bool,
}

impl Rules {
    pub(super) fn new(about: &Description, settings: &Settings, host: &dyn HostServices) -> Self {
        let declared = about.egress.iter().flat_map(|entry| {
            let (text, metadata) = match entry.strip_prefix("metadata:") {
                Some(text) => (text, true),
                None => (entry.as_str(), false),
            };
            let field = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
            let named: Vec<String> = match (field, field.and_then(|field| field.strip_prefix("env:"))) {
                (None, _) => vec![text.to_owned()],
                (Some(_), Some(variable)) => {
                    host.env(variable).map(|url| host_of(&url).to_owned()).into_iter().collect()
                }
                (Some("registryHost"), None) => {
                    let own = settings.base().map(|base| without_port(host_of(base)).0.to_owned());
                    own.into_iter().collect()
                }
                (Some(field), None) => {
                    let hosts = settings.text(field).unwrap_or_default().split(',').map(host_of);
                    hosts.filter(|host| !host.is_empty()).map(str::to_owned).collect()
                }
            };
            named.into_iter().map(move |host| Pattern::new(entry, &host, metadata)).collect::<Vec<_>>()
        });
        Self {
            registry: settings.base().map(|base| Pattern::new("registryBase", host_of(base), false)),
            declared: declared.collect(),
            plain_http: settings.plain_http(),
        }
    }

    /// What forbids this URL.
    pub(super) fn objection(&self, url: &Url) -> Option<String> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let by = self.declared.iter().find(|pattern| pattern.matches(host, port));
        let is_registry = self.registry.as_ref().is_some_and(|registry| registry.matches(host, port));
        if by.is_none() && !is_registry {
            return Some(format!("{host}:{port} is neither the registry nor in the description's egress"));
        }
        let may_be_plain = self.plain_http || by.is_some_and(|pattern| pattern.metadata);
        (url.scheme() != "https" && !may_be_plain)
            .then(|| format!("{host} is reached over {}, which the connection does not allow", url.scheme()))
    }

    /// Entries of the description that none of these URLs needs. What only gives a machine its credentials is not asked
    /// for, since a test has none.
    pub(super) fn unused(&self, sent: &[Url]) -> Vec<String> {
        let needed = |pattern: &Pattern| {
            sent.iter().any(|url| {
                pattern.matches(
                    url.host_str().unwrap_or_default(),
                    url.port_or_known_default().unwrap_or_default(),
                )
            })
        };
        // `{registryHost}` is for registries at a port of their own.
        let own = |pattern: &Pattern| pattern.entry == "{registryHost}";
        let unused = self.declared.iter().filter(|p| !p.metadata && !own(p) && !needed(p));
        unused.map(|pattern| pattern.entry.clone()).collect()
    }
}

impl Pattern {
    fn new(entry: &str, text: &str, metadata: bool) -> Self {
        let (host, port) = without_port(text.trim());
        Self { entry: entry.to_owned(), host: host.to_ascii_lowercase(), port, metadata }
    }

    /// Without a port, the schemes' own are meant.
    fn matches(&self, host: &str, port: u16) -> bool {
        self.names(host) && self.port.map_or(matches!(port, 80 | 443), |own| own == port)
    }

    /// A first label `*` stands for everything below a domain, one further on for any one label.
    fn names(&self, host: &str) -> bool {
        if self.host == "*" {
            return false;
        }
        let (mut pattern, mut labels) = (self.host.rsplit('.').peekable(), host.rsplit('.'));
        while let Some(wanted) = pattern.next() {
            let Some(label) = labels.next().filter(|label| !label.is_empty()) else { return false };
            if wanted == "*" && pattern.peek().is_none() {
                return labels.all(|label| !label.is_empty());
            }
            if wanted != "*" && wanted != label {
                return false;
            }
        }
        labels.next().is_none()
    }
}

/// `host[:port]` of an address as people copy it.
fn host_of(address: &str) -> &str {
    let rest = address.trim().split_once("://").map_or(address.trim(), |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// An IPv6 address has colons of its own and stands in brackets.
fn without_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::testkit::Script;

    fn rules(egress: &[&str], values: &[(&str, &str)], plain_http: bool) -> Rules {
        let about = serde_json::json!({
            "format": 1, "name": "x", "version": "1.0.0", "api": "1.0.0", "requires_api": "1.0.0", "target": "",
            "rustc": "", "abi_stable": "", "types": ["x"], "egress": egress,
        });
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)));
        let host = Script::new().variable("API", "http://169.254.170.2/credentials");
        Rules::new(&serde_json::from_value(about).unwrap(), &Settings::new("x", values, plain_http), &host)
    }

    #[test]
    fn requests_go_to_the_registry_and_to_what_is_declared() {
        let egress =
            ["auth.example.com", "*.example.net", "a.*.example.org:8443", "{tokens}", "metadata:{env:API}"];
        let values =
            [("registryBase", "https://R.example.com:5000/prefix"), ("tokens", "t.example, u.example:81")];
        let rows = [
            ("https://r.example.com/v2/", false),
            ("https://r.example.com:5000/v2/", true),
            ("http://r.example.com:5000/v2/", false),
            ("https://auth.example.com/", true),
            ("https://auth.example.com:444/", false),
            ("https://x.y.example.net/", true),
            ("https://example.net/", false),
            ("https://a.b.example.org:8443/", true),
            ("https://a.b.c.example.org:8443/", false),
            ("https://t.example/", true),
            ("https://u.example:81/", true),
            ("https://u.example/", false),
            ("http://169.254.170.2/credentials", true),
            ("https://evil.example/", false),
        ];
        for (url, permitted) in rows {
            let url = Url::parse(url).unwrap();
            assert_eq!(rules(&egress, &values, false).objection(&url).is_none(), permitted, "{url}");
        }
        let own_ports = Url::parse("https://r.example.com/token").unwrap();
        assert_eq!(rules(&["{registryHost}"], &values, false).objection(&own_ports), None);
        let plain = Url::parse("http://r.example.com:5000/").unwrap();
        assert_eq!(rules(&[], &values, true).objection(&plain), None);
        assert!(rules(&["*"], &[], true).objection(&plain).is_some(), "no one may mean everything");
    }

    #[test]
    fn an_entry_that_no_request_needs_is_named() {
        let sent =
            ["https://auth.example.com/token", "https://r.example.com/"].map(|url| Url::parse(url).unwrap());
        let egress =
            ["auth.example.com", "*.example.net", "{tokens}", "{registryHost}", "metadata:169.254.169.254"];
        assert_eq!(rules(&egress, &[], false).unused(&sent), ["*.example.net"]);
    }
}
