//! When and how long after a request is tried again.

use http::Method;
use regent_distribution::{Error, RetryPolicy, Scope, Session, Subject};
use regent_transport::{Fault, Request, Retry, TransportError};

use crate::script::{Reply, Script, broken, fails, ok, reply, robot, run};

fn send(session: &Session, method: Method) -> Result<u16, Error> {
    let request = Request::new(method, session.endpoint().ping());
    run(session.send(request, &Scope::none(), &Subject::Registry)).map(|r| r.status.as_u16())
}

#[test]
fn waiting_follows_what_the_registry_asks_for() {
    // Half of the backoff is waited, on top of what is asked for.
    let rows: Vec<(&str, Reply, u128)> = vec![
        ("seconds", reply(429).header("retry-after", "7"), 7250),
        ("a date", reply(429).header("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT"), 30_250),
        ("Docker Hub's Unix time", reply(429).header("x-retry-after", "1700000012"), 12_250),
        ("nothing", reply(429), 250),
        ("503 with seconds", reply(503).header("retry-after", "2"), 2250),
        ("403 with seconds", reply(403).header("retry-after", "3"), 3250),
        (
            "403 with a quota that is used up",
            reply(403).header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", "1700000020"),
            20_250,
        ),
        ("502", reply(502), 250),
        ("408", reply(408), 250),
        ("a broken connection", fails(broken()), 250),
        ("no answer in time", fails(TransportError::Timeout { host: "r.example".into() }), 250),
    ];
    for (name, first, wait_ms) in rows {
        let script = Script::new([first, ok("{}")]);
        assert_eq!(send(&script.session(robot()), Method::GET).unwrap(), 200, "{name}");
        assert_eq!(script.sleeps_ms(), [wait_ms], "{name}");
        script.seen();
    }
}

#[test]
fn a_wait_beyond_the_limit_is_the_callers_to_make() {
    let script = Script::new([reply(429).header("retry-after", "3600")]);
    let error = send(&script.session(robot()), Method::GET).unwrap_err();
    assert_eq!(error.code(), "rate_limited");
    assert_eq!(error.retry(), Retry::After(std::time::Duration::from_hours(1)));
    assert!(script.sleeps_ms().is_empty());
}

#[test]
fn trying_again_ends_with_the_last_error() {
    let script = Script::new([reply(500), fails(broken()), reply(503), reply(502)]);
    let error = send(&script.session(robot()), Method::GET).unwrap_err();
    assert_eq!(error.to_string(), "r.example failed with 502 Bad Gateway");
    assert_eq!(script.sleeps_ms(), [250, 500, 1000]);
    script.seen();
}

#[test]
fn what_will_not_change_is_not_tried_again() {
    let tls = TransportError::Tls { host: "r.example".into(), reason: "unknown authority".into() };
    let egress = TransportError::Refused { host: "r.example".into(), rule: "not declared".into() };
    for (error, code) in [(tls, "tls_untrusted"), (egress, "egress_refused")] {
        let script = Script::new([fails(error)]);
        assert_eq!(send(&script.session(robot()), Method::GET).unwrap_err().code(), code);
    }
    let script = Script::new([reply(501)]);
    assert_eq!(send(&script.session(robot()), Method::GET).unwrap(), 501);
    let script = Script::new([reply(503)]);
    let never = script.session(robot()).with_retry(RetryPolicy::never());
    assert_eq!(send(&never, Method::GET).unwrap_err().code(), "registry_unavailable");
}

#[test]
fn a_request_that_changes_something_is_sent_once() {
    let script = Script::new([reply(503)]);
    assert_eq!(send(&script.session(robot()), Method::POST).unwrap_err().code(), "registry_unavailable");
    let script = Script::new([reply(307).header("location", "/elsewhere")]);
    assert_eq!(send(&script.session(robot()), Method::POST).unwrap(), 307);
    script.seen();
}
