//! Whether a driver sends only to where it says that it does.

use url::Url;

use crate::description::Description;
use crate::egress::{EgressEntry, HostPattern, Named, host_of};
use crate::host::HostServices;
use crate::settings::Settings;

/// Where one connection's requests may go, as the host sees it: the registry's own host, and what the description
/// declares ([`Description::egress`]).
pub(super) struct Rules {
    /// With the port that the connection names.
    registry: Option<HostPattern>,
    declared: Vec<Rule>,
    plain_http: bool,
}

/// Hosts that an entry names.
struct Rule {
    /// As the description has it, for messages.
    entry: String,
    pattern: HostPattern,
    metadata: bool,
}

impl Rules {
    pub(super) fn new(about: &Description, settings: &Settings, host: &dyn HostServices) -> Self {
        let hosts = |named: Named<'_>| -> Vec<HostPattern> {
            match named {
                Named::Pattern(text) => vec![HostPattern::new(text)],
                Named::Variable(variable) => {
                    host.env(variable).map(|url| HostPattern::new(host_of(&url))).into_iter().collect()
                }
                Named::RegistryHost => {
                    let own = settings
                        .base()
                        .and_then(|base| Url::parse(&format!("https://{}", host_of(base))).ok());
                    own.and_then(|url| url.host_str().map(HostPattern::new)).into_iter().collect()
                }
                Named::Field(field) => {
                    let hosts = settings.text(field).unwrap_or_default().split(',').map(host_of);
                    hosts.filter(|host| !host.is_empty()).map(HostPattern::new).collect()
                }
            }
        };
        let rules = about.egress.iter().map(|entry| (entry, EgressEntry::of(entry)));
        let declared = rules.flat_map(|(entry, EgressEntry { named, metadata })| {
            let rule = move |pattern| Rule { entry: entry.clone(), pattern, metadata };
            hosts(named).into_iter().map(rule)
        });
        Self {
            registry: settings.base().map(|base| HostPattern::new(host_of(base))),
            declared: declared.collect(),
            plain_http: settings.plain_http(),
        }
    }

    /// What forbids this URL.
    pub(super) fn objection(&self, url: &Url) -> Option<String> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let by = self.declared.iter().find(|rule| rule.pattern.matches(host, port));
        let is_registry = self.registry.as_ref().is_some_and(|registry| registry.matches(host, port));
        if by.is_none() && !is_registry {
            return Some(format!("{host}:{port} is neither the registry nor in the description's egress"));
        }
        let may_be_plain = self.plain_http || by.is_some_and(|rule| rule.metadata);
        (url.scheme() != "https" && !may_be_plain)
            .then(|| format!("{host} is reached over {}, which the connection does not allow", url.scheme()))
    }

    /// Entries of the description that none of these URLs needs. What only gives a machine its credentials is not asked
    /// for, since a test has none.
    pub(super) fn unused(&self, sent: &[Url]) -> Vec<String> {
        let needed = |rule: &Rule| {
            let mut at = sent.iter().map(|url| (url.host_str(), url.port_or_known_default()));
            at.any(|(host, port)| rule.pattern.matches(host.unwrap_or_default(), port.unwrap_or_default()))
        };
        // `{registryHost}` is for registries at a port of their own.
        let own = |rule: &Rule| EgressEntry::of(&rule.entry).named == Named::RegistryHost;
        let unused = self.declared.iter().filter(|rule| !rule.metadata && !own(rule) && !needed(rule));
        unused.map(|rule| rule.entry.clone()).collect()
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
