//! What a driver asks of its host, over the tests' own HTTP client: for drivers that are linked into a test.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use regent_plugin_api::transport::{Body, BoxFuture, Request, Response, Transport, TransportError};
use regent_plugin_api::{HostServices, LogLevel};

/// Sends for real, waits for real, and keeps the log.
#[derive(Debug)]
pub struct Services {
    http: reqwest::Client,
    log: Mutex<Vec<(LogLevel, String)>>,
}

impl Default for Services {
    fn default() -> Self {
        Self { http: crate::http::client(), log: Mutex::default() }
    }
}

impl Services {
    /// The lines that were logged, in order.
    pub fn log_lines(&self) -> Vec<(LogLevel, String)> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let host = request.url.authority().to_owned();
        let broken = |error: reqwest::Error| {
            let (host, connected) = (host.clone(), !error.is_connect());
            let reason = error.without_url().to_string();
            if connected {
                TransportError::Broken { host, reason }
            } else {
                TransportError::Connect { host, reason }
            }
        };
        let sent = self.http.request(request.method, request.url).headers(request.headers).body(request.body);
        let answer = sent.timeout(request.timeout).send().await.map_err(broken)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(broken)?;
        if body.len() as u64 > request.max_body_bytes {
            let limit_bytes = request.max_body_bytes;
            return Err(TransportError::TooLarge { host: host.clone(), limit_bytes });
        }
        Ok(Response { status, headers, body: Body::whole(body) })
    }
}

impl Transport for Services {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(self.exchange(request))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

impl HostServices for Services {
    fn log(&self, level: LogLevel, message: &str) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push((level, message.to_owned()));
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}
