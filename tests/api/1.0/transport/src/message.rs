//! Requests and answers.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use crate::{BoxFuture, TransportError};

/// One HTTP request.
#[derive(Clone)]
pub struct Request {
    /// GET, HEAD, POST, …
    pub method: Method,
    /// Where to. `Debug` shows it without its query.
    pub url: Url,
    /// Headers; those that carry secrets are marked with [`HeaderValue::set_sensitive`], and every part of Regent
    /// that logs or follows redirects goes by that mark.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// Time allowed until the head of the answer is there, and between two pieces of its body.
    pub timeout: Duration,
    /// The largest body that is read, in bytes.
    pub max_body_bytes: u64,
}

impl Request {
    /// Time allowed when nobody says otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
    /// Body limit when nobody says otherwise: enough for any page of a listing.
    pub const DEFAULT_MAX_BODY_BYTES: u64 = 16 << 20;

    /// A request without headers or body.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: Self::DEFAULT_TIMEOUT,
            max_body_bytes: Self::DEFAULT_MAX_BODY_BYTES,
        }
    }

    /// `GET url`.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Adds a header that may be seen.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Adds a header whose value is a secret.
    ///
    /// # Errors
    /// When the value can't stand in a header.
    pub fn secret_header(mut self, name: HeaderName, value: &str) -> Result<Self, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(value)?;
        value.set_sensitive(true);
        self.headers.append(name, value);
        Ok(self)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        url.set_query(None);
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &url.as_str())
            .field("headers", &self.headers) // sensitive values print as "Sensitive"
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The head of an answer and its body, still to be read.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; no bytes of it may have come yet.
    pub body: Body,
}

impl Response {
    /// A header's value as text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// A body, read piece by piece; dropping it ends the request.
pub struct Body(Box<dyn BodySource>);

/// What a transport puts behind a [`Body`].
pub trait BodySource: Send {
    /// The next piece; `None` at the end.
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>>;
}

impl Body {
    /// A body over this source.
    pub fn new(source: impl BodySource + 'static) -> Self {
        Self(Box::new(source))
    }

    /// A body that is there already.
    pub fn whole(bytes: Bytes) -> Self {
        Self::new(Whole(Some(bytes).filter(|b| !b.is_empty())))
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`TransportError`]: the rest will not come.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        self.0.chunk().await
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

struct Whole(Option<Bytes>);

impl BodySource for Whole {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        let next = self.0.take();
        Box::pin(async move { Ok(next) })
    }
}
