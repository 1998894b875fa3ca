//! What the routes work with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use regent_report::Compat;
use regent_transport::Fault as _;
use secrecy::SecretString;
use serde_json::Value;

use super::problem::Problem;
use crate::admission::Admission;
use crate::breaker::{Breakers, Sign};
use crate::callbacks::{CallbackRules, Deliveries};
use crate::connection::{Connection, Given, confine, find};
use crate::drivers::Drivers;
use crate::jobs::Queue;
use crate::registry::{Error as RegistryError, Registry};
use crate::shutdown::Shutdown;
use crate::telemetry::Metrics;

/// The parts that the API calls, and the settings that it goes by.
#[derive(Clone)]
pub struct Context {
    /// Connection → session.
    pub drivers: Drivers,
    /// Accepted operations.
    pub queue: Arc<dyn Queue>,
    /// Whether there is room for more.
    pub admission: Admission,
    /// Of registries, by their host.
    pub breakers: Breakers,
    /// The counters.
    pub metrics: Metrics,
    /// Asked for its counters.
    pub deliveries: Deliveries,
    /// Where callbacks may go.
    pub callbacks: Arc<CallbackRules>,
    /// The agent's own connection, from the `CR_…` settings.
    pub own_connection: Arc<BTreeMap<&'static str, SecretString>>,
    /// Below which requests may name local images.
    pub local_root: Option<PathBuf>,
    /// Where state is kept; readiness wants it writable.
    pub data_dir: PathBuf,
    /// `/list` answers an empty list.
    pub list_disabled: bool,
    /// Which release's results are matched.
    pub compat: Compat,
    /// Not ready any more once the stop was asked for.
    pub shutdown: Shutdown,
}

impl Context {
    /// The session that a request's connection leads to, with the connection. No request goes out.
    pub(super) async fn open(
        &self,
        headers: &http::HeaderMap,
        credentials: Option<&Value>,
    ) -> Result<(Arc<Registry>, Connection), Problem> {
        let given = Given { body: credentials, headers };
        let found = find(given, &self.own_connection).map_err(|e| Problem::of(&e))?;
        if let Some(notice) = found.notice {
            tracing::warn!(registry_type = found.connection.registry_type, "{}", notice.message());
        }
        let connection = found.connection;
        let registry = self.drivers.open(&connection).await.map_err(|e| registry_problem(&e.into()))?;
        let driver = registry.driver();
        // A driver that serves content from this machine's files: requests don't get to see any file they like.
        if !(driver.serves_content() && driver.capabilities.iter().any(|c| c == "files")) {
            return Ok((registry, connection));
        }
        let connection = confine(connection, self.local_root.as_deref()).map_err(|e| Problem::of(&e))?;
        let registry = self.drivers.open(&connection).await.map_err(|e| registry_problem(&e.into()))?;
        Ok((registry, connection))
    }

    /// Runs one call of a session, and counts it. Fails at once while its registry is left alone.
    pub(super) async fn call<T>(
        &self,
        registry: &Registry,
        call: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, Problem> {
        let driver = &registry.driver().name;
        let pass =
            self.breakers.admit(registry.host()).map_err(|open| Problem::of(&open).with_driver(driver))?;
        let started = Instant::now();
        let outcome = call.await;
        pass.tell(outcome.as_ref().map_or_else(RegistryError::sign, |_| Sign::Alive));
        let code = outcome.as_ref().err().map_or("ok", |e| e.code());
        self.metrics.driver_call(driver, code);
        tracing::debug!(driver, outcome = code, seconds = started.elapsed().as_secs_f64(), "driver call");
        outcome.map_err(|e| registry_problem(&e).with_driver(driver))
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("drivers", &self.drivers).finish_non_exhaustive()
    }
}

/// The problem that a registry's or driver's error is.
pub(super) fn registry_problem(error: &RegistryError) -> Problem {
    let problem = Problem::of(error);
    match error.driver() {
        Some(driver) => problem.with_driver(driver),
        None => problem,
    }
}
