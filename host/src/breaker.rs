//! Circuit breakers: a host that keeps failing is left alone for a while, and then asked by one call.
//!
//! Closed, every call is admitted, and failures in a row are counted. At [`BreakerConfig::n_failures`] it opens: calls
//! are refused at once, which spares the callers the wait and the host the load. When its time is over, exactly one call
//! is admitted, the probe. If that succeeds, all is as before; if not, it is open again, for twice as long.
//!
//! Hosts that don't fail cost nothing: there is an entry only for those whose last call failed.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regent_transport::{Backoff, Class, Fault, Retry};
use tokio::time::Instant;

/// How long it is waited at first for the answer to a probe.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// When breakers open and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open one. 0 counts as 1.
    pub n_failures: u32,
    /// How long it is open, by how often it opened without a success in between. The time is a random part of it, but at
    /// least the half.
    pub backoff: Backoff,
    /// How long a probe may take. One that takes longer stops no other.
    pub probe_timeout: Duration,
    /// Hosts that are remembered. With more, those whose last call is longest ago are forgotten.
    pub max_hosts: usize,
    /// How long a host is remembered after the last call to it, and after the end of the time in which there were none.
    pub idle: Duration,
}

impl Default for BreakerConfig {
    /// Open after five failures, for 5 s at first and 5 min at most.
    fn default() -> Self {
        Self {
            n_failures: 5,
            backoff: Backoff { first: Duration::from_secs(5), longest: Duration::from_mins(5) },
            probe_timeout: Duration::from_mins(1),
            max_hosts: 1024,
            idle: Duration::from_mins(15),
        }
    }
}

/// The breakers of all hosts. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Breakers {
    shared: Arc<Shared>,
}

struct Shared {
    config: BreakerConfig,
    jitter: fn() -> f64,
    // std, since it is held for a few instructions and never over an await.
    hosts: Mutex<HashMap<Arc<str>, Entry>>,
    probes: AtomicU64,
    opened: AtomicU64,
    refused: AtomicU64,
}

struct Entry {
    state: State,
    /// When it was last called, or will be admitted again.
    used: Instant,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        n_failures: u32,
    },
    Open {
        until: Instant,
        n_opened: u32,
    },
    /// Half open, since the probe of this number was admitted.
    Probing {
        probe: u64,
        since: Instant,
        n_opened: u32,
    },
}

/// The right to make one call. What came of it is told with [`Pass::succeeded`] or [`Pass::failed`]; one that is dropped,
/// since its call was cancelled, says nothing, and lets the next call be the probe if it was the probe.
#[must_use = "a pass that is dropped says nothing of the host"]
pub struct Pass {
    shared: Arc<Shared>,
    host: Arc<str>,
    /// `None` for a call to a host whose breaker was closed.
    probe: Option<u64>,
}

/// The host is left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} failed several times in a row and is left alone for {} s", retry_after.as_secs_f64().ceil())]
pub struct Open {
    /// The host.
    pub host: Arc<str>,
    /// When a call may be admitted.
    pub retry_after: Duration,
}

/// What the end of a call says of the host that it went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It answered, be it with a refusal.
    Alive,
    /// It can't be reached, does not answer or says that it fails.
    Failing,
    /// Nothing: the fault is on this side, or in the certificate, and the caller is better told of that.
    Nothing,
}

/// Counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BreakerMetrics {
    /// Hosts that are left alone now, or asked by a probe.
    pub open: usize,
    /// How often a breaker opened.
    pub opened: u64,
    /// Calls that were refused.
    pub refused: u64,
}

impl Breakers {
    /// All closed.
    pub fn new(config: BreakerConfig) -> Self {
        Self::with_jitter(config, rand::random)
    }

    fn with_jitter(config: BreakerConfig, jitter: fn() -> f64) -> Self {
        let shared = Shared {
            config,
            jitter,
            hosts: Mutex::default(),
            probes: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The right to call this host now.
    ///
    /// # Errors
    /// [`Open`]: it is to be left alone.
    pub fn admit(&self, host: &str) -> Result<Pass, Open> {
        let shared = &self.shared;
        let now = Instant::now();
        let mut hosts = shared.hosts();
        let Some((host, entry)) = known(&mut hosts, host) else {
            return Ok(Pass { shared: Arc::clone(shared), host: host.into(), probe: None });
        };
        entry.used = entry.used.max(now);
        let mut retry_after = Duration::MAX;
        let (left, n_opened) = match entry.state {
            State::Closed { .. } => return Ok(Pass { shared: Arc::clone(shared), host, probe: None }),
            State::Open { until, n_opened } => (until.saturating_duration_since(now), n_opened),
            State::Probing { since, n_opened, .. } => {
                // Most probes are answered at once. Whoever finds one that is not comes back after as long again.
                retry_after = now.duration_since(since).max(PROBE_WAIT);
                ((since + shared.config.probe_timeout).saturating_duration_since(now), n_opened)
            }
        };
        if !left.is_zero() {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Open { host, retry_after: retry_after.min(left) });
        }
        let probe = shared.probes.fetch_add(1, Ordering::Relaxed);
        entry.state = State::Probing { probe, since: now, n_opened };
        Ok(Pass { shared: Arc::clone(shared), host, probe: Some(probe) })
    }

    /// Counters.
    pub fn metrics(&self) -> BreakerMetrics {
        let Shared { opened, refused, .. } = &*self.shared;
        let now = Instant::now();
        let refuses = |entry: &&Entry| match entry.state {
            State::Closed { .. } => false,
            State::Open { until, .. } => until > now,
            State::Probing { .. } => true,
        };
        BreakerMetrics {
            open: self.shared.hosts().values().filter(refuses).count(),
            opened: opened.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
        }
    }
}

impl Pass {
    /// The host answered.
    pub fn succeeded(self) {
        self.tell(Sign::Alive);
    }

    /// The host failed.
    pub fn failed(self) {
        self.tell(Sign::Failing);
    }

    /// What the end of the call says of the host.
    pub fn tell(mut self, sign: Sign) {
        let probe = self.probe;
        match sign {
            Sign::Alive => self.shared.succeeded(&self.host, probe),
            Sign::Failing => self.shared.failed(&self.host, probe),
            Sign::Nothing => return, // as if it was dropped
        }
        self.probe = None;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(probe) = self.probe else { return };
        let mut hosts = self.shared.hosts();
        let Some(entry) = hosts.get_mut(&*self.host) else { return };
        if let State::Probing { probe: current, n_opened, .. } = entry.state
            && current == probe
        {
            entry.state = State::Open { until: Instant::now(), n_opened };
        }
    }
}

impl Shared {
    fn hosts(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self, host: &Arc<str>, probe: Option<u64>) {
        let mut hosts = self.hosts();
        let closes = match hosts.get(host).map(|entry| entry.state) {
            Some(State::Closed { .. }) => true,
            Some(State::Probing { probe: current, .. }) => Some(current) == probe,
            // The call is from before it opened.
            Some(State::Open { .. }) | None => false,
        };
        if closes {
            hosts.remove(host);
        }
        drop(hosts);
        if closes && probe.is_some() {
            tracing::info!(%host, "the host answers again");
        }
    }

    fn failed(&self, host: &Arc<str>, probe: Option<u64>) {
        let now = Instant::now();
        let mut hosts = self.hosts();
        let n_opened = match hosts.get(host).map(|entry| entry.state) {
            None => self.counted(&mut hosts, host, 1, now),
            Some(State::Closed { n_failures }) => self.counted(&mut hosts, host, n_failures + 1, now),
            Some(State::Probing { probe: current, n_opened, .. }) if Some(current) == probe => {
                Some(n_opened.saturating_add(1))
            }
            // The call is from before it opened.
            Some(State::Probing { .. } | State::Open { .. }) => None,
        };
        let Some(n_opened) = n_opened else { return };
        let part = f64::midpoint(1.0, (self.jitter)().clamp(0.0, 1.0));
        let time = self.config.backoff.after(n_opened).mul_f64(part);
        let until = now + time;
        hosts.insert(Arc::clone(host), Entry { state: State::Open { until, n_opened }, used: until });
        drop(hosts);
        self.opened.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%host, n_opened, seconds = time.as_secs_f64(), "the host keeps failing and is left alone");
    }

    /// Notes so many failures in a row, unless they are enough to open the breaker, for the first time.
    fn counted(
        &self,
        hosts: &mut HashMap<Arc<str>, Entry>,
        host: &Arc<str>,
        n_failures: u32,
        now: Instant,
    ) -> Option<u32> {
        self.make_room(hosts, host, now);
        if n_failures >= self.config.n_failures {
            return Some(1);
        }
        hosts.insert(Arc::clone(host), Entry { state: State::Closed { n_failures }, used: now });
        None
    }

    /// Only when a host is added: the map is no larger than what failed within the time of [`BreakerConfig::idle`].
    fn make_room(&self, hosts: &mut HashMap<Arc<str>, Entry>, host: &Arc<str>, now: Instant) {
        if hosts.contains_key(host) {
            return;
        }
        hosts.retain(|_, entry| now.saturating_duration_since(entry.used) < self.config.idle);
        while hosts.len() >= self.config.max_hosts.max(1) {
            let oldest = hosts.iter().min_by_key(|(_, entry)| entry.used).map(|(host, _)| Arc::clone(host));
            let Some(oldest) = oldest else { break };
            hosts.remove(&oldest);
        }
    }
}

/// The entry of a host, with its name as the map holds it.
fn known<'a>(hosts: &'a mut HashMap<Arc<str>, Entry>, host: &str) -> Option<(Arc<str>, &'a mut Entry)> {
    let name = hosts.get_key_value(host).map(|(name, _)| Arc::clone(name))?;
    Some((name, hosts.get_mut(host)?))
}

impl Sign {
    /// By the error's class. One that will not change with time, as an unknown certificate authority, is quickly met again
    /// and says more than that the host is left alone.
    pub fn of(fault: &dyn Fault) -> Self {
        match fault.class() {
            Class::Unavailable | Class::Timeout if fault.retry() != Retry::Never => Self::Failing,
            Class::Authentication | Class::Denied | Class::Absent | Class::Throttled | Class::Corrupt => {
                Self::Alive
            }
            // Among them what this side finds out without asking.
            _ => Self::Nothing,
        }
    }
}

impl Fault for Open {
    fn class(&self) -> Class {
        Class::Unavailable
    }

    fn retry(&self) -> Retry {
        Retry::After(self.retry_after)
    }

    fn code(&self) -> &'static str {
        "circuit_open"
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("host", &self.host)
            .field("is_probe", &self.probe.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
