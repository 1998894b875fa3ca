//! Which hosts an entry of a list means.

use super::egress::Declared;

/// `host` or `host:port`, where a first label `*` stands for everything below a domain and one further on for any one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPattern {
    /// Lower case.
    host: String,
    port: Option<u16>,
    /// It gives this machine its credentials.
    pub(super) metadata: bool,
}

impl HostPattern {
    /// A host of a driver's description.
    pub(super) fn declared(declared: &Declared) -> Self {
        match declared {
            Declared::Host(text) => Self::new(text),
            Declared::Metadata(text) => Self { metadata: true, ..Self::new(text) },
        }
    }

    pub(super) fn new(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        // An IPv6 address has colons of its own and stands in brackets.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => match port.parse() {
                Ok(port) if !host.contains(':') || host.ends_with(']') => (host.to_owned(), Some(port)),
                _ => (text, None),
            },
            _ => (text, None),
        };
        Self { host, port, metadata: false }
    }

    /// Without a port, the scheme's own ports are meant.
    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        self.names(&host.to_ascii_lowercase()) && self.port.map_or(matches!(port, 80 | 443), |p| p == port)
    }

    fn names(&self, host: &str) -> bool {
        if self.host == "*" {
            return false; // no one may mean everything
        }
        let (mut pattern, mut labels) = (self.host.rsplit('.').peekable(), host.rsplit('.'));
        while let Some(wanted) = pattern.next() {
            let Some(label) = labels.next().filter(|l| !l.is_empty()) else { return false };
            if wanted == "*" {
                if pattern.peek().is_none() {
                    return labels.all(|l| !l.is_empty());
                }
            } else if wanted != label {
                return false;
            }
        }
        labels.next().is_none()
    }
}
