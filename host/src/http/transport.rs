//! The real [`Transport`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use regent_transport::{
    Body, BodySource, BoxFuture, Fault as _, Request, Response, Transport, TransportError,
};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::Shared;
use super::debug_log::Redacted;
use super::egress::Egress;
use super::failure::sort;
use super::pool::Purpose;

/// Sends requests within the rules of one session. Cheap to clone.
#[derive(Clone)]
pub struct HttpTransport {
    shared: Arc<Shared>,
    egress: Egress,
    purpose: Purpose,
}

impl HttpTransport {
    pub(super) fn new(shared: Arc<Shared>, egress: Egress, purpose: Purpose) -> Self {
        Self { shared, egress, purpose }
    }

    async fn exchange(&self, request: Request, host: &str) -> Result<Response, TransportError> {
        let secrets = request.headers.values().any(http::HeaderValue::is_sensitive);
        let refused = |rule| TransportError::Refused { host: host.to_owned(), rule };
        let reach = self.egress.judge(&request.url, secrets, &self.shared.proxies).await.map_err(refused)?;
        let pools = &self.shared.pools;
        if request.url.scheme() == "https" && pools.is_rootless() {
            let reason = "there are no certificate authorities: install ca-certificates, or name a bundle in \
                          NODE_EXTRA_CA_CERTS";
            return Err(TransportError::Tls { host: host.to_owned(), reason: reason.to_owned() });
        }
        let client = pools
            .client(self.purpose, reach, &request.url)
            .map_err(|e| TransportError::Tls { host: host.to_owned(), reason: e.to_string() })?;
        let mut outgoing = reqwest::Request::new(request.method, request.url);
        *outgoing.headers_mut() = request.headers;
        if !request.body.is_empty() {
            *outgoing.body_mut() = Some(request.body.into());
        }
        let timed_out = |_| TransportError::Timeout { host: host.to_owned() };
        let answer = timeout(request.timeout, client.execute(outgoing)).await.map_err(timed_out)?;
        let mut answer = answer.map_err(|e| match sort(&e, host) {
            TransportError::Refused { host, rule } => {
                TransportError::Refused { host, rule: self.egress.told(&rule) }
            }
            other => other,
        })?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let body = LimitedBody {
            answer,
            host: host.to_owned(),
            timeout: request.timeout,
            left_bytes: request.max_body_bytes,
            limit_bytes: request.max_body_bytes,
            shared: Arc::clone(&self.shared),
        };
        Ok(Response { status, headers, body: Body::new(body) })
    }

    /// One line for whoever looks for a fault.
    fn log(
        &self,
        method: &http::Method,
        url: &Url,
        outcome: &Result<Response, TransportError>,
        took: Duration,
    ) {
        if !self.shared.log_requests {
            return;
        }
        let (url, milliseconds) = (Redacted(url), took.as_millis());
        match outcome {
            Ok(response) => {
                tracing::debug!(%method, %url, status = response.status.as_u16(), milliseconds, "request");
            }
            Err(error) => tracing::debug!(%method, %url, error = %error, milliseconds, "request failed"),
        }
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let started = Instant::now();
            let (method, url) = (request.method.clone(), request.url.clone());
            let host = host_and_port(&url);
            let outcome = self.exchange(request, &host).await;
            let took = started.elapsed();
            match &outcome {
                Ok(response) => self.shared.metrics.answered(response.status, took.as_secs_f64()),
                Err(error) => self.shared.metrics.failed(error.code()),
            }
            self.log(&method, &url, &outcome, took);
            outcome
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(sleep(duration))
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn jitter(&self) -> f64 {
        rand::random()
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("egress", &self.egress)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A body that ends with an error where it grows too large or stands still.
struct LimitedBody {
    answer: reqwest::Response,
    host: String,
    timeout: Duration,
    left_bytes: u64,
    limit_bytes: u64,
    shared: Arc<Shared>,
}

impl BodySource for LimitedBody {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async move {
            let next = timeout(self.timeout, self.answer.chunk()).await;
            let next = next.map_err(|_| TransportError::Timeout { host: self.host.clone() })?;
            let Some(bytes) = next.map_err(|e| sort(&e, &self.host))? else { return Ok(None) };
            self.shared.metrics.received(bytes.len());
            let Some(left_bytes) = self.left_bytes.checked_sub(bytes.len() as u64) else {
                let (host, limit_bytes) = (self.host.clone(), self.limit_bytes);
                return Err(TransportError::TooLarge { host, limit_bytes });
            };
            self.left_bytes = left_bytes;
            Ok(Some(bytes))
        })
    }
}
