//! What an answer says about trying again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// How many requests are left until `X-RateLimit-Reset` (GitHub).
const REMAINING: &str = "x-ratelimit-remaining";

/// How long the other side asks to wait: `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), Docker Hub's
/// `X-Retry-After` as Unix time, `RateLimit-Reset`, which is seconds with some and Unix time with others, and GitHub's
/// `X-RateLimit-Reset` where nothing remains until then.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
/// use regent_distribution::retry_after;
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600); // in a driver: `host.now()`
/// let busy = |value| HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
/// assert_eq!(retry_after(&busy("30"), now), Some(Duration::from_secs(30)));
/// assert_eq!(retry_after(&busy("Thu, 01 Jan 2026 00:01:00 GMT"), now), Some(Duration::from_secs(60)));
/// assert_eq!(retry_after(&HeaderMap::new(), now), None);
/// ```
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
}
