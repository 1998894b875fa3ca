//! A proxy in front of a real registry that breaks things on purpose.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};

use crate::http::{Body, Server, answer, client, whole};

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status instead of the answer, with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// The connection breaks after so many bytes of the body.
    Reset {
        /// Bytes that still come.
        after_bytes: usize,
    },
    /// The body ends early and cleanly: its `Content-Length` says so.
    Truncate {
        /// Bytes that come.
        to_bytes: usize,
    },
    /// One byte in the middle of the body is another one.
    WrongByte,
    /// The body comes in small pieces with pauses between them.
    Drip {
        /// Size of a piece.
        piece_bytes: usize,
        /// The pause.
        pause: Duration,
    },
    /// 307 to the same path at another authority.
    Redirect {
        /// `127.0.0.1:port`.
        to: String,
    },
}

/// A fault for requests whose path contains `path`, so many times.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Part of the path, e.g. `/blobs/`.
    pub path: String,
    /// How often it still strikes.
    pub times: usize,
    /// What happens.
    pub fault: Fault,
}

/// One request as it arrived at the proxy.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method and path.
    pub line: String,
    /// Whether an `Authorization` header came along.
    pub authorized: bool,
    /// The `Range` header.
    pub range: Option<String>,
}

/// A running proxy.
#[derive(Debug)]
pub struct FaultyRegistry {
    server: Server,
    rules: Arc<Mutex<Vec<Rule>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl FaultyRegistry {
    /// Starts one in front of the registry at `upstream` (`127.0.0.1:port`).
    pub async fn start(upstream: &str) -> Self {
        let rules: Arc<Mutex<Vec<Rule>>> = Arc::default();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (upstream, shared_rules, shared_seen) = (upstream.to_owned(), rules.clone(), seen.clone());
        let http = client();
        let server = Server::start(move |request| {
            let path = request.uri().path().to_owned();
            shared_seen.lock().unwrap().push(see(&request));
            let fault = strike(&mut shared_rules.lock().unwrap(), &path);
            let (upstream, http) = (upstream.clone(), http.clone());
            async move {
                match fault {
                    Some(Fault::Status(status, headers)) => {
                        let mut answer =
                            answer(status, "application/json", r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#);
                        for (name, value) in headers {
                            answer.headers_mut().insert(name, value.parse().unwrap());
                        }
                        answer
                    }
                    Some(Fault::Redirect { to }) => {
                        let target = format!("http://{to}{path}");
                        Response::builder().status(307).header("location", target).body(whole("")).unwrap()
                    }
                    fault => forward(&http, &upstream, request, fault).await,
                }
            }
        })
        .await;
        Self { server, rules, seen }
    }

    /// `127.0.0.1:port`.
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    /// Adds a fault.
    pub fn break_with(&self, path: &str, times: usize, fault: Fault) {
        self.rules.lock().unwrap().push(Rule { path: path.to_owned(), times, fault });
    }

    /// Takes all faults away.
    pub fn mend(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn see(request: &Request<Incoming>) -> Seen {
    Seen {
        line: format!("{} {}", request.method(), request.uri().path()),
        authorized: request.headers().contains_key("authorization"),
        range: request.headers().get("range").map(|v| v.to_str().unwrap().to_owned()),
    }
}

fn strike(rules: &mut [Rule], path: &str) -> Option<Fault> {
    let rule = rules.iter_mut().find(|r| r.times > 0 && path.contains(&r.path))?;
    rule.times -= 1;
    Some(rule.fault.clone())
}

async fn forward(
    http: &reqwest::Client,
    upstream: &str,
    request: Request<Incoming>,
    fault: Option<Fault>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let url = format!("http://{upstream}{}", parts.uri.path_and_query().unwrap());
    let mut forwarded = http.request(parts.method.clone(), url);
    for (name, value) in &parts.headers {
        // The challenge's realm and the registry's locations carry the Host header: the proxy's own has to stay.
        forwarded = forwarded.header(name, value);
    }
    let forwarded = forwarded.body(body.collect().await.unwrap().to_bytes());
    let got = forwarded.send().await.unwrap();
    let mut answer = Response::builder().status(got.status());
    let length = got.headers().get("content-length").cloned();
    for (name, value) in got.headers() {
        if name != "transfer-encoding" && name != "content-length" {
            answer = answer.header(name, value);
        }
    }
    let content = got.bytes().await.unwrap();
    let full = content.len();
    let (content, declared, ending) = match fault {
        Some(Fault::Reset { after_bytes }) => {
            (content.slice(..after_bytes.min(full)), full, Some(io::ErrorKind::ConnectionReset))
        }
        Some(Fault::Truncate { to_bytes }) => {
            let cut = content.slice(..to_bytes.min(full));
            let len = cut.len();
            (cut, len, None)
        }
        Some(Fault::WrongByte) => {
            let mut bytes = content.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            (Bytes::from(bytes), full, None)
        }
        Some(Fault::Drip { piece_bytes, pause }) => {
            let pieces: Vec<Bytes> = content.chunks(piece_bytes).map(Bytes::copy_from_slice).collect();
            let drip = stream::iter(pieces).then(move |piece| async move {
                tokio::time::sleep(pause).await;
                Ok(Frame::data(piece))
            });
            return answer
                .header("content-length", full)
                .body(BodyExt::boxed(StreamBody::new(drip)))
                .unwrap();
        }
        _ => (content, full, None),
    };
    // An answer to HEAD has a length without a body.
    let answer = match length.filter(|_| parts.method == hyper::Method::HEAD) {
        Some(length) => answer.header("content-length", length),
        None => answer.header("content-length", declared),
    };
    let mut frames: Vec<io::Result<Frame<Bytes>>> = vec![Ok(Frame::data(content))];
    frames.extend(ending.map(|kind| Err(io::Error::from(kind))));
    let body = StreamBody::new(stream::iter(frames));
    if parts.method == hyper::Method::HEAD {
        return answer.body(whole("")).unwrap();
    }
    answer.body(BodyExt::boxed(body)).unwrap()
}
