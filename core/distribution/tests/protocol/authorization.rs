//! Challenges, and what a refusal means.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderValue};
use regent_distribution::{
    Ask, Authenticator, Authorized, Authorizer, Credentials, Error, FixedHeaders, Freshness, PageQuery,
    Scope, Session, Subject,
};
use regent_oci::RepositoryName;
use regent_transport::{BoxFuture, Class, Fault, Request, Retry};

use crate::script::{
    ROBOT, Reply, Script, bearer_challenge, challenge, endpoint, ok, reply, robot, run, token,
};

fn app() -> RepositoryName {
    "team/app".parse().unwrap()
}

fn no_tags() -> Reply {
    ok(r#"{"tags":[]}"#)
}

/// Asks for the tags of `team/app`; the code of the error, or `""`.
fn tags(session: &Session) -> String {
    run(session.tags(&app(), &PageQuery::default())).map_or_else(|e| e.code().to_owned(), |_| String::new())
}

#[test]
fn a_token_is_asked_for_once_and_then_sent_at_once() {
    let script = Script::new([bearer_challenge(), token("t1"), no_tags(), no_tags(), token("t2"), no_tags()]);
    let session = script.session(robot());
    assert_eq!(tags(&session), "");
    assert_eq!(tags(&session), "");
    let other = "team/other".parse().unwrap();
    run(session.tags(&other, &PageQuery::default())).unwrap();
    let seen = script.seen();
    let expected = [
        ("GET https://r.example/v2/team/app/tags/list", None),
        ("GET https://r.example/token?service=r.example&scope=repository%3Ateam%2Fapp%3Apull", Some(ROBOT)),
        ("GET https://r.example/v2/team/app/tags/list", Some("Bearer t1")),
        ("GET https://r.example/v2/team/app/tags/list", Some("Bearer t1")),
        ("GET https://r.example/token?service=r.example&scope=repository%3Ateam%2Fother%3Apull", Some(ROBOT)),
        ("GET https://r.example/v2/team/other/tags/list", Some("Bearer t2")),
    ];
    let got: Vec<_> = seen.iter().map(|s| (s.line.as_str(), s.authorization())).collect();
    assert_eq!(got, expected);
    assert!(seen.iter().filter_map(|s| s.headers.get("authorization")).all(HeaderValue::is_sensitive));
}

#[test]
fn challenges_of_all_spellings_are_answered() {
    let bearer = Some("Bearer t");
    let rows = [
        (r#"bearer service=r.example,realm="https://r.example/token""#, bearer),
        (r#"Basic realm="x",Bearer realm="https://r.example/token""#, bearer),
        (r#"Bearer realm="https://r.example/token",scope="*",Basic realm="Gitea""#, bearer),
        (r#"BASIC realm="Sonatype Nexus Repository Manager""#, Some(ROBOT)),
        (r#"Basic realm="https://r.example/",service="ecr.amazonaws.com""#, Some(ROBOT)),
    ];
    for (text, expected) in rows {
        let script = Script::new([challenge(text)]);
        if expected == bearer {
            script.then([token("t")]);
        }
        script.then([no_tags(), no_tags()]);
        let session = script.session(robot());
        assert_eq!((tags(&session), tags(&session)), (String::new(), String::new()), "{text}");
        let seen = script.seen();
        let last_two: Vec<_> = seen.iter().rev().take(2).map(|s| s.authorization()).collect();
        assert_eq!(last_two, [expected, expected], "{text}");
    }
}

#[test]
fn a_refusal_is_told_apart() {
    let denied = || reply(403).body(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#);
    let basic = || challenge("Basic realm=x");
    let insufficient = || challenge(r#"Bearer realm="https://r.example/token",error="insufficient_scope""#);
    let anonymous = || Credentials::Anonymous;
    let fixed = || Credentials::Bearer("t".to_owned().into());
    let rows: Vec<(&str, Credentials, Vec<Reply>, &str)> = vec![
        (
            "wrong password at the token service",
            robot(),
            vec![bearer_challenge(), reply(401)],
            "credentials_rejected",
        ),
        ("GHCR hides a repository", robot(), vec![bearer_challenge(), denied()], "permission_missing"),
        (
            "no right, 401",
            robot(),
            vec![bearer_challenge(), token("t"), bearer_challenge()],
            "permission_missing",
        ),
        ("no right, 403", robot(), vec![bearer_challenge(), token("t"), denied()], "permission_missing"),
        ("wrong password, Basic", robot(), vec![basic(), basic()], "credentials_rejected"),
        ("no right, Basic", robot(), vec![basic(), denied()], "permission_missing"),
        ("none given, Basic", anonymous(), vec![basic()], "credentials_missing"),
        (
            "none given, token refused",
            anonymous(),
            vec![bearer_challenge(), reply(401)],
            "credentials_missing",
        ),
        (
            "none given, private",
            anonymous(),
            vec![bearer_challenge(), token("t"), bearer_challenge()],
            "permission_missing",
        ),
        ("a bearer token that is bad", fixed(), vec![bearer_challenge()], "credentials_rejected"),
        (
            "a bearer token without the right",
            fixed(),
            vec![bearer_challenge().body(r#"{"errors":[{"code":"DENIED"}]}"#)],
            "permission_missing",
        ),
        (
            "token for too little",
            robot(),
            vec![insufficient(), token("t"), insufficient()],
            "permission_missing",
        ),
        ("Harbor's empty challenge", robot(), vec![challenge("")], "not_found"),
        (
            "Harbor's empty challenge, with a token",
            robot(),
            vec![bearer_challenge(), token("t"), challenge("")],
            "not_found",
        ),
        ("no challenge", robot(), vec![reply(401), no_tags()], ""),
        (
            "a scheme that no one speaks",
            robot(),
            vec![challenge("Negotiate"), reply(401)],
            "credentials_rejected",
        ),
        ("registry disabled (GitLab)", robot(), vec![bearer_challenge(), reply(404)], "not_found"),
        (
            "a token service without a token",
            robot(),
            vec![bearer_challenge(), ok("{}")],
            "registry_answer_invalid",
        ),
        ("hidden", robot(), vec![reply(404)], "not_found"),
    ];
    for (name, credentials, replies, expected) in rows {
        let script = Script::new(replies);
        assert_eq!(tags(&script.session(credentials)), expected, "{name}");
        script.seen();
    }
}

#[test]
fn basic_stands_in_where_the_token_service_is_not_there() {
    let both = r#"Bearer realm="https://r.example/token",Basic realm="x""#;
    let script = Script::new([challenge(both), reply(404), no_tags()]);
    assert_eq!(tags(&script.session(robot())), "");
    assert_eq!(script.seen()[2].authorization(), Some(ROBOT));
    // A realm that is refused is no reason to give up either: Basic goes to the registry itself.
    let foreign = r#"Bearer realm="https://evil.example/token",Basic realm="x""#;
    let script = Script::new([challenge(foreign), no_tags()]);
    assert_eq!(tags(&script.session(robot())), "");
    // But a wrong password is not tried a second time.
    let script = Script::new([challenge(both), reply(401)]);
    assert_eq!(tags(&script.session(robot())), "credentials_rejected");
    script.seen();
}

#[test]
fn an_expired_authorization_is_renewed_once() {
    let expired_403 =
        || reply(403).body("Your authorization token has expired. Reauthenticate and try again.");
    let expired_400 = || reply(400).body(r#"{"errors":[{"code":"DENIED","message":"token EXPIRED"}]}"#);
    for expired in [&expired_403 as &dyn Fn() -> Reply, &expired_400] {
        let script = Script::new([bearer_challenge(), token("t1"), no_tags()]);
        let session = script.session(robot());
        assert_eq!(tags(&session), "");
        script.then([expired(), token("t2"), no_tags()]);
        assert_eq!(tags(&session), "");
        assert_eq!(script.seen().last().unwrap().authorization(), Some("Bearer t2"));
        script.then([expired(), token("t3"), expired()]);
        assert_eq!(tags(&session), "permission_missing");
        script.seen();
    }
}

#[test]
fn a_plain_403_is_not_answered_with_a_new_token() {
    let script = Script::new([bearer_challenge(), token("t"), reply(403).body("<html>go away</html>")]);
    let error = run(script.session(robot()).tags(&app(), &PageQuery::default())).unwrap_err();
    assert_eq!(error.to_string(), "the credentials do not permit reading the tags of team/app");
    script.seen();
}

#[test]
fn a_403_that_speaks_of_a_rate_limit_is_no_missing_right() {
    let body = r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes."}"#;
    let script = Script::new([reply(403).header("x-ratelimit-remaining", "4990").body(body)]);
    let error = run(script.session(robot()).tags(&app(), &PageQuery::default())).unwrap_err();
    assert_eq!(error.code(), "rate_limited");
    assert_eq!(error.retry(), Retry::After(std::time::Duration::from_mins(1)));
}

#[test]
fn scopes_of_a_challenge_are_left_alone_where_they_mean_nothing() {
    let placeholder = r#"Bearer realm="https://r.example/token",scope="repository:user/image:pull""#;
    let script = Script::new([challenge(placeholder), token("t"), no_tags()]);
    let authenticator = Arc::new(script.authenticator(robot()).with_own_scopes());
    let session = Session::new(script.clone(), endpoint("r.example"), authenticator);
    assert_eq!(tags(&session), "");
    assert_eq!(script.lines()[1], "GET https://r.example/token?scope=repository%3Ateam%2Fapp%3Apull");
}

#[test]
fn scopes_of_a_challenge_are_asked_for_beside_our_own() {
    let wants =
        r#"Bearer realm="https://r.example/token?x=y",scope="repository:team/app:metadata_read,push""#;
    let script = Script::new([challenge(wants), token("t"), no_tags()]);
    let session = script.session(robot());
    assert_eq!(tags(&session), "");
    let line = "GET https://r.example/token?x=y&scope=repository%3Ateam%2Fapp%3Apull\
                &scope=repository%3Ateam%2Fapp%3Ametadata_read";
    assert_eq!(script.lines()[1], line);
    // And asked for again when the token is renewed before the registry complains.
    script.pass(290);
    script.then([token("t2"), no_tags()]);
    assert_eq!(tags(&session), "");
    assert_eq!(script.lines()[3], line);
}

#[test]
fn a_request_for_elsewhere_is_not_sent() {
    let script = Script::new([]);
    for url in ["https://other.example/v2/", "http://r.example/v2/", "https://r.example:444/v2/"] {
        let request = Request::get(url.parse().unwrap());
        let outcome = run(script.session(robot()).send(request, &Scope::none(), &Subject::Registry));
        assert!(matches!(outcome, Err(Error::Endpoint { .. })), "{url}");
    }
    script.seen();
}

/// The host's way: headers from a driver, renewed on demand.
#[derive(Default)]
struct FromDriver {
    asked: Mutex<Vec<bool>>,
}

impl Authorizer for FromDriver {
    fn authorize<'a>(&'a self, _: &'a Scope, ask: Ask<'a>) -> BoxFuture<'a, Result<Authorized, Error>> {
        let mut asked = self.asked.lock().unwrap();
        asked.push(ask.is_renewal());
        if let Ask::Refused(refusal) = ask {
            assert_eq!(refusal.sent.get("x-own"), Some(&HeaderValue::from_static("v1")));
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-own", HeaderValue::from_str(&format!("v{}", asked.len())).unwrap());
        Box::pin(async { Ok(Authorized::unproven(headers)) })
    }
}

#[test]
fn an_authorizer_of_another_kind_is_asked_to_renew_once() {
    let script = Script::new([reply(401), no_tags(), reply(401), reply(401)]);
    let driver = Arc::new(FromDriver::default());
    let session = Session::new(script.clone(), endpoint("r.example"), driver.clone());
    assert_eq!(tags(&session), "");
    assert_eq!(*driver.asked.lock().unwrap(), [false, true]);
    driver.asked.lock().unwrap().clear();
    assert_eq!(tags(&session), "credentials_rejected");
    assert_eq!(*driver.asked.lock().unwrap(), [false, true]);
    let sent: Vec<_> = script.seen().iter().map(|s| s.header("x-own").unwrap().to_owned()).collect();
    assert_eq!(sent, ["v1", "v2", "v1", "v2"]);
}

#[derive(Debug, thiserror::Error)]
#[error("the role can't be assumed")]
struct DriverFault;

impl Fault for DriverFault {
    fn class(&self) -> Class {
        Class::Denied
    }
    fn retry(&self) -> Retry {
        Retry::Never
    }
    fn code(&self) -> &'static str {
        "role_denied"
    }
}

struct Refuses;

impl Authorizer for Refuses {
    fn authorize<'a>(&'a self, _: &'a Scope, _: Ask<'a>) -> BoxFuture<'a, Result<Authorized, Error>> {
        Box::pin(async { Err(Error::Authorizer(Arc::new(DriverFault))) })
    }
}

#[test]
fn the_error_of_an_authorizer_passes_with_class_and_code() {
    let session = Session::new(Script::new([]), endpoint("r.example"), Arc::new(Refuses));
    let error = run(session.ping()).unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Denied, "role_denied"));
    assert_eq!(error.to_string(), "the role can't be assumed");
}

#[test]
fn fixed_headers_are_sent_at_once_and_never_renewed() {
    let script = Script::new([no_tags(), reply(401)]);
    let fixed = FixedHeaders::basic("r.example", "robot", &"secret".to_owned().into()).unwrap();
    let session = Session::new(script.clone(), endpoint("r.example"), Arc::new(fixed));
    assert_eq!(tags(&session), "");
    assert_eq!(tags(&session), "credentials_rejected");
    assert!(script.seen().iter().all(|s| s.authorization() == Some(ROBOT)));
    let unusable = FixedHeaders::bearer("r.example", &"a\nb".to_owned().into());
    assert_eq!(unusable.unwrap_err().code(), "credentials_unusable");
}

#[test]
fn headers_for_others_are_had_by_asking_the_registry_first() {
    // From the challenge of /v2/; the second time there is nothing to ask.
    let script = Script::new([bearer_challenge(), token("t"), ok("{}"), token("t2")]);
    let session = script.session(robot());
    let first = run(session.authorization(&app(), Freshness::Cached)).unwrap();
    let second = run(session.authorization(&app(), Freshness::Cached)).unwrap();
    let renewed = run(session.authorization(&app(), Freshness::Renewed)).unwrap();
    assert_eq!(first.headers["authorization"], "Bearer t");
    assert_eq!(second.headers, first.headers);
    assert_eq!(renewed.headers["authorization"], "Bearer t2");
    assert!(first.expires.is_some());
    assert_eq!(script.lines()[0], "GET https://r.example/v2/");

    // From the repository, where /v2/ is open to all.
    let script = Script::new([ok("{}"), challenge("Basic realm=x"), no_tags()]);
    let authorized = run(script.session(robot()).authorization(&app(), Freshness::Cached)).unwrap();
    assert_eq!(authorized.headers["authorization"], ROBOT);
    assert_eq!(script.lines()[1], "GET https://r.example/v2/team/app/tags/list?n=1");

    // Nothing is needed.
    let script = Script::new([ok("{}"), no_tags()]);
    let authorized =
        run(script.session(Credentials::Anonymous).authorization(&app(), Freshness::Cached)).unwrap();
    assert!(authorized.headers.is_empty());
}

#[test]
fn ping_tells_whether_there_is_a_registry() {
    let rows = [(200, ""), (404, "not_found"), (400, "registry_answer_invalid")];
    for (status, expected) in rows {
        let script = Script::new([reply(status).body("<html>")]);
        let code =
            run(script.session(robot()).ping()).map_or_else(|e| e.code().to_owned(), |()| String::new());
        assert_eq!(code, expected, "{status}");
    }
}

#[test]
fn no_secret_is_in_any_debug_text_or_error() {
    let script = Script::new([bearer_challenge(), token("hidden-token"), no_tags()]);
    let session = script.session(robot());
    tags(&session);
    let authorized = run(session.authorization(&app(), Freshness::Cached)).unwrap();
    let fixed = FixedHeaders::basic("h", "u", &"secret".to_owned().into()).unwrap();
    let echoing = Script::new([reply(403).body("secret hidden-token")]);
    let error = run(echoing.session(robot()).ping()).unwrap_err();
    let text = format!(
        "{session:?} {authorized:?} {fixed:?} {error:?} {error} {:?} {:?}",
        robot(),
        script.authenticator(robot())
    );
    for secret in ["secret", "hidden-token", "cm9ib3Q6c2VjcmV0"] {
        // The type that keeps secrets is called so.
        assert!(!text.replace("SecretBox", "").contains(secret), "{text}");
    }
}

#[test]
fn basic_can_go_first_and_gives_way_to_tokens() {
    let basic = || challenge("Basic realm=x");
    let session = |script: &Arc<Script>| {
        let endpoint = endpoint("https://r.example/");
        let authenticator = Authenticator::new(script.clone(), &endpoint, robot()).with_basic_first();
        Session::new(script.clone(), endpoint, Arc::new(authenticator))
    };
    let rows = [
        ("Basic serves", vec![no_tags(), no_tags()], "", vec![Some(ROBOT), Some(ROBOT)]),
        ("Basic refused", vec![basic()], "credentials_rejected", vec![Some(ROBOT)]),
        (
            "tokens wanted",
            vec![bearer_challenge(), token("t"), no_tags(), no_tags()],
            "",
            vec![Some(ROBOT), Some(ROBOT), Some("Bearer t"), Some("Bearer t")],
        ),
    ];
    for (name, replies, code, expected) in rows {
        let script = Script::new(replies);
        let session = session(&script);
        let calls = if code.is_empty() { 2 } else { 1 };
        for _ in 0..calls {
            assert_eq!(tags(&session), code, "{name}");
        }
        let seen = script.seen();
        assert_eq!(seen.iter().map(|s| s.authorization()).collect::<Vec<_>>(), expected, "{name}");
    }
}
