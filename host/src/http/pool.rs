//! Connections, kept apart by purpose and by what their names may resolve to.

use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;
use reqwest::{Certificate, Client, ClientBuilder, Identity, redirect, retry};
use url::Url;

use super::egress::Reach;
use super::proxy::Proxies;
use super::resolver::{GuardedResolver, system};
use super::{CaBundle, ClientCertificate, HttpConfig, HttpError};
use crate::causes::chain;
use crate::threads::is_working;

/// What requests are for. Decides how long idle connections are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A registry, its token service, its blob store.
    Registry,
    /// The Broker Client, which closes idle connections after 6 s: a request on one that is just being closed is lost.
    Broker,
}

impl Purpose {
    fn idle(self) -> Duration {
        match self {
            Self::Registry => Duration::from_secs(30),
            Self::Broker => Duration::from_secs(4),
        }
    }
}

/// Idle connections kept to one host: as many as a listing has requests under way at once.
const MAX_IDLE_PER_HOST: usize = 16;

/// What a server may send ahead of a slow reader on one HTTP/2 stream. It bounds the memory of a scan, and at 50 ms to the
/// registry it lets through 40 MB/s.
const H2_STREAM_WINDOW_BYTES: u32 = 2 << 20;

/// One client for each purpose and reach, made when it is first needed: with the system's roots one costs some
/// milliseconds.
pub(super) struct Pools {
    recipe: Recipe,
    registry: Clients,
    broker: Clients,
    /// Of hosts that are shown a certificate: their connections are used for nothing else.
    identified: Vec<Identified>,
}

/// A connection is served by the runtime that it was made in: operations have their own, that no answer is behind a download.
#[derive(Default)]
struct Clients {
    answering: [OnceCell<Client>; Reach::ALL.len()],
    working: [OnceCell<Client>; Reach::ALL.len()],
}

impl Clients {
    /// The place of the client for this thread.
    fn slot(&self, reach: Reach) -> &OnceCell<Client> {
        let clients = if is_working() { &self.working } else { &self.answering };
        clients.get(reach as usize).expect("there is one slot for each reach")
    }
}

/// A host that is shown a certificate of ours.
struct Identified {
    /// `host` or `host:port`.
    host: String,
    identity: Identity,
    clients: Clients,
}

impl Identified {
    fn read(certificate: &ClientCertificate) -> Result<Self, HttpError> {
        let ClientCertificate { host, path } = certificate;
        let setting = ClientCertificate::SETTING;
        let unreadable = |source| HttpError::BundleUnreadable { setting, path: path.clone(), source };
        let pem = std::fs::read(path).map_err(unreadable)?;
        let identity = Identity::from_pem(&pem).map_err(|_| HttpError::BundleInvalid {
            setting,
            path: path.clone(),
            reason: "does not hold a certificate and its private key in PEM",
        })?;
        Ok(Self { host: host.clone(), identity, clients: Clients::default() })
    }

    fn is(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let port = url.port_or_known_default().unwrap_or_default();
        self.host == host || self.host == format!("{host}:{port}")
    }
}

struct Recipe {
    certificates: Vec<Certificate>,
    proxies: Vec<reqwest::Proxy>,
    proxy_hosts: Arc<[String]>,
    connect_timeout: Duration,
    user_agent: String,
    /// There is no TLS root at all.
    rootless: bool,
}

impl Pools {
    pub(super) fn new(config: &HttpConfig, proxies: &Proxies) -> Result<Self, HttpError> {
        let mut certificates = Vec::new();
        for bundle in &config.ca_bundles {
            certificates.extend(read_bundle(bundle)?);
        }
        let mut recipe = Recipe {
            certificates,
            proxies: proxies.iter().collect(),
            proxy_hosts: proxies.hosts().into(),
            connect_timeout: config.connect_timeout,
            user_agent: config.user_agent.clone(),
            rootless: false,
        };
        // One is made now, such that a configuration that makes none is told at the start.
        let first = match recipe.client(Purpose::Registry, Reach::Private, None) {
            Ok(client) => client,
            Err(_) if recipe.certificates.is_empty() => {
                recipe.rootless = true;
                recipe.client(Purpose::Registry, Reach::Private, None)?
            }
            Err(error) => return Err(error),
        };
        let identified = config.client_certificates.iter().map(Identified::read).collect::<Result<_, _>>()?;
        let pools = Self { recipe, registry: Clients::default(), broker: Clients::default(), identified };
        let _ = pools.registry.slot(Reach::Private).set(first);
        Ok(pools)
    }

    /// The client for this purpose and reach, and for this URL's host.
    pub(super) fn client(&self, purpose: Purpose, reach: Reach, url: &Url) -> Result<&Client, HttpError> {
        let identified = self.identified.iter().find(|host| purpose == Purpose::Registry && host.is(url));
        let (slots, identity) = match (identified, purpose) {
            (Some(host), _) => (&host.clients, Some(&host.identity)),
            (None, Purpose::Registry) => (&self.registry, None),
            (None, Purpose::Broker) => (&self.broker, None),
        };
        // once_cell's, since the standard one can't be filled by something that fails.
        slots.slot(reach).get_or_try_init(|| self.recipe.client(purpose, reach, identity))
    }

    /// Whether there is no TLS root at all, neither the system's nor from a bundle.
    pub(super) fn is_rootless(&self) -> bool {
        self.recipe.rootless
    }
}

impl Recipe {
    fn client(
        &self,
        purpose: Purpose,
        reach: Reach,
        identity: Option<&Identity>,
    ) -> Result<Client, HttpError> {
        let resolver = GuardedResolver { reach, lookup: system(), proxies: Arc::clone(&self.proxy_hosts) };
        let mut builder = ClientBuilder::new()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .dns_resolver(resolver)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(purpose.idle())
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .tcp_keepalive(Duration::from_secs(30))
            .http2_initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(2 * H2_STREAM_WINDOW_BYTES)
            .user_agent(self.user_agent.as_str());
        if reach != Reach::Metadata {
            for proxy in &self.proxies {
                builder = builder.proxy(proxy.clone());
            }
        }
        builder = if self.rootless {
            builder.tls_certs_only(self.certificates.clone())
        } else {
            builder.tls_certs_merge(self.certificates.clone())
        };
        if let Some(identity) = identity {
            builder = builder.identity(identity.clone());
        }
        builder.build().map_err(|e| HttpError::Unusable { reason: chain(&e) })
    }
}

fn read_bundle(bundle: &CaBundle) -> Result<Vec<Certificate>, HttpError> {
    let CaBundle { setting, path } = bundle;
    let invalid = |reason| HttpError::BundleInvalid { setting, path: path.clone(), reason };
    let pem = std::fs::read(path).map_err(|source| HttpError::BundleUnreadable {
        setting,
        path: path.clone(),
        source,
    })?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| invalid("has a broken certificate"))?;
    if certificates.is_empty() {
        return Err(invalid("holds no certificate in PEM"));
    }
    Ok(certificates)
}
