//! Where callbacks end: plays the service behind the broker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::watch;

use crate::http::{Server, json};

/// One callback that arrived.
#[derive(Debug, Clone)]
pub struct Callback {
    /// Its path.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: http::HeaderMap,
    /// Its body.
    pub body: Value,
    /// Size of the body in bytes.
    pub size_bytes: usize,
}

/// A running sink.
#[derive(Debug)]
pub struct Sink {
    server: Server,
    received: Arc<Mutex<Vec<Callback>>>,
    count: watch::Receiver<usize>,
    failures: Arc<Mutex<Vec<u16>>>,
}

impl Sink {
    /// Starts one that takes everything.
    pub async fn start() -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let failures: Arc<Mutex<Vec<u16>>> = Arc::default();
        let (sender, count) = watch::channel(0);
        let (store, fail) = (received.clone(), failures.clone());
        let sender = Arc::new(sender);
        let server = Server::start(move |request| {
            let (store, fail, sender) = (store.clone(), fail.clone(), sender.clone());
            async move {
                let path = request.uri().path().to_owned();
                let headers = request.headers().clone();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let failure = fail.lock().unwrap().pop();
                if let Some(status) = failure {
                    return json(status, &serde_json::json!({ "error": "told to fail" }));
                }
                let size_bytes = body.len();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let arrived = {
                    let mut store = store.lock().unwrap();
                    store.push(Callback { path, headers, body, size_bytes });
                    store.len()
                };
                sender.send_replace(arrived);
                json(200, &serde_json::json!({ "ok": true }))
            }
        })
        .await;
        Self { server, received, count, failures }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Answers the next callbacks with these statuses, the last one first, and takes none of them.
    pub fn fail_with(&self, statuses: &[u16]) {
        *self.failures.lock().unwrap() = statuses.to_vec();
    }

    /// Everything that arrived so far.
    pub fn received(&self) -> Vec<Callback> {
        self.received.lock().unwrap().clone()
    }

    fn find(&self, suffix: &str, operation: &str) -> Option<Callback> {
        let received = self.received.lock().unwrap();
        let hit = received.iter().find(|c| c.path.ends_with(suffix) && c.body["operationId"] == operation);
        hit.cloned()
    }

    /// Waits until a callback to a path ending in `suffix` is there for this operation.
    ///
    /// # Panics
    /// When it does not come within two minutes.
    pub async fn wait_for(&self, suffix: &str, operation: &str) -> Callback {
        let mut count = self.count.clone();
        let found = async {
            loop {
                count.borrow_and_update();
                let hit = self.find(suffix, operation);
                if let Some(callback) = hit {
                    return callback;
                }
                count.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(Duration::from_mins(2), found).await;
        in_time.unwrap_or_else(|_| panic!("no {suffix} for {operation}; arrived: {:#?}", self.received()))
    }
}
