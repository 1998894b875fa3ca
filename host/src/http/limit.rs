//! `REGENT_EGRESS`: what an operator leaves of the hosts that drivers may reach.

use std::str::FromStr;

use regent_plugin_api::egress::HostPattern;

/// Hosts that may be reached, of those that may be reached anyway: it permits nothing. Unset, it forbids nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressLimit(Option<Vec<Entry>>);

/// `host`, `host:port`, or either for one driver alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    driver: Option<String>,
    pattern: HostPattern,
}

/// A text that is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host, such as registry.example.com:5000 or *.example.com, nor driver=host")]
pub struct InvalidEgress(String);

impl EgressLimit {
    /// Whether it leaves this host and port to a driver.
    pub(super) fn leaves(&self, driver: &str, host: &str, port: u16) -> bool {
        let meant = |entry: &Entry| entry.driver.as_deref().is_none_or(|d| d == driver);
        match &self.0 {
            None => true,
            Some(entries) => entries.iter().any(|e| meant(e) && e.pattern.matches(host, port)),
        }
    }
}

impl FromStr for EgressLimit {
    type Err = InvalidEgress;

    /// A list separated by commas or blanks; an empty one is none.
    fn from_str(text: &str) -> Result<Self, InvalidEgress> {
        let items = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|item| !item.is_empty());
        let entries = items.map(|item| {
            let (driver, host) = match item.split_once('=') {
                Some((driver, host)) => (Some(driver), host),
                None => (None, item),
            };
            let plain =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*' | ':' | '[' | ']');
            if host.is_empty() || host == "*" || !host.chars().all(plain) || driver == Some("") {
                return Err(InvalidEgress(item.chars().take(80).collect()));
            }
            let driver = driver.map(str::to_ascii_lowercase);
            Ok(Entry { driver, pattern: HostPattern::new(host) })
        });
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
        Ok(Self((!entries.is_empty()).then_some(entries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_name_hosts_for_all_drivers_or_for_one() {
        let limit: EgressLimit =
            "Registry.lan:5000, *.example.com harbor=harbor.lan,[fd00::1]:5000".parse().unwrap();
        let rows = [
            ("oci", "registry.lan", 5000, true),
            ("oci", "registry.lan", 443, false),
            ("oci", "a.b.example.com", 443, true),
            ("oci", "example.com", 443, false),
            ("oci", "harbor.lan", 443, false),
            ("harbor", "harbor.lan", 443, true),
            ("harbor", "registry.lan", 5000, true),
            ("oci", "[fd00::1]", 5000, true),
        ];
        for (driver, host, port, left) in rows {
            assert_eq!(limit.leaves(driver, host, port), left, "{driver} {host}:{port}");
        }
        assert!(EgressLimit::default().leaves("oci", "anything.example", 1), "unset, it forbids nothing");
        assert_eq!(" ,".parse(), Ok(EgressLimit::default()));
    }

    #[test]
    fn what_is_no_host_is_refused_and_everything_is_none() {
        for text in ["*", "https://h", "h/path", "=h", "oci=", "oci=*", "h?"] {
            assert!(text.parse::<EgressLimit>().is_err(), "{text}");
        }
    }
}
