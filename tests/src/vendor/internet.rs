//! Host names and who answers there, the time, and the world as a linked-in driver sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use regent_plugin_api::transport::{Body, BoxFuture, Request, Response, Transport, TransportError};
use regent_plugin_api::{Description, HostServices, LogLevel};

use super::message::{Answer, Received};

/// Who answers under some host names.
pub trait Site: Send + Sync {
    /// The names, with ports that are not 443.
    fn hosts(&self) -> BTreeSet<String>;

    /// Its answer.
    fn answer(&self, request: &Received) -> Answer;
}

/// An internet of emulators. Clones are the same one.
#[derive(Clone, Default)]
pub struct Internet(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sites: Mutex<BTreeMap<String, Arc<dyn Site>>>,
    /// How far its time is ahead of the machine's.
    ahead_ms: AtomicU64,
}

impl Internet {
    /// Without a single host.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a site answer under its names.
    pub fn add(&self, site: impl Site + 'static) {
        let (hosts, site): (_, Arc<dyn Site>) = (site.hosts(), Arc::new(site));
        let mut sites = self.0.sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.extend(hosts.into_iter().map(|host| (host, Arc::clone(&site))));
    }

    /// The answer to a request; `None` if there is no such host.
    pub fn answer(&self, request: &Received) -> Option<Answer> {
        let site = self.0.sites.lock().unwrap_or_else(PoisonError::into_inner).get(&request.host).cloned();
        site.map(|site| site.answer(request))
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_millis(self.0.ahead_ms.load(Ordering::Relaxed))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.0.ahead_ms.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// What a linked-in driver is given, when its connection's `registryBase` (and the fields that its egress names) are
    /// these hosts. It may reach them, and what its description declares.
    pub fn services(&self, description: &Description, hosts: &[String]) -> Arc<dyn HostServices> {
        let declared = description.egress.iter().filter(|pattern| !pattern.starts_with('{')).cloned();
        let allowed = declared.chain(hosts.iter().cloned()).collect();
        Arc::new(LinkedHost { internet: self.clone(), allowed })
    }
}

impl fmt::Debug for Internet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sites = self.0.sites.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Internet").field("hosts", &sites.keys()).finish()
    }
}

struct LinkedHost {
    internet: Internet,
    allowed: Vec<String>,
}

impl LinkedHost {
    fn may_reach(&self, host: &str) -> bool {
        let name = host.split(':').next().unwrap_or_default();
        self.allowed.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(suffix) => name.ends_with(suffix),
            None => pattern == host || pattern == name,
        })
    }

    fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let host = request.url.authority().to_owned();
        if request.url.scheme() != "https" {
            return Err(TransportError::Refused { host, rule: "only HTTPS is spoken here".to_owned() });
        }
        if !self.may_reach(&host) {
            return Err(TransportError::Refused { host, rule: "the driver did not declare it".to_owned() });
        }
        let mut path = request.url.path().to_owned();
        if let Some(query) = request.url.query() {
            path = format!("{path}?{query}");
        }
        let mut received = Received::new(request.method, &host, &path, self.internet.now());
        received.headers = request.headers;
        received.body = request.body;
        let reason = "there is no such host".to_owned();
        let answer = self
            .internet
            .answer(&received)
            .ok_or_else(|| TransportError::Connect { host: host.clone(), reason })?;
        let (head, body) = answer.into_parts();
        if body.len() as u64 > request.max_body_bytes {
            return Err(TransportError::TooLarge { host, limit_bytes: request.max_body_bytes });
        }
        Ok(Response { status: head.status, headers: head.headers, body: Body::whole(body) })
    }
}

impl Transport for LinkedHost {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        let answer = self.exchange(request);
        Box::pin(async move {
            // Give way once, as the network does: a driver must not lean on answers that are there at once.
            tokio::task::yield_now().await;
            answer
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.internet.advance(duration);
        Box::pin(tokio::task::yield_now())
    }

    fn now(&self) -> SystemTime {
        self.internet.now()
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

impl HostServices for LinkedHost {
    fn log(&self, _: LogLevel, _: &str) {}

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}
