//! Times as people and programs read them: RFC 3339, in UTC.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// To the fraction that is known. `None` for a year that has no four digits.
pub(crate) fn exact(at: SystemTime) -> Option<String> {
    OffsetDateTime::from(at).format(&Rfc3339).ok()
}

/// In whole seconds, as what an agent decides or notes is told.
pub(crate) fn in_seconds(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}
