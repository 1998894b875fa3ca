//! The one policy for trying again: how often, and how long to wait between.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use regent_transport::{Fault, Retry, Transport};

/// How many requests are left until `X-RateLimit-Reset` (GitHub).
const REMAINING: &str = "x-ratelimit-remaining";

/// Exponential backoff with full jitter; a wait that the other side asked for is kept to where it is bearable.
///
/// It reads [`Fault::retry`] and nothing else. With full jitter a wait is a random part of the backoff, so that
/// clients that failed together do not return together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often something is tried, the first time included. 0 counts as 1.
    pub attempts: u32,
    /// The longest wait before the second attempt; it doubles with each one.
    pub first_delay: Duration,
    /// Where doubling stops.
    pub max_delay: Duration,
    /// The longest wait at the other side's demand (`Retry-After`). If it wants more, the error is returned, and its
    /// [`Fault::retry`] says when to come back.
    pub max_demanded: Duration,
}

impl Default for RetryPolicy {
    /// Four attempts within some seconds; up to a minute if the registry asks for it.
    fn default() -> Self {
        Self {
            attempts: 4,
            first_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(10),
            max_demanded: Duration::from_mins(1),
        }
    }
}

impl RetryPolicy {
    /// One attempt.
    pub const fn never() -> Self {
        Self {
            attempts: 1,
            first_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            max_demanded: Duration::ZERO,
        }
    }

    /// How long to wait after attempt number `attempt` (from 1) failed with this; `None` when it is to be returned.
    /// `jitter` is from 0 to 1.
    pub fn delay(&self, attempt: u32, retry: Retry, jitter: f64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        match retry {
            Retry::Never => None,
            Retry::Backoff => Some(self.backoff(attempt).mul_f64(jitter.clamp(0.0, 1.0))),
            Retry::After(demanded) => (demanded <= self.max_demanded).then_some(demanded),
        }
    }

    /// Runs an idempotent operation until it succeeds or the policy gives up. The operation is given the number of
    /// the attempt, from 1.
    ///
    /// # Errors
    /// The last error of the operation.
    pub async fn run<T, E, F, Fut>(&self, transport: &dyn Transport, mut operation: F) -> Result<T, E>
    where
        E: Fault,
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut attempt = 1;
        loop {
            let error = match operation(attempt).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(delay) = self.delay(attempt, error.retry(), transport.jitter()) else {
                return Err(error);
            };
            transport.sleep(delay).await;
            attempt += 1;
        }
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        self.first_delay.saturating_mul(1 << doublings).min(self.max_delay)
    }
}

/// How long the other side asks to wait: `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), Docker Hub's
/// `X-Retry-After` as Unix time, `RateLimit-Reset`, which is seconds with some and Unix time with others, and GitHub's
/// `X-RateLimit-Reset` where nothing remains until then.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let standard = text(RETRY_AFTER.as_str()).and_then(|v| {
        v.parse().ok().map(Duration::from_secs).or_else(|| {
            let date = httpdate::parse_http_date(v).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        })
    });
    let seconds_or_epoch = |v: &str| {
        let n: u64 = v.parse().ok()?;
        // No one asks to wait 30 years, and no clock reads 1970 to 2001.
        if n < 1_000_000_000 {
            return Some(Duration::from_secs(n));
        }
        let then = UNIX_EPOCH.checked_add(Duration::from_secs(n))?;
        Some(then.duration_since(now).unwrap_or_default())
    };
    standard
        .or_else(|| text("x-retry-after").and_then(seconds_or_epoch))
        .or_else(|| text("ratelimit-reset").and_then(seconds_or_epoch))
        .or_else(|| {
            text(REMAINING).filter(|v| *v == "0").and(text("x-ratelimit-reset")).and_then(seconds_or_epoch)
        })
}

/// Whether the other side says that it is asked too often, whatever the status: GitHub does so with a 403 that has
/// either of these, and a 403 for a missing right has neither ("Rate limits for the REST API").
pub(crate) fn is_limited(headers: &HeaderMap) -> bool {
    headers.contains_key(RETRY_AFTER) || headers.get(REMAINING).is_some_and(|v| v == "0")
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn the_wait_that_the_other_side_asks_for_is_read_in_all_its_forms() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let rows = [
            ("retry-after", "7", Some(7)),
            ("retry-after", " 7 ", Some(7)),
            ("retry-after", "Tue, 14 Nov 2023 22:13:30 GMT", Some(10)),
            ("retry-after", "Tue, 14 Nov 2023 22:13:10 GMT", Some(0)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("x-retry-after", "1700000030", Some(30)),
            ("x-retry-after", "1", Some(1)),
            ("x-retry-after", "99999999999999999999999", None),
            ("ratelimit-reset", "1700000100", Some(100)),
            ("date", "7", None),
        ];
        for (name, value, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            assert_eq!(retry_after(&headers, now).map(|d| d.as_secs()), expected, "{name}: {value}");
        }
    }

    #[test]
    fn the_end_of_a_quota_counts_only_when_nothing_remains_of_it() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (remaining, expected) in [("0", Some(90)), ("1", None), ("4999", None), ("", None)] {
            let mut headers = HeaderMap::new();
            headers.insert(REMAINING, HeaderValue::from_static(remaining));
            headers.insert("x-ratelimit-reset", HeaderValue::from_static("1700000090"));
            assert_eq!(retry_after(&headers, now).map(|d| d.as_secs()), expected, "{remaining}");
            assert_eq!(is_limited(&headers), expected.is_some(), "{remaining}");
        }
    }

    #[test]
    fn waits_double_up_to_the_limit_and_are_a_random_part_of_it() {
        let policy = RetryPolicy { attempts: 100, ..RetryPolicy::default() };
        let wait = |attempt, jitter| policy.delay(attempt, Retry::Backoff, jitter).unwrap().as_millis();
        let longest: Vec<u128> = (1..7).map(|attempt| wait(attempt, 1.0)).collect();
        assert_eq!(longest, [500, 1000, 2000, 4000, 8000, 10_000]);
        assert_eq!(wait(99, 1.0), 10_000);
        assert_eq!(wait(1, 0.5), 250);
        assert_eq!(wait(5, 0.0), 0);
    }

    #[test]
    fn a_demand_is_met_exactly_or_not_at_all() {
        let policy = RetryPolicy::default();
        let demand = |s| policy.delay(1, Retry::After(Duration::from_secs(s)), 0.0).map(|d| d.as_secs());
        assert_eq!(demand(60), Some(60));
        assert_eq!(demand(61), None);
        assert_eq!(policy.delay(4, Retry::Backoff, 0.5), None);
        assert_eq!(policy.delay(1, Retry::Never, 0.5), None);
        assert_eq!(RetryPolicy::never().delay(1, Retry::Backoff, 0.5), None);
    }
}
