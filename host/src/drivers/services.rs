//! What a driver's session is given: requests, time, log, declared variables.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use regent_plugin_api::bounds::{
    LOG_WINDOW, MAX_ANSWER_BODY_BYTES, MAX_LOG_LINES, MAX_PAUSES_AT_ONCE, MAX_REQUESTS_AT_ONCE,
};
use regent_plugin_api::{HostServices, LogLevel};
use regent_transport::{Body, BoxFuture, Request, Response, Transport, TransportError, collect};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Environment;
use super::budget::{Breach, Budget};
use crate::http::HttpTransport;

/// The services of one session. Called from the driver's thread, which has no reactor and no timers: what needs them runs
/// on the main runtime, in a task that ends when the driver drops its future.
pub(super) struct Services {
    pub(super) driver: String,
    pub(super) transport: HttpTransport,
    pub(super) runtime: Handle,
    pub(super) environment: Environment,
    /// Names that the description declares.
    pub(super) declared: Vec<String>,
    pub(super) lines: LogWindow,
    pub(super) turns: Turns,
}

/// What a session has under way at once.
pub(super) struct Turns {
    requests: Semaphore,
    pauses: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self { requests: Semaphore::new(MAX_REQUESTS_AT_ONCE), pauses: Semaphore::new(MAX_PAUSES_AT_ONCE) }
    }
}

impl Services {
    /// Notes that the driver asked for too much, and is refused.
    fn exceeded(&self, budget: Option<&Budget>, breach: Breach) -> String {
        if let Some(budget) = budget {
            budget.note(breach);
        }
        tracing::warn!(driver = self.driver, %breach, "the driver asks for more than it gets");
        format!("driver {} asks for {breach}", self.driver)
    }

    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let mut task = JoinSet::new(); // aborts what it holds when it is dropped
        task.spawn_on(work, &self.runtime);
        task.join_next().await?.ok()
    }
}

impl Transport for Services {
    fn send(&self, mut request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let budget = Budget::current();
            let refused = budget.as_ref().and_then(|budget| budget.take_request().err());
            if let Some(breach) = refused.or_else(|| Breach::of(&request)) {
                let reason = self.exceeded(budget.as_deref(), breach);
                return Err(TransportError::Invalid { reason });
            }
            let _turn = self.turns.requests.acquire().await; // it is never closed
            let is_cut = request.max_body_bytes > MAX_ANSWER_BODY_BYTES;
            request.max_body_bytes = request.max_body_bytes.min(MAX_ANSWER_BODY_BYTES);
            let host = request.url.host_str().unwrap_or_default().to_owned();
            let transport = self.transport.clone();
            let whole = async move {
                let Response { status, headers, body } = transport.send(request).await?;
                let body = Body::whole(collect(body).await?);
                Ok(Response { status, headers, body })
            };
            let gone = || TransportError::Broken { host, reason: "the agent is shutting down".to_owned() };
            let answer = self.on_runtime(whole).await.unwrap_or_else(|| Err(gone()));
            if is_cut && matches!(answer, Err(TransportError::TooLarge { .. })) {
                self.exceeded(budget.as_deref(), Breach::ANSWER);
            }
            answer
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _turn = self.turns.pauses.acquire().await; // it is never closed
            // Made there as well: a timer belongs to the runtime it is made in, and the driver's thread has none.
            self.on_runtime(async move { tokio::time::sleep(duration).await }).await;
        })
    }

    fn now(&self) -> SystemTime {
        self.transport.now()
    }

    fn jitter(&self) -> f64 {
        self.transport.jitter()
    }
}

impl HostServices for Services {
    fn log(&self, level: LogLevel, message: &str) {
        let driver = self.driver.as_str();
        if !self.lines.let_through(driver) {
            return;
        }
        let message = message.escape_debug(); // one line, whatever a registry put into it
        match level {
            LogLevel::Trace => tracing::trace!(driver, "{message}"),
            LogLevel::Debug => tracing::debug!(driver, "{message}"),
            LogLevel::Info => tracing::info!(driver, "{message}"),
            LogLevel::Warn => tracing::warn!(driver, "{message}"),
            LogLevel::Error => tracing::error!(driver, "{message}"),
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        self.declared.iter().any(|d| d == name).then(|| (self.environment)(name)).flatten()
    }
}

/// Counts log lines.
#[derive(Default)]
pub(super) struct LogWindow(Mutex<Option<Window>>);

struct Window {
    began: Instant,
    lines: u32,
    suppressed: u64,
}

impl LogWindow {
    /// Whether one more line of a driver is written. Says how many were not since the last one.
    pub(super) fn let_through(&self, driver: &str) -> bool {
        let suppressed = self.take();
        if let Some(suppressed @ 1..) = suppressed {
            tracing::warn!(driver, suppressed, "the driver wrote more than the log takes");
        }
        suppressed.is_some()
    }

    /// Whether one more line is written, and how many were not since the last one.
    fn take(&self) -> Option<u64> {
        let now = Instant::now();
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = window.get_or_insert(Window { began: now, lines: 0, suppressed: 0 });
        if now.duration_since(current.began) >= LOG_WINDOW {
            let suppressed = current.suppressed;
            *current = Window { began: now, lines: 1, suppressed: 0 };
            return Some(suppressed);
        }
        if current.lines < MAX_LOG_LINES {
            current.lines += 1;
            return Some(0);
        }
        current.suppressed += 1;
        None
    }
}

/// For [`regent_plugin_api`], which takes them behind a pointer.
pub(super) type SharedServices = Arc<dyn HostServices>;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_logs_without_end_is_cut_and_counted() {
        let window = LogWindow::default();
        let written = (0..1000).filter(|_| window.take().is_some()).count();
        assert_eq!(written, MAX_LOG_LINES as usize);
        tokio::time::advance(LOG_WINDOW).await;
        assert_eq!(window.take(), Some(1000 - u64::from(MAX_LOG_LINES)));
        assert_eq!(window.take(), Some(0));
    }
}
