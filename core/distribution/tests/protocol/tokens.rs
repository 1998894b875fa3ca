//! The token service: how it is asked, how often, and where it may be.

use std::sync::Arc;

use futures_util::future::join;
use regent_distribution::{Credentials, PageQuery, Session, TokenFlow};
use regent_oci::RepositoryName;
use regent_transport::Fault as _;

use crate::script::{
    ROBOT, Reply, Script, bearer_challenge, challenge, endpoint, ok, redirect, reply, robot, run, token,
};

fn app() -> RepositoryName {
    "team/app".parse().unwrap()
}

fn no_tags() -> Reply {
    ok(r#"{"tags":[]}"#)
}

fn tags(session: &Session) -> String {
    run(session.tags(&app(), &PageQuery::default())).map_or_else(|e| e.code().to_owned(), |_| String::new())
}

fn session(script: &Arc<Script>, flow: TokenFlow, credentials: Credentials) -> Session {
    let authenticator = script.authenticator(credentials).with_flow(flow);
    Session::new(script.clone(), endpoint("r.example"), Arc::new(authenticator))
}

#[test]
fn a_password_goes_by_post_where_that_is_wanted_and_there() {
    for status in [404, 405] {
        let script = Script::new([bearer_challenge(), reply(status), token("t"), no_tags()]);
        assert_eq!(tags(&session(&script, TokenFlow::Post, robot())), "");
        let seen = script.seen();
        assert_eq!(seen[1].line, "POST https://r.example/token");
        assert_eq!(
            seen[1].body,
            "grant_type=password&username=robot&password=secret&service=r.example&client_id=regent\
             &scope=repository%3Ateam%2Fapp%3Apull"
        );
        assert_eq!(seen[1].authorization(), None);
        assert!(seen[2].line.starts_with("GET https://r.example/token?"));
        assert_eq!(seen[2].authorization(), Some(ROBOT));
    }
}

#[test]
fn a_refresh_token_goes_by_post_only() {
    let refresh = || Credentials::IdentityToken("r/1".to_owned().into());
    let script = Script::new([bearer_challenge(), ok(r#"{"access_token":"t"}"#), no_tags()]);
    assert_eq!(tags(&session(&script, TokenFlow::Get, refresh())), "");
    let seen = script.seen();
    assert!(seen[1].body.starts_with("grant_type=refresh_token&refresh_token=r%2F1&service=r.example&"));
    assert_eq!(seen[1].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen[2].authorization(), Some("Bearer t"));
    for (status, code) in
        [(405, "grant_unsupported"), (400, "credentials_rejected"), (401, "credentials_rejected")]
    {
        let script = Script::new([bearer_challenge(), reply(status)]);
        assert_eq!(tags(&session(&script, TokenFlow::Get, refresh())), code, "{status}");
        script.seen();
    }
}

#[test]
fn without_credentials_the_token_is_asked_for_without_any() {
    let script = Script::new([bearer_challenge(), token("t"), no_tags()]);
    assert_eq!(tags(&script.session(Credentials::Anonymous)), "");
    let seen = script.seen();
    assert_eq!(seen[1].authorization(), None);
    assert_eq!(seen[2].authorization(), Some("Bearer t"));
}

#[test]
fn a_token_without_a_life_is_renewed_before_a_minute_is_over() {
    let script = Script::new([bearer_challenge(), ok(r#"{"token":"t1"}"#), no_tags(), no_tags()]);
    let session = script.session(robot());
    assert_eq!(tags(&session), "");
    script.pass(53);
    assert_eq!(tags(&session), "");
    script.pass(2);
    script.then([token("t2"), no_tags()]);
    assert_eq!(tags(&session), "");
    assert_eq!(script.seen().last().unwrap().authorization(), Some("Bearer t2"));
}

#[test]
fn a_token_that_the_registry_refuses_is_renewed_once() {
    let script = Script::new([bearer_challenge(), token("t1"), no_tags()]);
    let session = script.session(robot());
    assert_eq!(tags(&session), "");
    script.then([bearer_challenge(), token("t2"), no_tags()]);
    assert_eq!(tags(&session), "");
    let sent: Vec<_> = script.seen().iter().map(|s| s.authorization().map(str::to_owned)).collect();
    assert_eq!(sent.last().unwrap().as_deref(), Some("Bearer t2"));
}

#[test]
fn callers_side_by_side_make_one_token_request() {
    let script = Script::new([bearer_challenge(), bearer_challenge(), token("t"), no_tags(), no_tags()]);
    let session = script.session(robot());
    let (app, query) = (app(), PageQuery::default());
    let (a, b) = run(join(session.tags(&app, &query), session.tags(&app, &query)));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(script.lines().iter().filter(|line| line.contains("/token")).count(), 1);
    // Both find out that it is refused; one renews it.
    script.then([bearer_challenge(), bearer_challenge(), token("t2"), no_tags(), no_tags()]);
    let (a, b) = run(join(session.tags(&app, &query), session.tags(&app, &query)));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(script.lines().iter().filter(|line| line.contains("/token")).count(), 2);
}

#[test]
fn callers_side_by_side_share_one_failed_login() {
    let script = Script::new([bearer_challenge(), bearer_challenge(), reply(401)]);
    let session = script.session(robot());
    let (app, query) = (app(), PageQuery::default());
    let (a, b) = run(join(session.tags(&app, &query), session.tags(&app, &query)));
    assert_eq!(
        (a.unwrap_err().code(), b.unwrap_err().code()),
        ("credentials_rejected", "credentials_rejected")
    );
    assert_eq!(script.lines().len(), 3);
}

#[test]
fn a_token_request_that_is_dropped_leaves_the_way_free() {
    let script = Script::new([bearer_challenge(), token("lost")]);
    let session = script.session(robot());
    let (app, query) = (app(), PageQuery::default());
    {
        let mut abandoned = std::pin::pin!(session.tags(&app, &query));
        let waker = futures_util::task::noop_waker();
        let mut context = std::task::Context::from_waker(&waker);
        while script.n_seen() < 2 {
            assert!(std::future::Future::poll(abandoned.as_mut(), &mut context).is_pending());
        }
    }
    script.then([bearer_challenge(), token("t"), no_tags()]);
    assert_eq!(tags(&session), "");
    assert_eq!(script.seen().last().unwrap().authorization(), Some("Bearer t"));
}

#[test]
fn credentials_do_not_go_to_a_realm_elsewhere() {
    let rows = [
        ("r.example", "https://evil.example/token"),
        ("r.example", "https://r.example:8443/token"),
        ("r.example", "http://r.example/token"),
        ("r.example", "https://robot@r.example/token"),
        ("a.azurecr.io", "https://b.azurecr.io/oauth2/token"),
        ("r.example", "/token"),
    ];
    for (registry, realm) in rows {
        let script = Script::new([challenge(&format!(r#"Bearer realm="{realm}""#))]);
        let session = Session::with_credentials(script.clone(), endpoint(registry), robot());
        assert_eq!(tags(&session), "realm_refused", "{realm}");
        assert_eq!(script.seen().len(), 1, "{realm}");
    }
}

#[test]
fn a_realm_that_was_allowed_or_is_plain_like_its_registry_is_used() {
    let script =
        Script::new([challenge(r#"Bearer realm="https://auth.example/token""#), token("t"), no_tags()]);
    let authenticator = script.authenticator(robot()).with_realm_host("auth.example");
    let session = Session::new(script.clone(), endpoint("r.example"), Arc::new(authenticator));
    assert_eq!(tags(&session), "");
    let script =
        Script::new([challenge(r#"Bearer realm="http://r.example:5000/token""#), token("t"), no_tags()]);
    let session = Session::with_credentials(script.clone(), endpoint("http://r.example:5000"), robot());
    assert_eq!(tags(&session), "");
    script.seen();
}

#[test]
fn redirects_of_a_token_request_stay_where_the_realm_may_be() {
    let script = Script::new([bearer_challenge(), redirect(307, "/auth?service=x"), token("t"), no_tags()]);
    assert_eq!(tags(&script.session(robot())), "");
    let seen = script.seen();
    assert_eq!(seen[2].line, "GET https://r.example/auth?service=x");
    assert_eq!(seen[2].authorization(), Some(ROBOT));
    for target in ["https://evil.example/token", "http://r.example/token", "https://r.example:1/token"] {
        let script = Script::new([bearer_challenge(), redirect(302, target)]);
        assert_eq!(tags(&script.session(robot())), "realm_refused", "{target}");
        assert_eq!(script.seen().len(), 2, "{target}");
    }
    let around = || redirect(302, "/token");
    let script = Script::new([bearer_challenge(), around(), around(), around(), around()]);
    assert_eq!(tags(&script.session(robot())), "redirect_refused");
    script.seen();
}

#[test]
fn a_password_is_not_reposted_after_a_redirect_that_means_get() {
    let script = Script::new([bearer_challenge(), redirect(302, "/auth")]);
    assert_eq!(tags(&session(&script, TokenFlow::Post, robot())), "registry_answer_invalid");
    assert_eq!(script.seen().len(), 2);
}

#[test]
fn an_endless_answer_of_a_token_service_is_cut() {
    let script = Script::new([bearer_challenge(), ok(format!(r#"{{"token":"{}"}}"#, "a".repeat(70_000)))]);
    assert_eq!(tags(&script.session(robot())), "registry_answer_too_large");
}

#[test]
fn a_token_service_that_is_down_is_tried_again() {
    let script = Script::new([
        bearer_challenge(),
        reply(503),
        reply(429).header("retry-after", "3"),
        token("t"),
        no_tags(),
    ]);
    assert_eq!(tags(&script.session(robot())), "");
    assert_eq!(script.sleeps_ms(), [250, 3500]);
}

#[test]
fn the_token_service_is_known_once_it_is_named_whatever_it_thinks_of_the_credentials() {
    let realm = "https://r.example/token";
    for (named, answer, expected) in [
        (bearer_challenge(), token("t"), Some(realm)),
        (bearer_challenge(), reply(403), Some(realm)),
        (challenge(r#"Bearer realm="https://evil.example/token""#), reply(599), None),
    ] {
        let script = Script::new([named, answer, no_tags()]);
        let authenticator = Arc::new(script.authenticator(robot()));
        assert_eq!(authenticator.token_service(), None);
        let _ = tags(&Session::new(script.clone(), endpoint("r.example"), authenticator.clone()));
        assert_eq!(authenticator.token_service().as_ref().map(url::Url::as_str), expected);
    }
}
