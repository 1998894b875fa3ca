//! The host's services over the loopback interface, for drivers that a test loads itself.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use regent_plugin_api::transport::{Body, BoxFuture, Request, Response, Transport, TransportError};
use regent_plugin_api::{HostServices, LogLevel};

/// Sends whatever it is asked to, and keeps what is logged.
#[derive(Debug, Default)]
pub(crate) struct Network {
    log: Mutex<Vec<String>>,
}

impl Network {
    /// What was logged until now.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn exchange(request: Request) -> Result<Response, TransportError> {
    let host = request.url.authority().to_owned();
    let mut call = regent_tests::http::client().request(request.method, request.url.as_str());
    call = call.headers(request.headers).body(request.body).timeout(request.timeout);
    let broken = |e: reqwest::Error| TransportError::Broken { host: host.clone(), reason: e.to_string() };
    let answer = call
        .send()
        .await
        .map_err(|e| TransportError::Connect { host: host.clone(), reason: e.to_string() })?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    Ok(Response { status, headers, body: Body::whole(answer.bytes().await.map_err(broken)?) })
}

impl Transport for Network {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(exchange(request))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    /// Always the same, such that two drivers are told the same.
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
    }

    fn jitter(&self) -> f64 {
        0.25
    }
}

impl HostServices for Network {
    fn log(&self, level: LogLevel, message: &str) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{level:?} {message}"));
    }

    fn env(&self, name: &str) -> Option<String> {
        (name == "FROZEN_VARIABLE").then(|| "seen".to_owned())
    }
}
