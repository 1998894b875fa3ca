//! Where requests may go.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use url::{Host, Url};

use super::address::Network;
use super::insecure::{InsecureRegistries, authority};
use super::proxy::Proxies;

/// Time to find out whether the registry is in the operator's own network.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The rules of one session. Cheap to clone.
///
/// | host | permitted |
/// | --- | --- |
/// | the registry's own, as the connection names it | HTTPS; HTTP and loopback addresses only if listed in `REGENT_INSECURE_REGISTRIES`; private addresses; never link-local ones |
/// | one that the driver's description declares | HTTPS, or HTTP and loopback if listed; private addresses; no link-local ones |
/// | one that it declares as giving credentials, for a driver's own requests only | if it is a link-local or loopback address: HTTP, and past any proxy; else as any that is declared |
/// | any other, for content only | requests without secrets: the target of a registry's redirect. HTTPS, or HTTP if the registry is reached over HTTP; public addresses, or those of the network that the registry itself is in |
#[derive(Clone)]
pub struct Egress {
    rules: Arc<Rules>,
}

struct Rules {
    registry: Option<Url>,
    declared: Vec<HostPattern>,
    insecure: InsecureRegistries,
    others: Others,
    registry_network: OnceCell<Network>,
}

/// A host of a driver's description: `host` or `host:port`, where a first label `*` stands for everything below a domain
/// and one further on for any one label (`*.dkr.ecr.*.amazonaws.com`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// One like any other.
    Host(String),
    /// A service that gives this machine its credentials.
    Metadata(String),
}

/// Hosts that are neither the registry's nor declared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Refused,
    WithoutSecrets,
    /// Callbacks: the host has been judged by its own rules before.
    Any,
}

/// Which addresses a name may resolve to, narrowest first. Each has its own connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Public,
    Private,
    Loopback,
    /// Services that give this machine its credentials, and nothing else. Never through a proxy: it would hand out its
    /// own machine's.
    Metadata,
}

impl Reach {
    pub(super) const ALL: [Self; 4] = [Self::Public, Self::Private, Self::Loopback, Self::Metadata];

    /// Whether addresses of this network are within reach.
    pub(super) fn includes(self, network: Network) -> bool {
        if self == Self::Metadata {
            return matches!(network, Network::Loopback | Network::Forbidden);
        }
        match network {
            Network::Public => true,
            Network::Private => self >= Self::Private,
            Network::Loopback => self == Self::Loopback,
            Network::Forbidden => false,
        }
    }

    fn of(network: Network) -> Self {
        match network {
            Network::Public | Network::Forbidden => Self::Public,
            Network::Private => Self::Private,
            Network::Loopback => Self::Loopback,
        }
    }
}

impl Egress {
    /// For a driver's own requests. `base` is the connection's `registryBase`.
    pub fn control(base: Option<&str>, declared: &[Declared], insecure: &InsecureRegistries) -> Self {
        Self::new(base, declared, insecure, Others::Refused)
    }

    /// For manifests and blobs: the same, and targets of redirects.
    pub fn content(base: Option<&str>, declared: &[Declared], insecure: &InsecureRegistries) -> Self {
        Self::new(base, declared, insecure, Others::WithoutSecrets)
    }

    /// For callbacks, whose hosts `callbacks` has judged: any host, HTTP or HTTPS, but no link-local address.
    pub fn callbacks() -> Self {
        Self::new(None, &[], &InsecureRegistries::all(), Others::Any)
    }

    /// Whether this `host` or `host:port` is a link-local or metadata address, however it is written. Only a driver's
    /// description may declare one, never a connection.
    pub fn is_for_drivers_alone(host: &str) -> bool {
        let url = Url::parse(&format!("http://{}", host.trim()));
        url.is_ok_and(|url| url.host().is_some_and(|h| Network::of_literal(&h) == Some(Network::Forbidden)))
    }

    fn new(base: Option<&str>, declared: &[Declared], insecure: &InsecureRegistries, others: Others) -> Self {
        // No registry leads a request for content to this machine's credentials.
        let wanted = |pattern: &HostPattern| others == Others::Refused || !pattern.metadata;
        let rules = Rules {
            registry: base.and_then(authority),
            declared: declared.iter().map(HostPattern::new).filter(wanted).collect(),
            insecure: insecure.clone(),
            others,
            registry_network: OnceCell::new(),
        };
        Self { rules: Arc::new(rules) }
    }

    /// Whether a request may go to this URL, and which addresses the name may have; else the rule that forbids it.
    pub(super) async fn judge(
        &self,
        url: &Url,
        carries_secrets: bool,
        proxies: &Proxies,
    ) -> Result<Reach, String> {
        let rules = &*self.rules;
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err("only https and http are spoken".to_owned()),
        };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err("the URL names no host".to_owned());
        };
        let name = host.to_string();
        let literal = Network::of_literal(&host);
        let listed = rules.insecure.contains(&name, port);
        if rules.others == Others::Any {
            return within(Reach::Loopback, literal);
        }
        let named = || rules.declared.iter().filter(|pattern| pattern.matches(&name, port));
        let local = literal.is_some_and(|network| Reach::Metadata.includes(network)) || name == "localhost";
        if local && named().any(|pattern| pattern.metadata) {
            return Ok(Reach::Metadata);
        }
        if rules.is_registry(&name) {
            let verdict = judge_named(plain, listed, literal);
            // A blob store on another port of the same host is judged as one on another host.
            if verdict.is_ok() || carries_secrets || rules.others == Others::Refused {
                return verdict;
            }
        }
        if named().next().is_some() {
            return judge_named(plain, listed, literal);
        }
        match rules.others {
            Others::Refused => {
                Err("it is neither the registry nor a host that the driver declares".to_owned())
            }
            Others::WithoutSecrets if carries_secrets => {
                Err("credentials go to the registry and hosts that its driver declares, and nowhere else"
                    .to_owned())
            }
            Others::WithoutSecrets | Others::Any => {
                if plain && !listed && !rules.registry_is_plain() {
                    return Err("content is fetched over https only".to_owned());
                }
                within(Reach::of(rules.registry_network(proxies).await), literal)
            }
        }
    }
}

/// A literal address has to be within reach; a name is judged when it is resolved.
fn within(reach: Reach, literal: Option<Network>) -> Result<Reach, String> {
    match literal {
        Some(network) if !reach.includes(network) => Err(format!("it is {}", network.as_str())),
        _ => Ok(reach),
    }
}

impl Rules {
    fn is_registry(&self, name: &str) -> bool {
        self.registry.as_ref().and_then(Url::host_str).is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    /// Whether the registry itself may be called over HTTP.
    fn registry_is_plain(&self) -> bool {
        self.registry.as_ref().is_some_and(|url| {
            let port = url.port_or_known_default().unwrap_or(443);
            url.host_str().is_some_and(|host| self.insecure.contains(host, port))
        })
    }

    /// The network that the registry is in: the most public one that its name resolves to. Public if it does not resolve,
    /// or is not to be resolved here, since a proxy does.
    async fn registry_network(&self, proxies: &Proxies) -> Network {
        let Some(url) = &self.registry else { return Network::Public };
        let find = || async {
            let name = match url.host().ok_or(())? {
                Host::Domain(name) => name,
                literal => return Network::of_literal(&literal).ok_or(()),
            };
            if proxies.intercepts(url) {
                return Ok(Network::Public);
            }
            let found = tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((name, 0))).await;
            found.map_err(|_| ())?.map_err(|_| ())?.map(|a| Network::of(a.ip())).min().ok_or(())
        };
        self.registry_network.get_or_try_init(find).await.copied().unwrap_or(Network::Public)
    }
}

/// A host that the connection or the driver names.
fn judge_named(plain: bool, listed: bool, literal: Option<Network>) -> Result<Reach, String> {
    if plain && !listed {
        return Err("plain http needs an entry in REGENT_INSECURE_REGISTRIES".to_owned());
    }
    let reach = if listed { Reach::Loopback } else { Reach::Private };
    match within(reach, literal) {
        Err(_) if literal == Some(Network::Loopback) => {
            Err("a loopback address needs an entry in REGENT_INSECURE_REGISTRIES".to_owned())
        }
        other => other,
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress")
            .field("registry", &self.rules.registry.as_ref().and_then(Url::host_str))
            .field("declared", &self.rules.declared)
            .finish_non_exhaustive()
    }
}

/// A host of a driver's description.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HostPattern {
    /// Lower case.
    host: String,
    port: Option<u16>,
    /// It gives this machine its credentials.
    metadata: bool,
}

impl HostPattern {
    fn new(declared: &Declared) -> Self {
        let (text, metadata) = match declared {
            Declared::Host(text) => (text, false),
            Declared::Metadata(text) => (text, true),
        };
        let text = text.trim().to_ascii_lowercase();
        // An IPv6 address has colons of its own and stands in brackets.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => match port.parse() {
                Ok(port) if !host.contains(':') || host.ends_with(']') => (host.to_owned(), Some(port)),
                _ => (text, None),
            },
            _ => (text, None),
        };
        Self { host, port, metadata }
    }

    /// Without a port, the scheme's own ports are meant.
    fn matches(&self, host: &str, port: u16) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn verdict(egress: &Egress, url: &str, secrets: bool) -> Result<Reach, String> {
        let proxies = Proxies::new(&crate::http::ProxyConfig::default()).unwrap();
        egress.judge(&url.parse().unwrap(), secrets, &proxies).await
    }

    #[tokio::test]
    async fn control_requests_go_to_the_registry_and_to_declared_hosts() {
        let insecure = "localhost:5000 10.0.0.9:5000 auth.lan".parse().unwrap();
        let hosts = ["auth.example.com", "*.amazonaws.com", "*.dkr.ecr.*.example.net", "auth.lan", "*"];
        let metadata = ["169.254.170.2", "[fd00:ec2::23]", "127.0.0.1:9911", "credentials.lan:443"];
        let declared: Vec<_> = (hosts.map(|h| Declared::Host(h.to_owned())).into_iter())
            .chain(metadata.map(|h| Declared::Metadata(h.to_owned())))
            .collect();
        let egress = |base: &str| Egress::control(Some(base), &declared, &insecure);
        let rows = [
            ("r.example.com", "https://r.example.com/v2/", Ok(Reach::Private)),
            ("r.example.com", "https://R.example.com:8443/token", Ok(Reach::Private)),
            ("r.example.com", "http://r.example.com/v2/", Err("plain http")),
            ("r.example.com", "https://auth.example.com/token", Ok(Reach::Private)),
            ("r.example.com", "https://auth.example.com:444/token", Err("neither")),
            ("r.example.com", "http://auth.lan/token", Ok(Reach::Loopback)),
            ("r.example.com", "https://ecr.eu-west-1.amazonaws.com/", Ok(Reach::Private)),
            ("r.example.com", "https://amazonaws.com/", Err("neither")),
            ("r.example.com", "https://evilamazonaws.com/", Err("neither")),
            ("r.example.com", "https://r.example.com.evil.com/", Err("neither")),
            ("r.example.com", "https://1.dkr.ecr.eu-1.example.net/", Ok(Reach::Private)),
            ("r.example.com", "https://a.b.dkr.ecr.eu-1.example.net/", Ok(Reach::Private)),
            ("r.example.com", "https://dkr.ecr.eu-1.example.net/", Err("neither")),
            ("r.example.com", "https://1.dkr.ecr.evil.x.example.net/", Err("neither")),
            ("r.example.com", "https://1.dkr.ecr..example.net/", Err("neither")),
            ("r.example.com", "http://169.254.170.2/v2/credentials", Ok(Reach::Metadata)),
            ("r.example.com", "http://169.254.170.2:81/v2/credentials", Err("neither")),
            ("r.example.com", "http://[fd00:ec2::23]/v1/credentials", Ok(Reach::Metadata)),
            ("r.example.com", "http://127.0.0.1:9911/latest", Ok(Reach::Metadata)),
            ("127.0.0.1:5000", "http://127.0.0.1:9911/latest", Ok(Reach::Metadata)),
            ("r.example.com", "http://127.0.0.1/latest", Err("neither")),
            ("r.example.com", "http://credentials.lan:443/", Err("plain http")),
            ("r.example.com", "https://credentials.lan/", Ok(Reach::Private)),
            ("r.example.com", "http://169.254.169.254/latest", Err("neither")),
            ("169.254.169.254", "https://169.254.169.254/v2/", Err("link-local")),
            ("169.254.169.254", "http://169.254.169.254/v2/", Err("plain http")),
            ("10.0.0.8", "https://10.0.0.8/v2/", Ok(Reach::Private)),
            ("10.0.0.9:5000", "http://10.0.0.9:5000/v2/", Ok(Reach::Loopback)),
            ("127.0.0.1", "https://127.0.0.1/v2/", Err("loopback")),
            ("localhost:5000", "http://localhost:5000/v2/", Ok(Reach::Loopback)),
            ("localhost:5001", "http://localhost:5001/v2/", Err("plain http")),
            ("r.example.com", "ftp://r.example.com/", Err("only https")),
        ];
        for (base, url, expected) in rows {
            match (verdict(&egress(base), url, true).await, expected) {
                (Ok(reach), Ok(expected)) => assert_eq!(reach, expected, "{base} {url}"),
                (Err(rule), Err(part)) => assert!(rule.contains(part), "{base} {url}: {rule}"),
                (got, _) => panic!("{base} {url}: {got:?}"),
            }
        }
    }

    #[tokio::test]
    async fn content_may_be_redirected_without_secrets_within_the_registrys_network() {
        let insecure = "127.0.0.1:5000".parse().unwrap();
        let declared = ["169.254.169.254", "127.0.0.1:9911"].map(|h| Declared::Metadata(h.to_owned()));
        let egress = |base: &str| Egress::content(Some(base), &declared, &insecure);
        let rows = [
            ("8.8.8.8", "http://169.254.169.254/latest", false, Err("https only")),
            ("8.8.8.8", "http://127.0.0.1:9911/latest", false, Err("https only")),
            ("8.8.8.8", "https://blobs.example.com/x", false, Ok(Reach::Public)),
            ("8.8.8.8", "https://blobs.example.com/x", true, Err("credentials")),
            ("8.8.8.8", "http://blobs.example.com/x", false, Err("https only")),
            ("8.8.8.8", "https://10.0.0.1/x", false, Err("private")),
            ("8.8.8.8", "https://127.0.0.1/x", false, Err("loopback")),
            ("10.0.0.8", "https://10.0.0.1/x", false, Ok(Reach::Private)),
            ("10.0.0.8", "https://127.0.0.1/x", false, Err("loopback")),
            ("10.0.0.8", "https://169.254.169.254/x", false, Err("link-local")),
            ("127.0.0.1:5000", "http://127.0.0.1:9000/x", false, Ok(Reach::Loopback)),
            ("127.0.0.1:5000", "http://169.254.169.254/x", false, Err("link-local")),
        ];
        for (base, url, secrets, expected) in rows {
            match (verdict(&egress(base), url, secrets).await, expected) {
                (Ok(reach), Ok(expected)) => assert_eq!(reach, expected, "{base} {url}"),
                (Err(rule), Err(part)) => assert!(rule.contains(part), "{base} {url}: {rule}"),
                (got, _) => panic!("{base} {url}: {got:?}"),
            }
        }
    }

    #[tokio::test]
    async fn callbacks_go_anywhere_but_to_metadata() {
        let egress = Egress::callbacks();
        assert!(verdict(&egress, "http://broker:8000/api", false).await.is_ok());
        assert!(verdict(&egress, "http://127.0.0.1:8000/api", false).await.is_ok());
        assert!(verdict(&egress, "http://169.254.169.254/api", false).await.is_err());
    }
}
