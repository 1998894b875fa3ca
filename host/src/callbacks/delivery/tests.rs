use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use regent_transport::{Body, BoxFuture, Response};
use tokio::time::{Instant, sleep};

use super::super::Part;
use super::*;
use crate::jobs::OperationId;

/// What the other side does with one try.
#[derive(Clone, Copy)]
enum Play {
    Answer(u16),
    AskToWait(u16, &'static str),
    Hang,
    HangUp,
    Refuse,
}

/// A Broker Client that follows a script, and answers 200 after its end. Time stands still but for waits.
#[derive(Default)]
struct Scripted {
    plays: Mutex<VecDeque<Play>>,
    /// The requests, with the time at which they came.
    seen: Mutex<Vec<(Instant, Request)>>,
    under_way: AtomicU64,
    most_under_way: AtomicU64,
}

impl Transport for Scripted {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        let play = self.plays.lock().unwrap().pop_front();
        let host = || "broker:8000".to_owned();
        self.seen.lock().unwrap().push((Instant::now(), request));
        Box::pin(async move {
            let n = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.most_under_way.fetch_max(n, Ordering::Relaxed);
            sleep(Duration::from_millis(1)).await;
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            let (status, headers) = match play {
                None => (200, HeaderMap::new()),
                Some(Play::Answer(status)) => (status, HeaderMap::new()),
                Some(Play::AskToWait(status, wait)) => {
                    (status, HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(wait))]))
                }
                Some(Play::Hang) => std::future::pending().await,
                Some(Play::HangUp) => {
                    return Err(TransportError::Broken { host: host(), reason: "reset".to_owned() });
                }
                Some(Play::Refuse) => {
                    return Err(TransportError::Refused { host: host(), rule: "a rule".to_owned() });
                }
            };
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Response { status, headers, body: Body::whole(Bytes::new()) })
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(sleep(duration))
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

const TIMEOUT: Duration = Duration::from_mins(2);
const DEADLINE: Duration = Duration::from_hours(1);

fn scripted(plays: &[Play]) -> (Arc<Scripted>, Deliveries) {
    let broker =
        Arc::new(Scripted { plays: Mutex::new(plays.iter().copied().collect()), ..Scripted::default() });
    let deliveries = Deliveries::over(broker.clone(), DeliveryPolicy::new(TIMEOUT, DEADLINE));
    (broker, deliveries)
}

fn callback(n_bytes: usize) -> Callback {
    Callback {
        operation: OperationId::new(),
        part: Part::Result(3),
        url: "http://broker:8000/api/v2/import/result".parse().unwrap(),
        body: vec![b' '; n_bytes].into(),
    }
}

/// Seconds from the first try to each, rounded down.
fn times(broker: &Scripted) -> Vec<u64> {
    let seen = broker.seen.lock().unwrap();
    seen.iter().map(|(at, _)| at.duration_since(seen[0].0).as_secs()).collect()
}

/// Tries until it has arrived or is given up, as workers do.
async fn deliver(deliveries: &Deliveries, callback: &Callback) -> Result<(), DeliveryError> {
    let begun = Instant::now();
    let mut n_tries = 0;
    loop {
        n_tries += 1;
        let Err(error) = deliveries.send(callback).await else { return Ok(()) };
        let Some(wait) = deliveries.wait(n_tries, begun.elapsed(), &error) else { return Err(error) };
        sleep(wait).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_until_a_2xx() {
    // (what the broker does, seconds at which tries begin); half of the backoff is waited, on top of what is asked for.
    let rows: [(&[Play], &[u64]); 8] = [
        (&[], &[0]),
        (&[Play::Answer(204)], &[0]),
        (&[Play::AskToWait(503, "7"), Play::AskToWait(503, "20")], &[0, 7, 28]),
        (&[Play::AskToWait(503, "86400")], &[0, 1800]),
        (&[Play::AskToWait(429, "Thu, 01 Jan 1970 00:01:00 GMT")], &[0, 60]),
        (&[Play::Answer(500), Play::Answer(302), Play::Answer(408), Play::Answer(425)], &[0, 0, 1, 3, 7]),
        (&[Play::Hang], &[0, 120]),
        (&[Play::HangUp], &[0, 0]),
    ];
    for (number, (plays, expected)) in rows.into_iter().enumerate() {
        let (broker, deliveries) = scripted(plays);
        deliver(&deliveries, &callback(10)).await.unwrap();
        assert_eq!(times(&broker), expected, "row {number}");
        let retried = expected.len() as u64 - 1;
        assert_eq!(deliveries.metrics(), DeliveryMetrics { delivered: 1, retried, failed: 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn every_try_carries_the_same_key_and_a_whole_body() {
    let (broker, deliveries) = scripted(&[Play::Answer(500), Play::HangUp]);
    let callback = callback(10);
    deliver(&deliveries, &callback).await.unwrap();
    let seen = broker.seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    for (_, request) in seen.iter() {
        assert_eq!(request.headers["idempotency-key"], format!("{}/result-3", callback.operation));
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.body, callback.body);
        assert_eq!(request.timeout, TIMEOUT);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_will_stay_ends_the_delivery() {
    for (play, code) in [
        (Play::Answer(400), "callback_rejected"),
        (Play::Answer(401), "callback_rejected"),
        (Play::Answer(404), "callback_rejected"),
        (Play::Answer(413), "callback_rejected"),
        (Play::Refuse, "callback_refused"),
    ] {
        let (broker, deliveries) = scripted(&[play]);
        let error = deliver(&deliveries, &callback(10)).await.unwrap_err();
        assert_eq!((error.code(), error.retry()), (code, Retry::Never));
        assert_eq!(broker.seen.lock().unwrap().len(), 1);
        assert_eq!(deliveries.metrics(), DeliveryMetrics { delivered: 0, retried: 0, failed: 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_a_callback_is_given_up() {
    let begun = Instant::now();
    let (_, deliveries) = scripted(&[Play::AskToWait(429, "60"); 500]);
    let error = deliver(&deliveries, &callback(10)).await.unwrap_err();
    assert_eq!(error.code(), "callback_undeliverable");
    assert!(
        error.to_string().ends_with("did not arrive at broker:8000: status 429 Too Many Requests"),
        "{error}"
    );
    assert!(begun.elapsed() <= DEADLINE && begun.elapsed() + Duration::from_mins(4) > DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_keeps_failing_is_left_alone_and_others_are_not() {
    let (broker, deliveries) = scripted(&[Play::Answer(500); 5]);
    for _ in 0..5 {
        assert!(matches!(deliveries.send(&callback(10)).await, Err(DeliveryError::NotTaken { .. })));
    }
    let Err(DeliveryError::LeftAlone(open)) = deliveries.send(&callback(10)).await else { panic!() };
    assert_eq!(broker.seen.lock().unwrap().len(), 5);
    let other = Callback { url: "http://other:8000/".parse().unwrap(), ..callback(10) };
    deliveries.send(&other).await.unwrap();
    tokio::time::advance(open.retry_after).await;
    deliveries.send(&callback(10)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_large_callback_at_a_time_goes_to_a_target_and_small_ones_side_by_side() {
    for (n_bytes, expected) in [(LARGE_BYTES + 1, 1), (LARGE_BYTES, 40)] {
        let (broker, deliveries) = scripted(&[]);
        let one = callback(n_bytes);
        let all = (0..40).map(|_| deliveries.send(&one));
        for outcome in futures_util::future::join_all(all).await {
            outcome.unwrap();
        }
        assert_eq!(broker.most_under_way.load(Ordering::Relaxed), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn large_callbacks_to_different_targets_do_not_wait_for_each_other() {
    let (broker, deliveries) = scripted(&[]);
    let one = callback(LARGE_BYTES + 1);
    let other = Callback { url: "http://other:8000/".parse().unwrap(), ..one.clone() };
    let (first, second) = tokio::join!(deliveries.send(&one), deliveries.send(&other));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(broker.most_under_way.load(Ordering::Relaxed), 2);
}
