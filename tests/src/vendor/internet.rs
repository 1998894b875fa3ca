//! Host names and who answers there, the time, and the world as a linked-in driver sees it.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use regent_plugin_api::transport::{Body, BoxFuture, Request, Response, Transport, TransportError};
use regent_plugin_api::{Description, HostServices, LogLevel};

use super::message::{Answer, Received};

/// What a turn of the executor stands for while a driver waits.
const TURN: Duration = Duration::from_millis(50);
const MAX_TURNS: u128 = 10_000;

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
    /// Sites that are there once, whoever opens them.
    shared: Mutex<Vec<Box<dyn Any + Send>>>,
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

    /// The site of this kind that is there already, or else a new one: for vendors with more than one scene.
    pub fn shared<S: Site + Clone + 'static>(&self, open: impl FnOnce() -> S) -> S {
        let mut shared = self.0.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(site) = shared.iter().find_map(|site| site.downcast_ref::<S>()) {
            return site.clone();
        }
        let site = open();
        self.add(site.clone());
        shared.push(Box::new(site.clone()));
        site
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
    /// these hosts, and the process has these variables. It may reach them, and what its description declares.
    pub fn services(
        &self,
        description: &Description,
        hosts: &[String],
        variables: &[(String, String)],
    ) -> Arc<dyn HostServices> {
        let declared = description.env.iter();
        let variables: BTreeMap<String, String> =
            declared.filter_map(|name| variables.iter().rev().find(|(n, _)| n == name).cloned()).collect();
        let mut allowed: Vec<Allowed> =
            hosts.iter().map(|host| Allowed { pattern: host.clone(), plain: false }).collect();
        for entry in &description.egress {
            let (entry, plain) =
                entry.strip_prefix("metadata:").map_or((entry.as_str(), false), |entry| (entry, true));
            let pattern = match entry.strip_prefix("{env:").and_then(|name| name.strip_suffix('}')) {
                Some(name) => {
                    let url = variables.get(name).map(|url| url.parse::<url::Url>().unwrap());
                    url.map(|url| url.authority().to_owned())
                }
                None => (!entry.starts_with('{')).then(|| entry.to_owned()),
            };
            allowed.extend(pattern.map(|pattern| Allowed { pattern, plain }));
        }
        Arc::new(LinkedHost { internet: self.clone(), allowed, variables })
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
    allowed: Vec<Allowed>,
    variables: BTreeMap<String, String>,
}

/// Hosts that a driver may reach.
struct Allowed {
    /// As a description has it.
    pattern: String,
    /// Over plain HTTP as well: what gives a machine its credentials.
    plain: bool,
}

impl Allowed {
    fn matches(&self, host: &str) -> bool {
        let name = host.split(':').next().unwrap_or_default();
        if let Some(suffix) = self.pattern.strip_prefix('*')
            && !suffix.contains('*')
        {
            return name.ends_with(suffix);
        }
        // A `*` that is not the first label is any one.
        let (mut pattern, mut labels) = (self.pattern.rsplit('.').peekable(), name.rsplit('.'));
        while let Some(wanted) = pattern.next() {
            match (wanted, labels.next()) {
                ("*", Some(_)) if pattern.peek().is_none() => return true,
                ("*", Some(_)) => {}
                (wanted, Some(label)) if wanted == label => {}
                _ => return self.pattern == host,
            }
        }
        labels.next().is_none()
    }
}

impl LinkedHost {
    fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let host = request.url.authority().to_owned();
        let mut named = self.allowed.iter().filter(|allowed| allowed.matches(&host)).peekable();
        if named.peek().is_none() {
            return Err(TransportError::Refused { host, rule: "the driver did not declare it".to_owned() });
        }
        if request.url.scheme() != "https" && !named.any(|allowed| allowed.plain) {
            return Err(TransportError::Refused { host, rule: "only HTTPS is spoken here".to_owned() });
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
        let until = self.internet.now() + duration;
        // As many turns as the pause is long, so that what is under way goes first and a pause that is given up, such as
        // that of a timeout, takes no time.
        let turns = duration.as_millis().div_ceil(TURN.as_millis()).clamp(1, MAX_TURNS);
        Box::pin(async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            if let Ok(left) = until.duration_since(self.internet.now()) {
                self.internet.advance(left);
            }
        })
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

    fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}
