//! Where requests may go.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regent_plugin_api::egress::HostPattern;
use tokio::sync::OnceCell;
use url::{Host, Url};

use super::address::Network;
use super::insecure::{InsecureRegistries, authority};
use super::limit::EgressLimit;
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
///
/// The registry's own host is so with its port: what listens on another one is another host. Of all that, an [`EgressLimit`]
/// may take away, and add nothing. A refusal names the host, the rule and the driver.
#[derive(Clone)]
pub struct Egress {
    rules: Arc<Rules>,
    session: Option<Session>,
}

/// Whose requests they are, and what the operator leaves of them.
#[derive(Clone)]
struct Session {
    driver: Arc<str>,
    limit: Arc<EgressLimit>,
}

struct Rules {
    registry: Option<Url>,
    declared: Vec<DeclaredHosts>,
    insecure: InsecureRegistries,
    others: Others,
    registry_network: OnceCell<Network>,
}

/// Hosts of a driver's description, as [`HostPattern`]s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// One like any other.
    Host(String),
    /// A service that gives this machine its credentials.
    Metadata(String),
}

/// The same, as it is compared.
#[derive(Debug)]
struct DeclaredHosts {
    pattern: HostPattern,
    /// They give this machine its credentials.
    metadata: bool,
}

impl From<&Declared> for DeclaredHosts {
    fn from(declared: &Declared) -> Self {
        let (text, metadata) = match declared {
            Declared::Host(text) => (text, false),
            Declared::Metadata(text) => (text, true),
        };
        Self { pattern: HostPattern::new(text), metadata }
    }
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
        let wanted = |hosts: &DeclaredHosts| others == Others::Refused || !hosts.metadata;
        let rules = Rules {
            registry: base.and_then(authority),
            declared: declared.iter().map(DeclaredHosts::from).filter(wanted).collect(),
            insecure: insecure.clone(),
            others,
            registry_network: OnceCell::new(),
        };
        Self { rules: Arc::new(rules), session: None }
    }

    /// The same for a session of this driver, without what the operator takes away.
    #[must_use]
    pub fn of_driver(self, driver: &str, limit: &Arc<EgressLimit>) -> Self {
        Self { session: Some(Session { driver: driver.into(), limit: Arc::clone(limit) }), ..self }
    }

    /// A rule that forbids something, with the driver that it was forbidden to.
    pub(super) fn told(&self, rule: &str) -> String {
        match &self.session {
            Some(session) => format!("{rule} (driver {})", session.driver),
            None => rule.to_owned(),
        }
    }

    /// Whether a request may go to this URL, and which addresses the name may have; else the rule that forbids it.
    pub(super) async fn judge(
        &self,
        url: &Url,
        carries_secrets: bool,
        proxies: &Proxies,
    ) -> Result<Reach, String> {
        let verdict = self.permitted(url, carries_secrets, proxies).await;
        verdict.and_then(|reach| self.left(url).map(|()| reach)).map_err(|rule| self.told(&rule))
    }

    /// Whether the operator leaves the host to the driver.
    fn left(&self, url: &Url) -> Result<(), String> {
        let Some(Session { driver, limit }) = &self.session else { return Ok(()) };
        let host_and_port = url.host_str().zip(url.port_or_known_default());
        match host_and_port {
            Some((host, port)) if limit.leaves(driver, host, port) => Ok(()),
            _ => Err("REGENT_EGRESS does not name it".to_owned()),
        }
    }

    async fn permitted(&self, url: &Url, carries_secrets: bool, proxies: &Proxies) -> Result<Reach, String> {
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
        let named = || rules.declared.iter().filter(|hosts| hosts.pattern.matches(&name, port));
        let local = literal.is_some_and(|network| Reach::Metadata.includes(network)) || name == "localhost";
        if local && named().any(|hosts| hosts.metadata) {
            return Ok(Reach::Metadata);
        }
        if rules.is_registry(&name, port) {
            let verdict = judge_named(plain, listed, literal);
            // Content may come from the registry's own host in a way that is not permitted to it as the registry.
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
    /// Whether this is the host that the connection names, at the port that it names or, without one, the scheme's own.
    fn is_registry(&self, name: &str, port: u16) -> bool {
        self.registry.as_ref().is_some_and(|own| {
            own.host_str().is_some_and(|host| host.eq_ignore_ascii_case(name))
                && own.port().map_or(matches!(port, 80 | 443), |named| named == port)
        })
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

#[cfg(test)]
mod tests;
