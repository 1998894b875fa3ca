//! Times as registries and vendors' APIs write them.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An RFC 3339 time. `None` for what is none, and for times before 1970: the year 1 is how Harbor, Docker Hub and others
/// write "never".
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use regent_distribution::parse_rfc3339;
///
/// let pushed = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
/// assert_eq!(parse_rfc3339("2026-01-01T02:00:00+02:00"), Some(pushed));
/// assert_eq!(parse_rfc3339("0001-01-01T00:00:00Z"), None);
/// ```
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let time = OffsetDateTime::parse(text.trim(), &Rfc3339).ok()?;
    (time > OffsetDateTime::UNIX_EPOCH).then(|| time.into())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_are_read_and_never_is_none() {
        let rows = [
            ("2026-01-02T03:04:05.678Z", Some(1_767_323_045_678)),
            ("2026-01-02T04:04:05+01:00", Some(1_767_323_045_000)),
            ("0001-01-01T00:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|ms| UNIX_EPOCH + Duration::from_millis(ms));
            assert_eq!(parse_rfc3339(text), expected, "{text}");
        }
    }
}
