//! Docker Hub's limits, as its answers tell of them.

use regent_plugin_api::Check;
use regent_plugin_api::http::HeaderMap;

/// The name of the check that tells what remains of the pulls.
pub(crate) const RATE_LIMIT: &str = "rate-limit";

/// How much of something remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    total: u64,
    remaining: u64,
    /// In so many seconds, if it says so.
    window: Option<u64>,
}

impl Limit {
    /// Of pulls: `ratelimit-limit: 100;w=21600`. None for accounts that have no limit.
    pub(crate) fn of_pulls(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers, "ratelimit-limit", "ratelimit-remaining")
    }

    /// Of requests to the API, which is another: `x-ratelimit-limit: 600`.
    pub(crate) fn of_requests(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers, "x-ratelimit-limit", "x-ratelimit-remaining")
    }

    fn read(headers: &HeaderMap, total: &str, remaining: &str) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let number = |text: &str| text.split(';').next().and_then(|n| n.trim().parse().ok());
        let stated = text(total)?;
        let window = stated.split(';').skip(1).find_map(|p| p.trim().strip_prefix("w=")?.parse().ok());
        Some(Self { total: number(stated)?, remaining: number(text(remaining)?)?, window })
    }

    /// Less than a tenth is left.
    pub(crate) fn is_low(self) -> bool {
        self.remaining.saturating_mul(10) < self.total
    }

    /// The outcome of the check for pulls.
    pub(crate) fn check(self) -> Check {
        let left = self.to_string();
        if self.remaining == 0 {
            let advice = "wait, use an account with a larger plan, or pull through a mirror";
            return Check::failed(RATE_LIMIT, format!("{left}: {advice}"));
        }
        Check::passed(RATE_LIMIT, left)
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} pulls remain", self.remaining, self.total)?;
        match self.window {
            Some(seconds) if seconds >= 3600 => write!(f, " in the window of {} hours", seconds / 3600),
            Some(seconds) => write!(f, " in the window of {seconds} seconds"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use regent_plugin_api::Outcome;
    use regent_plugin_api::http::{HeaderName, HeaderValue};

    use super::*;

    fn pulls(total: &'static str, remaining: &'static str) -> Option<Limit> {
        let mut headers = HeaderMap::new();
        let pairs = [("ratelimit-limit", total), ("ratelimit-remaining", remaining)];
        for (name, value) in pairs {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Limit::of_pulls(&headers)
    }

    #[test]
    fn what_remains_is_read_and_said() {
        let rows = [
            ("100;w=21600", "76;w=21600", "76 of 100 pulls remain in the window of 6 hours", false),
            ("200; w=60", "19", "19 of 200 pulls remain in the window of 60 seconds", true),
            ("200", "20", "20 of 200 pulls remain", false),
            ("100;w=x", "0;w=x", "0 of 100 pulls remain", true),
        ];
        for (total, remaining, said, low) in rows {
            let limit = pulls(total, remaining).unwrap();
            assert_eq!((limit.to_string().as_str(), limit.is_low()), (said, low), "{total} {remaining}");
        }
        for (total, remaining) in [("", "1"), ("many", "1"), ("100", "-1")] {
            assert_eq!(pulls(total, remaining), None, "{total} {remaining}");
        }
        assert_eq!(Limit::of_pulls(&HeaderMap::new()), None);
    }

    #[test]
    fn none_left_is_a_failed_check() {
        assert_eq!(pulls("100", "0").unwrap().check().outcome, Outcome::Failed);
        assert_eq!(pulls("100", "1").unwrap().check().outcome, Outcome::Passed);
    }
}
