//! The world of a driver that is only looked at: no network, no time to wait, no environment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use regent_plugin_api::{HostServices, LogLevel};
use regent_transport::{BoxFuture, Request, Response, Transport, TransportError};

/// Counts requests and answers none.
#[derive(Debug, Default)]
pub(super) struct Offline(AtomicUsize);

impl Offline {
    /// Requests so far.
    pub(super) fn requests(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Transport for Offline {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let reason = "there is no network in a check".to_owned();
        Box::pin(async { Err(TransportError::Connect { host, reason }) })
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::task::yield_now())
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

impl HostServices for Offline {
    fn log(&self, _: LogLevel, _: &str) {}

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}
