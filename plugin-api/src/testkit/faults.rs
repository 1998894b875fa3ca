//! What goes wrong at registries, and what the host wants to hear of it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use regent_transport::{Class, Retry, TransportError};

use super::stage::Fault;
use crate::error::Error;

/// Stands in the bodies of faults. A registry's own text is no part of an error: nobody knows what is in it.
pub(super) const FOREIGN: &str = "words of the registry";
/// The pause that a registry asks for.
pub(super) const PAUSE: Duration = Duration::from_secs(7);

/// One way to fail.
pub(super) struct Weather {
    pub(super) name: &'static str,
    pub(super) fault: Fault,
    /// Classes that an error may have then.
    pub(super) classes: &'static [Class],
}

/// All that every driver has to know what to say of.
pub(super) fn all() -> Vec<Weather> {
    use Class::{
        Absent, Authentication, Corrupt, Denied, Invalid, Limit, Refused, Throttled, Timeout, Unavailable,
        Unsupported,
    };
    let host = || "registry".to_owned();
    let status = |status| Fault::Answer(status, HeaderMap::new(), Bytes::from_static(FOREIGN.as_bytes()));
    let rows: [(_, _, &'static [Class]); 10] = [
        ("status 401", status(StatusCode::UNAUTHORIZED), &[Authentication, Denied]),
        (
            "status 403",
            status(StatusCode::FORBIDDEN),
            &[Denied, Authentication, Absent, Unsupported, Corrupt],
        ),
        ("status 404", status(StatusCode::NOT_FOUND), &[Absent, Denied, Unsupported, Invalid, Corrupt]),
        ("status 429", throttled(), &[Throttled]),
        ("status 503", status(StatusCode::SERVICE_UNAVAILABLE), &[Unavailable]),
        ("a page of HTML", html(), &[Corrupt, Unsupported, Invalid, Absent]),
        (
            "no connection",
            Fault::Failure(TransportError::Connect { host: host(), reason: "refused".to_owned() }),
            &[Unavailable],
        ),
        ("no answer in time", Fault::Failure(TransportError::Timeout { host: host() }), &[Timeout]),
        (
            "a host that may not be reached",
            Fault::Failure(TransportError::Refused { host: host(), rule: "egress".to_owned() }),
            &[Refused],
        ),
        (
            "a body that is too large",
            Fault::Failure(TransportError::TooLarge { host: host(), limit_bytes: 1 }),
            &[Limit, Corrupt],
        ),
    ];
    rows.into_iter().map(|(name, fault, classes)| Weather { name, fault, classes }).collect()
}

/// 429 with a pause.
pub(super) fn throttled() -> Fault {
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, HeaderValue::from(PAUSE.as_secs()));
    Fault::Answer(StatusCode::TOO_MANY_REQUESTS, headers, Bytes::from_static(FOREIGN.as_bytes()))
}

fn html() -> Fault {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    Fault::Answer(StatusCode::OK, headers, Bytes::from(format!("<html>{FOREIGN}</html>")))
}

/// Whether an error tells the host when to come back.
pub(super) fn keeps_pause(error: &Error) -> bool {
    error.class() == Class::Throttled && matches!(error.retry(), Retry::After(pause) if pause >= PAUSE)
}
