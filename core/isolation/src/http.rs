//! Requests that a driver has of its host, and their answers.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use regent_transport::{Body, Request, Response, TransportError, collect};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::values::cut;

/// Longest host, rule or reason of a failure, in bytes.
const MAX_REASON_BYTES: usize = 512;

/// A header, with the mark on sensitive values.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Header {
    name: String,
    value: Bytes,
    is_sensitive: bool,
}

impl Header {
    pub(crate) fn new(name: &HeaderName, value: &HeaderValue) -> Self {
        Self {
            name: name.as_str().to_owned(),
            value: Bytes::copy_from_slice(value.as_bytes()),
            is_sensitive: value.is_sensitive(),
        }
    }

    /// `None` for one that is none.
    pub(crate) fn take(self) -> Option<(HeaderName, HeaderValue)> {
        let name = HeaderName::from_bytes(self.name.as_bytes()).ok()?;
        let mut value = HeaderValue::from_bytes(&self.value).ok()?;
        value.set_sensitive(self.is_sensitive);
        Some((name, value))
    }
}

fn give(headers: &HeaderMap) -> Vec<Header> {
    headers.iter().map(|(name, value)| Header::new(name, value)).collect()
}

fn take(headers: Vec<Header>) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for header in headers {
        let (name, value) = header.take()?;
        map.try_append(name, value).ok()?;
    }
    Some(map)
}

/// `Request`.
#[derive(Serialize, Deserialize)]
pub(crate) struct HttpRequest {
    method: String,
    url: String,
    headers: Vec<Header>,
    body: Bytes,
    timeout: Duration,
    max_body_bytes: u64,
}

impl From<Request> for HttpRequest {
    fn from(request: Request) -> Self {
        Self {
            method: request.method.as_str().to_owned(),
            url: request.url.as_str().to_owned(),
            headers: give(&request.headers),
            body: request.body,
            timeout: request.timeout,
            max_body_bytes: request.max_body_bytes,
        }
    }
}

impl HttpRequest {
    /// # Errors
    /// [`TransportError::Invalid`].
    pub(crate) fn take(self) -> Result<Request, TransportError> {
        let invalid = |reason: String| TransportError::Invalid { reason };
        let method =
            Method::from_bytes(self.method.as_bytes()).map_err(|_| invalid("its method".to_owned()))?;
        let url = Url::parse(&self.url).map_err(|e| invalid(format!("its URL: {e}")))?;
        let mut request = Request::new(method, url);
        request.headers = take(self.headers).ok_or_else(|| invalid("a header".to_owned()))?;
        request.body = self.body;
        request.timeout = self.timeout;
        request.max_body_bytes = self.max_body_bytes;
        Ok(request)
    }
}

/// `Response` with its whole body.
#[derive(Serialize, Deserialize)]
pub(crate) struct HttpAnswer {
    status: u16,
    headers: Vec<Header>,
    body: Bytes,
}

impl HttpAnswer {
    /// Reads the whole body: drivers get it in one piece.
    ///
    /// # Errors
    /// Those of the body.
    pub(crate) async fn of(response: Response) -> Result<Self, TransportError> {
        let Response { status, headers, body } = response;
        Ok(Self { status: status.as_u16(), headers: give(&headers), body: collect(body).await? })
    }

    /// # Errors
    /// [`TransportError::Broken`].
    pub(crate) fn take(self, host: &str) -> Result<Response, TransportError> {
        let broken =
            |reason: &str| TransportError::Broken { host: host.to_owned(), reason: reason.to_owned() };
        Ok(Response {
            status: StatusCode::from_u16(self.status).map_err(|_| broken("its status"))?,
            headers: take(self.headers).ok_or_else(|| broken("a header"))?,
            body: Body::whole(self.body),
        })
    }
}

/// `TransportError`.
#[derive(Serialize, Deserialize)]
pub(crate) struct HttpFailure {
    kind: Kind,
    host: String,
    reason: String,
    limit_bytes: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Kind {
    Refused,
    Invalid,
    Connect,
    Tls,
    Timeout,
    Broken,
    TooLarge,
}

impl From<TransportError> for HttpFailure {
    fn from(error: TransportError) -> Self {
        let (kind, host, reason, limit_bytes) = match error {
            TransportError::Refused { host, rule } => (Kind::Refused, host, rule, 0),
            TransportError::Invalid { reason } => (Kind::Invalid, String::new(), reason, 0),
            TransportError::Connect { host, reason } => (Kind::Connect, host, reason, 0),
            TransportError::Tls { host, reason } => (Kind::Tls, host, reason, 0),
            TransportError::Timeout { host } => (Kind::Timeout, host, String::new(), 0),
            TransportError::Broken { host, reason } => (Kind::Broken, host, reason, 0),
            TransportError::TooLarge { host, limit_bytes } => {
                (Kind::TooLarge, host, String::new(), limit_bytes)
            }
            other => (Kind::Broken, String::new(), other.to_string(), 0),
        };
        Self { kind, host: cut(host, MAX_REASON_BYTES), reason: cut(reason, MAX_REASON_BYTES), limit_bytes }
    }
}

impl HttpFailure {
    pub(crate) fn take(self) -> TransportError {
        let Self { kind, host, reason, limit_bytes } = self;
        match kind {
            Kind::Refused => TransportError::Refused { host, rule: reason },
            Kind::Invalid => TransportError::Invalid { reason },
            Kind::Connect => TransportError::Connect { host, reason },
            Kind::Tls => TransportError::Tls { host, reason },
            Kind::Timeout => TransportError::Timeout { host },
            Kind::Broken => TransportError::Broken { host, reason },
            Kind::TooLarge => TransportError::TooLarge { host, limit_bytes },
        }
    }
}
