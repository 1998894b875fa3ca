//! What a driver's session is given: requests, time, log, declared variables.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use regent_plugin_api::{HostServices, LogLevel};
use regent_transport::{Body, BoxFuture, Request, Response, Transport, TransportError, collect};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Environment;
use crate::http::HttpTransport;

/// Log lines of one session in one window; more are counted and not written.
const LINES_PER_WINDOW: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);

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
}

impl Services {
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
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let host = request.url.host_str().unwrap_or_default().to_owned();
            let transport = self.transport.clone();
            let whole = async move {
                let Response { status, headers, body } = transport.send(request).await?;
                let body = Body::whole(collect(body).await?);
                Ok(Response { status, headers, body })
            };
            let gone = || TransportError::Broken { host, reason: "the agent is shutting down".to_owned() };
            self.on_runtime(whole).await.unwrap_or_else(|| Err(gone()))
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
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
        let Some(suppressed) = self.lines.take() else { return };
        if suppressed > 0 {
            tracing::warn!(driver, suppressed, "the driver wrote more than the log takes");
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
    /// Whether one more line is written, and how many were not since the last one.
    pub(super) fn take(&self) -> Option<u64> {
        let now = Instant::now();
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = window.get_or_insert(Window { began: now, lines: 0, suppressed: 0 });
        if now.duration_since(current.began) >= WINDOW {
            let suppressed = current.suppressed;
            *current = Window { began: now, lines: 1, suppressed: 0 };
            return Some(suppressed);
        }
        if current.lines < LINES_PER_WINDOW {
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
        assert_eq!(written, LINES_PER_WINDOW as usize);
        tokio::time::advance(WINDOW).await;
        assert_eq!(window.take(), Some(1000 - u64::from(LINES_PER_WINDOW)));
        assert_eq!(window.take(), Some(0));
    }
}
