//! The one who asks: sends what got no answer once more, and waits where it is told to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::progress::Progress;
use crate::agent::Connection;

/// How long one answer may take before the request is sent again.
const ANSWER: Duration = Duration::from_secs(10);
/// The pause before a request that got no answer is sent again, as the broker has it.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a request may stay without an answer that says something.
const PATIENCE: Duration = Duration::from_mins(3);

/// A request for an operation.
#[derive(Debug, Clone)]
pub struct Order {
    /// `/scan`, `/discover`, `/pull`.
    pub path: &'static str,
    /// `repository:tag`.
    pub image: String,
    /// Comes back with every callback; unique.
    pub correlation: String,
    /// `snyk-request-id`: the same whenever the request is repeated.
    pub request_id: String,
}

impl Order {
    /// One with an id of its own.
    pub fn new(path: &'static str, image: &str, correlation: &str) -> Self {
        let request_id = uuid::Uuid::new_v4().to_string();
        Self { path, image: image.to_owned(), correlation: correlation.to_owned(), request_id }
    }
}

/// Asks the agents of one queue in turn.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    agents: Vec<String>,
    next: AtomicUsize,
    connection: Connection,
    progress: Progress,
    repeated: AtomicUsize,
    put_off: AtomicUsize,
}

impl Client {
    /// Of these agents (`http://host:port`).
    pub fn new(agents: Vec<String>, connection: Connection, progress: Progress) -> Self {
        Self {
            http: crate::http::client(),
            agents,
            next: AtomicUsize::new(0),
            connection,
            progress,
            repeated: AtomicUsize::new(0),
            put_off: AtomicUsize::new(0),
        }
    }

    /// Requests that were sent again since they got no answer.
    pub fn n_repeated(&self) -> usize {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Requests that were answered 429 or 503.
    pub fn n_put_off(&self) -> usize {
        self.put_off.load(Ordering::Relaxed)
    }

    /// Has an operation accepted, and returns its id.
    ///
    /// # Panics
    /// When it is refused for good.
    pub async fn submit(&self, order: &Order) -> String {
        let operation = self.submit_again(order).await;
        self.progress.count(|counts| counts.accepted += 1);
        operation
    }

    /// The same for a request that was accepted before.
    pub async fn submit_again(&self, order: &Order) -> String {
        let (status, answer) = self.until_answered(|agent| self.request(agent, order)).await;
        assert_eq!(status, 202, "{}: {answer}", order.correlation);
        answer["operationId"].as_str().unwrap().to_owned()
    }

    /// Asks once, and returns status, `Retry-After` and body.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn submit_once(&self, order: &Order) -> (u16, Option<String>, Value) {
        let (status, headers, body) = answered(self.request(&self.agents[0], order)).await.unwrap();
        let retry_after = headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        (status, retry_after, body)
    }

    fn request(&self, agent: &str, order: &Order) -> reqwest::RequestBuilder {
        let body = json!({
            "image": order.image, "credentials": self.connection.0, "correlationId": order.correlation,
        });
        let request = self.http.post(format!("{agent}{}", order.path)).json(&body);
        request.header("snyk-request-id", &order.request_id)
    }

    /// GET: status and body.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.until_answered(|agent| self.http.get(format!("{agent}{path}"))).await
    }

    /// DELETE: status and body.
    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.until_answered(|agent| self.http.delete(format!("{agent}{path}"))).await
    }

    /// POST without a body: status and body of the answer.
    pub async fn post(&self, path: &str) -> (u16, Value) {
        self.until_answered(|agent| self.http.post(format!("{agent}{path}"))).await
    }

    /// Sends a request to one agent after the other until one answers it.
    async fn until_answered(&self, request: impl Fn(&str) -> reqwest::RequestBuilder) -> (u16, Value) {
        let begin = Instant::now();
        loop {
            let agent = &self.agents[self.next.fetch_add(1, Ordering::Relaxed) % self.agents.len()];
            let why = match answered(request(agent)).await {
                Ok((status @ (429 | 503), headers, body)) => {
                    self.put_off.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(retry_after(&headers)).await;
                    format!("{status} {body}")
                }
                Ok((status, _, body)) => return (status, body),
                Err(error) => {
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                    format!("{error:?}")
                }
            };
            assert!(begin.elapsed() < PATIENCE, "{agent} does not say yes or no; last: {why}");
        }
    }
}

async fn answered(request: reqwest::RequestBuilder) -> reqwest::Result<(u16, HeaderMap, Value)> {
    let answer = request.timeout(ANSWER).send().await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await?;
    Ok((status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}
