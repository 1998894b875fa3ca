//! Requests as they arrive at an emulator, read whole, and its answers.

use std::time::SystemTime;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// An answer, whole.
pub type Answer = Response<Bytes>;

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// `host`, or `host:port` where the port is not 443.
    pub host: String,
    /// The path as it was sent, not decoded.
    pub path: String,
    /// The pairs of the query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When it arrived, by the internet's clock.
    pub at: SystemTime,
}

impl Received {
    /// A request without a body, for `path` with or without a query.
    pub fn new(method: Method, host: &str, path_and_query: &str, at: SystemTime) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let (host, path) = (host.to_owned(), path.to_owned());
        Self { method, host, path, query, headers: HeaderMap::new(), body: Bytes::new(), at }
    }

    /// Method, URL: for logs and messages.
    pub fn line(&self) -> String {
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{} https://{}{}{mark}{query}", self.method, self.host, self.path)
    }

    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter as a number. The operation's table has seen to it that it is one.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.query(name).map(|value| value.parse().unwrap())
    }

    /// User name and password of `Authorization: Basic`.
    pub fn basic(&self) -> Option<(String, String)> {
        let pair = self.header("authorization")?.strip_prefix("Basic ")?;
        let pair = base64::engine::general_purpose::STANDARD.decode(pair).ok()?;
        let (name, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
        Some((name.to_owned(), password.to_owned()))
    }

    /// The token of `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The pairs of a form in the body.
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the `Accept` header takes this media type. No header takes all.
    pub fn accepts(&self, media_type: &str) -> bool {
        let group = media_type.split('/').next().unwrap_or_default();
        let wanted: Vec<&str> =
            self.headers.get_all("accept").iter().flat_map(|v| v.to_str().unwrap().split(',')).collect();
        wanted.is_empty()
            || wanted.iter().any(|one| {
                let one = one.split(';').next().unwrap_or_default().trim();
                one == "*/*" || one == media_type || one == format!("{group}/*")
            })
    }
}

/// Percent-decodes a segment of a path, once.
pub fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// A JSON answer.
pub fn json(status: u16, value: &Value) -> Answer {
    text(status, "application/json", value.to_string())
}

/// An answer with any text.
pub fn text(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    Response::builder().status(status).header("content-type", content_type).body(body.into()).unwrap()
}

/// The same answer with one more header.
#[must_use]
pub fn with_header(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    answer.headers_mut().append(name, value.parse().unwrap());
    answer
}
