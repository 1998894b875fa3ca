//! Open sessions, kept while they are used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::index::Key;
use crate::connection::{Connection, Fingerprint};
use crate::registry::Registry;

/// Sessions by connection, the least recently used ones leaving first.
pub(super) struct Sessions {
    max: usize,
    idle: Duration,
    kept: Mutex<HashMap<Fingerprint, Kept>>,
}

struct Kept {
    registry: Arc<Registry>,
    connection: Connection,
    driver: Key,
    used: Instant,
}

impl Sessions {
    pub(super) fn new(max: usize, idle: Duration) -> Self {
        Self { max: max.max(1), idle, kept: Mutex::default() }
    }

    /// The session of a connection, if it is one of this driver and still of use.
    pub(super) fn find(&self, fingerprint: Fingerprint, driver: &Key) -> Option<Arc<Registry>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let entry = kept.get_mut(&fingerprint)?;
        let usable = entry.driver == *driver
            && entry.registry.is_alive()
            && now.duration_since(entry.used) < self.idle;
        if !usable {
            kept.remove(&fingerprint);
            return None;
        }
        entry.used = now;
        Some(Arc::clone(&entry.registry))
    }

    /// Keeps a new session. If a request at the side has opened one meanwhile, that one is returned and stays.
    pub(super) fn keep(
        &self,
        fingerprint: Fingerprint,
        driver: Key,
        connection: &Connection,
        registry: Arc<Registry>,
    ) -> Arc<Registry> {
        if let Some(other) = self.find(fingerprint, &driver) {
            return other;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|_, k| now.duration_since(k.used) < self.idle && k.registry.is_alive());
        while kept.len() >= self.max {
            let Some(oldest) = kept.iter().min_by_key(|(_, k)| k.used).map(|(f, _)| *f) else { break };
            kept.remove(&oldest);
        }
        let connection = connection.clone();
        kept.insert(fingerprint, Kept { registry: Arc::clone(&registry), connection, driver, used: now });
        registry
    }

    /// Connections with a session of that driver, the last used first.
    pub(super) fn connections(&self, driver: &Key, most: usize) -> Vec<Connection> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut theirs: Vec<&Kept> = kept.values().filter(|k| k.driver == *driver).collect();
        theirs.sort_by_key(|k| std::cmp::Reverse(k.used));
        theirs.into_iter().take(most).map(|k| k.connection.clone()).collect()
    }

    /// Lets go of all sessions.
    pub(super) fn forget_all(&self) {
        let all = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        drop(all);
    }

    /// Lets go of all sessions of a driver. One that is in use ends with its last call.
    pub(super) fn forget(&self, driver: &Key) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, k| k.driver != *driver);
    }
}
