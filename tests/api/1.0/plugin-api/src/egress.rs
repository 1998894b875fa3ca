//! What [`Description::egress`](crate::Description::egress) says: the host reads it to tell where a driver's requests may
//! go, the test kit to tell where they went.

/// One entry of a description's egress.
///
/// | entry | hosts |
/// | --- | --- |
/// | `auth.example.com`, `*.example.com:8443` | those of a [`HostPattern`] |
/// | `{registryHost}` | the registry's own, without the port that the connection may name |
/// | `{field}` | those that the connection names in that field, joined by commas, as such or in an address |
/// | `{env:NAME}` | that of the URL in this environment variable of the host process |
/// | `metadata:` before any of these | the same, and it gives the machine its credentials |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EgressEntry<'a> {
    /// Which hosts are meant.
    pub named: Named<'a>,
    /// It is a service that gives the machine its credentials.
    pub metadata: bool,
}

/// How an entry names its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// As a [`HostPattern`].
    Pattern(&'a str),
    /// The registry's own host.
    RegistryHost,
    /// What a field of the connection names.
    Field(&'a str),
    /// What an environment variable names.
    Variable(&'a str),
}

impl<'a> EgressEntry<'a> {
    /// What the text of an entry says.
    pub fn of(entry: &'a str) -> Self {
        let (text, metadata) = match entry.strip_prefix("metadata:") {
            Some(text) => (text, true),
            None => (entry, false),
        };
        let named = match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            None => Named::Pattern(text),
            Some("registryHost") => Named::RegistryHost,
            Some(field) => field.strip_prefix("env:").map_or(Named::Field(field), Named::Variable),
        };
        Self { named, metadata }
    }
}

/// `host` or `host:port`, where a first label `*` stands for everything below a domain and one further on for any one
/// label (`*.dkr.ecr.*.amazonaws.com`). A lone `*` stands for nothing: no one may mean everything.
///
/// ```
/// use regent_plugin_api::egress::HostPattern;
///
/// let below = HostPattern::new("*.example.com");
/// assert!(below.matches("eu.auth.example.com", 443));
/// assert!(!below.matches("example.com", 443) && !below.matches("auth.example.com", 8443));
///
/// let region = HostPattern::new("api.*.example.com:8443");
/// assert!(region.matches("api.eu-1.example.com", 8443));
/// assert!(!region.matches("api.eu.1.example.com", 8443));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    /// Lower case.
    host: String,
    port: Option<u16>,
}

impl HostPattern {
    /// The pattern that this text is, in either case and with space around it.
    pub fn new(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        // An IPv6 address has colons of its own and stands in brackets.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => match port.parse() {
                Ok(port) if !host.contains(':') || host.ends_with(']') => (host.to_owned(), Some(port)),
                _ => (text, None),
            },
            _ => (text, None),
        };
        Self { host, port }
    }

    /// Whether it names this host at this port. Without a port of its own, the ports of HTTP and HTTPS are meant.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        self.names(&host.to_ascii_lowercase()) && self.port.map_or(matches!(port, 80 | 443), |p| p == port)
    }

    fn names(&self, host: &str) -> bool {
        if self.host == "*" {
            return false;
        }
        let (mut pattern, mut labels) = (self.host.rsplit('.').peekable(), host.rsplit('.'));
        while let Some(wanted) = pattern.next() {
            let Some(label) = labels.next().filter(|label| !label.is_empty()) else { return false };
            if wanted == "*" {
                if pattern.peek().is_none() {
                    return labels.all(|label| !label.is_empty());
                }
            } else if wanted != label {
                return false;
            }
        }
        labels.next().is_none()
    }
}

/// `host` or `host:port` of an address as people copy it: `https://nexus.example.com:8443/nexus`.
pub fn host_of(address: &str) -> &str {
    let address = address.trim();
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}
