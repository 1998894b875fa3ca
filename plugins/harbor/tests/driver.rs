//! The driver against a Harbor that follows a script.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_executor::block_on;
use regent_driver_harbor::DRIVER;
use regent_plugin_api::http::StatusCode;
use regent_plugin_api::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::testkit::{Exchange, Script, contract};
use regent_plugin_api::transport::Class;
use regent_plugin_api::{Access, Cursor, DynDriver, LogLevel, Outcome, PageRequest, Settings};

const HOST: &str = "https://harbor.example.com";
const API: &str = "https://harbor.example.com/api/v2.0";
/// `robot$scan:s3cr3t`.
const BASIC: &str = "Basic cm9ib3Qkc2NhbjpzM2NyM3Q=";

fn settings(base: &str) -> Settings {
    let values = [("registryBase", base), ("username", "robot$scan"), ("password", "s3cr3t")];
    let values = values.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
    Settings::new("harbor-cr", values, false)
}

fn connect(script: Script) -> (Arc<Script>, Arc<dyn DynDriver>) {
    connect_to("harbor.example.com", script)
}

fn connect_to(base: &str, script: Script) -> (Arc<Script>, Arc<dyn DynDriver>) {
    let script = script.shared();
    let driver = DRIVER.connect(settings(base), script.clone()).unwrap();
    (script, driver)
}

/// A call with Basic.
fn basic(url: &str) -> Exchange {
    Exchange::get(url).with_secret_header(AUTHORIZATION, BASIC).unwrap()
}

fn api(path: &str) -> Exchange {
    basic(&format!("{API}{path}"))
}

fn login(status: StatusCode) -> Exchange {
    let refusal = basic(&format!("{HOST}/v2/")).answer(status, "{}");
    refusal.answer_header(WWW_AUTHENTICATE, "Basic realm=\"harbor\"")
}

fn known() -> Exchange {
    login(StatusCode::OK)
}

fn me(status: StatusCode) -> Exchange {
    api("/users/current").answer(status, "{}")
}

fn challenge(url: &str, value: &'static str) -> Exchange {
    Exchange::get(url)
        .without_header(AUTHORIZATION)
        .answer(StatusCode::UNAUTHORIZED, "{}")
        .answer_header(WWW_AUTHENTICATE, value)
}

const BEARER: &str = r#"Bearer realm="https://harbor.example.com/service/token",service="harbor-registry""#;

fn token(scope: &str, token: &str) -> Exchange {
    let url = format!("{HOST}/service/token?service=harbor-registry{scope}");
    basic(&url).answer(StatusCode::OK, format!(r#"{{"token":"{token}","expires_in":1800}}"#))
}

fn bearer(url: &str, token: &str) -> Exchange {
    Exchange::get(url).with_secret_header(AUTHORIZATION, &format!("Bearer {token}")).unwrap()
}

fn page(size: u32, after: Option<&str>) -> PageRequest {
    PageRequest { size, after: after.map(|text| Cursor(text.to_owned())) }
}

fn app() -> RepositoryName {
    "team/app".parse().unwrap()
}

#[test]
fn it_serves_the_canonical_and_the_old_type() {
    let description = DRIVER.description();
    assert!(description.serves_type("harbor-cr") && description.serves_type("HarborCR"));
    assert!(!description.serves_content());
}

#[test]
fn settings_that_can_not_work_are_refused_by_name() {
    for missing in ["registryBase", "username", "password"] {
        let values = [("registryBase", "h"), ("username", "u"), ("password", "p")];
        let values = values.into_iter().filter(|(name, _)| *name != missing);
        let values = values.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
        let error = DRIVER.connect(Settings::new("harbor-cr", values, false), Script::new().shared());
        let error = error.err().unwrap();
        assert_eq!(error.details["setting"], missing, "{error}");
    }
    let error = DRIVER.connect(settings("http://h"), Script::new().shared()).err().unwrap();
    assert_eq!((error.code(), error.details["setting"].as_str()), ("setting_invalid", "registryBase"));
}

#[test]
fn a_user_lists_all_repositories_by_pages_of_their_number() {
    let list = |n: u32, body: &'static str| {
        api(&format!("/repositories?sort=name&page={n}&page_size=2"))
            .answer(StatusCode::OK, body)
            .answer_header("x-total-count".parse().unwrap(), "3")
    };
    let script = Script::new()
        .then(known())
        .then(me(StatusCode::OK))
        .then(list(1, r#"[{"name":"a/b","artifact_count":1},{"name":"a/c/d"}]"#))
        .then(list(2, r#"[{"name":"z/z"}]"#));
    let (script, driver) = connect(script);
    let first = block_on(driver.repositories(page(2, None))).unwrap();
    assert_eq!(first.items.iter().map(RepositoryName::as_str).collect::<Vec<_>>(), ["a/b", "a/c/d"]);
    // The size is the cursor's, whatever is asked for.
    let last = block_on(driver.repositories(page(50, Some(&first.next.unwrap().0)))).unwrap();
    assert_eq!(last.items.iter().map(RepositoryName::as_str).collect::<Vec<_>>(), ["z/z"]);
    assert_eq!(last.next, None);
    script.assert_finished();
}

#[test]
fn null_is_an_empty_list() {
    let list = api("/repositories?sort=name&page=1&page_size=100").answer(StatusCode::OK, "null");
    let (script, driver) = connect(Script::new().then(known()).then(me(StatusCode::OK)).then(list));
    let only = block_on(driver.repositories(page(1000, None))).unwrap();
    assert!(only.items.is_empty() && only.next.is_none());
    script.assert_finished();
}

#[test]
fn a_robot_goes_by_projects_and_a_closed_one_is_left_out_with_a_warning() {
    for no_user in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::PRECONDITION_FAILED] {
        let script = Script::new()
            .then(known())
            .then(me(no_user))
            .then(
                api("/projects?with_detail=false&sort=name&page=1&page_size=100")
                    .answer(StatusCode::OK, r#"[{"name":"closed"},{"name":"empty"},{"name":"team"}]"#),
            )
            .then(
                api("/projects/closed/repositories?sort=name&page=1&page_size=100")
                    .answer(StatusCode::FORBIDDEN, "{}"),
            )
            .then(
                api("/projects/empty/repositories?sort=name&page=1&page_size=100")
                    .answer(StatusCode::OK, "null"),
            )
            .then(
                api("/projects/team/repositories?sort=name&page=1&page_size=100")
                    .answer(StatusCode::OK, r#"[{"name":"team/app"}]"#),
            );
        let (script, driver) = connect(script);
        let only = block_on(driver.repositories(PageRequest::first())).unwrap();
        assert_eq!(only.items, [app()]);
        assert_eq!(only.next, None);
        let warnings = script.log_lines();
        assert!(matches!(&warnings[..], [(LogLevel::Warn, text)] if text.contains("project closed")));
        script.assert_finished();
    }
}

#[test]
fn without_any_right_to_list_the_error_names_the_right() {
    let script = Script::new()
        .always(known())
        .then(me(StatusCode::PRECONDITION_FAILED))
        .then(
            api("/projects?with_detail=false&sort=name&page=1&page_size=100")
                .answer(StatusCode::OK, r#"[{"name":"team"}]"#),
        )
        .then(
            api("/projects/team/repositories?sort=name&page=1&page_size=100")
                .answer(StatusCode::FORBIDDEN, "{}"),
        )
        .then(api("/repositories?sort=name&page=1&page_size=100").answer(StatusCode::OK, "null"))
        .then(
            basic(&format!("{HOST}/v2/_catalog?n=100"))
                .answer(StatusCode::UNAUTHORIZED, "{}")
                .answer_header(WWW_AUTHENTICATE, "Basic realm=\"harbor\""),
        );
    let (script, driver) = connect(script);
    let error = block_on(driver.repositories(PageRequest::first())).unwrap_err();
    assert_eq!(error.code(), "permission_missing");
    assert!(error.message().contains("List Repository"), "{error}");
    script.assert_finished();
}

#[test]
fn an_api_that_a_proxy_hides_is_replaced_by_the_catalog() {
    let catalog = basic(&format!("{HOST}/v2/_catalog?n=100"))
        .answer(StatusCode::OK, r#"{"repositories":["team/app"]}"#)
        .answer_header("link".parse().unwrap(), r#"</v2/_catalog?last=team%2Fapp&n=100>; rel="next""#);
    let script = Script::new()
        .then(known())
        .then(me(StatusCode::NOT_FOUND))
        .then(
            api("/projects?with_detail=false&sort=name&page=1&page_size=100")
                .answer(StatusCode::NOT_FOUND, "<html>"),
        )
        .then(api("/repositories?sort=name&page=1&page_size=100").answer(StatusCode::NOT_FOUND, "<html>"))
        .then(catalog)
        .then(
            basic(&format!("{HOST}/v2/_catalog?n=100&last=team%2Fapp"))
                .answer(StatusCode::OK, r#"{"repositories":null}"#),
        );
    let (script, driver) = connect(script);
    let first = block_on(driver.repositories(PageRequest::first())).unwrap();
    assert_eq!(first.items, [app()]);
    let second = block_on(driver.repositories(page(100, Some(&first.next.unwrap().0)))).unwrap();
    assert!(second.items.is_empty() && second.next.is_none());
    script.assert_finished();
}

#[test]
fn a_path_in_the_base_keeps_listings_to_a_project() {
    let list = api("/projects/team/repositories?sort=name&page=1&page_size=100")
        .answer(StatusCode::OK, r#"[{"name":"team/sub/x"},{"name":"team/subway"},{"name":"team/sub"}]"#);
    let (script, driver) =
        connect_to("https://harbor.example.com/team/sub/", Script::new().then(known()).then(list));
    let only = block_on(driver.repositories(PageRequest::first())).unwrap();
    assert_eq!(only.items.iter().map(RepositoryName::as_str).collect::<Vec<_>>(), ["team/sub/x", "team/sub"]);
    script.assert_finished();
}

#[test]
fn a_cursor_that_no_page_gave_is_refused() {
    let (script, driver) = connect(Script::new());
    for cursor in ["", "all/0/100", "page=2", "catalog/0/n=1"] {
        let error = block_on(driver.repositories(page(100, Some(cursor)))).unwrap_err();
        assert_eq!(error.code(), "cursor_invalid", "{cursor}");
    }
    let error = block_on(driver.tag_details(&app(), page(100, Some("x")))).unwrap_err();
    assert_eq!(error.code(), "cursor_invalid");
    script.assert_finished();
}

#[test]
fn a_wrong_password_is_not_an_empty_registry() {
    let (script, driver) = connect(Script::new().always(login(StatusCode::UNAUTHORIZED)));
    let error = block_on(driver.repositories(PageRequest::first())).unwrap_err();
    assert_eq!((error.code(), error.class()), ("credentials_rejected", Class::Authentication));
    assert!(!error.message().contains("s3cr3t"));
    script.assert_finished();
}

const ARTIFACTS: &str = "/projects/team/repositories/sub%252Fapp/artifacts?q=tags%3D*&sort=id&with_tag=true&\
                         with_label=false&with_scan_overview=false&with_sbom_overview=false&\
                         with_immutable_status=false&with_accessory=false&page_size=100&page=";

#[test]
fn tags_come_with_digest_size_and_their_own_time() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let body = format!(
        r#"[{{"digest":"{digest}","size":1234,"push_time":"2020-01-01T00:00:00Z","tags":[
              {{"name":"1.0","push_time":"2026-01-01T00:00:00.500Z"}},{{"name":"latest"}},{{"name":"-no tag-"}}]}},
            {{"digest":"broken","tags":[{{"name":"x"}}]}},
            {{"digest":"{digest}","tags":null}}]"#
    );
    let list = api(&format!("{ARTIFACTS}1"))
        .answer(StatusCode::OK, body)
        .answer_header("x-total-count".parse().unwrap(), "101");
    let rest = api(&format!("{ARTIFACTS}2")).answer(StatusCode::OK, "null");
    let (script, driver) = connect(Script::new().then(known()).then(list).then(rest));
    let repository = "team/sub/app".parse().unwrap();
    let first = block_on(driver.tag_details(&repository, PageRequest::first())).unwrap();
    let rows: Vec<_> = first.items.iter().map(|d| (d.tag.as_str(), d.size_bytes, d.pushed)).collect();
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_500);
    assert_eq!(rows, [("1.0", Some(1234), Some(at)), ("latest", Some(1234), None)]);
    assert!(first.items.iter().all(|d| d.digest.to_string() == digest));
    let last =
        block_on(driver.tag_details(&repository, page(100, first.next.as_ref().map(|c| c.0.as_str()))));
    assert!(last.unwrap().next.is_none());
    script.assert_finished();
}

#[test]
fn refused_artifacts_are_a_missing_right_or_a_wrong_password() {
    let rows = [
        (StatusCode::FORBIDDEN, StatusCode::OK, "permission_missing", "List Artifact"),
        (StatusCode::UNAUTHORIZED, StatusCode::OK, "permission_missing", "List Artifact"),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED, "credentials_rejected", "expired"),
    ];
    for (answer, password, code, says) in rows {
        let list = api(&format!("{ARTIFACTS}1")).answer(answer, "{}");
        let (script, driver) = connect(Script::new().then(known()).then(list).then(login(password)));
        let repository = "team/sub/app".parse().unwrap();
        let error = block_on(driver.tag_details(&repository, PageRequest::first())).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.message().contains(says), "{error}");
        script.assert_finished();
    }
    let (script, driver) = connect(Script::new());
    let error = block_on(driver.tag_details(&"app".parse().unwrap(), PageRequest::first())).unwrap_err();
    assert_eq!(error.code(), "not_found");
    script.assert_finished();
}

const PULL: &str = "&scope=repository:team/app:pull";
const TAGS: &str = "https://harbor.example.com/v2/team/app/tags/list?n=1";

#[test]
fn a_refused_token_is_renewed_and_never_replaced_by_the_password() {
    let refused = bearer(TAGS, "t1")
        .answer(StatusCode::UNAUTHORIZED, "{}")
        .answer_header(WWW_AUTHENTICATE, "Basic realm=\"harbor\"");
    let script = Script::new()
        .then(known())
        .then(challenge(TAGS, BEARER))
        .then(token(PULL, "t1"))
        .then(bearer(TAGS, "t1").answer(StatusCode::OK, r#"{"tags":["1.0"]}"#))
        .then(refused)
        .then(token(PULL, "t2"))
        .then(bearer(TAGS, "t2").answer(StatusCode::OK, r#"{"tags":["1.0"]}"#));
    let (script, driver) = connect(script);
    for _ in 0..2 {
        assert_eq!(block_on(driver.tags(&app(), page(1, None))).unwrap().items.len(), 1);
    }
    let authorization = block_on(driver.authorize(Access { repository: app(), renew: false })).unwrap();
    assert_eq!(authorization.headers[0].1, "Bearer t2");
    assert!(authorization.headers[0].1.is_sensitive() && authorization.expires.is_some());
    assert_eq!(authorization.endpoint.as_str(), "https://harbor.example.com/");
    script.assert_finished();
}

#[test]
fn tokens_that_do_not_help_are_a_missing_right_or_a_wrong_password() {
    for (password, code) in
        [(StatusCode::OK, "permission_missing"), (StatusCode::UNAUTHORIZED, "credentials_rejected")]
    {
        let refused = |token: &str| {
            bearer(TAGS, token)
                .answer(StatusCode::UNAUTHORIZED, "{}")
                .answer_header(WWW_AUTHENTICATE, "Basic realm=\"harbor\"")
        };
        let script = Script::new()
            .then(known())
            .then(challenge(TAGS, BEARER))
            .then(token(PULL, "t1"))
            .then(refused("t1"))
            .always(login(password));
        let (script, driver) = connect(script);
        let error = block_on(driver.tags(&app(), page(1, None))).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        script.assert_finished();
    }
}

#[test]
fn an_unknown_project_is_not_found() {
    let unknown =
        bearer(TAGS, "t1").answer(StatusCode::UNAUTHORIZED, "{}").answer_header(WWW_AUTHENTICATE, "");
    let script =
        Script::new().then(known()).then(challenge(TAGS, BEARER)).then(token(PULL, "t1")).then(unknown);
    let (script, driver) = connect(script);
    let error = block_on(driver.tags(&app(), page(1, None))).unwrap_err();
    assert_eq!((error.code(), error.class()), ("not_found", Class::Absent));
    script.assert_finished();
}

#[test]
fn a_realm_that_lost_its_https_says_what_to_configure() {
    let realm = r#"Bearer realm="http://harbor.example.com/service/token",service="harbor-registry""#;
    let script = Script::new()
        .then(api("/ping").answer(StatusCode::OK, "Pong"))
        .then(known())
        .then(challenge(&format!("{HOST}/v2/"), realm));
    let (script, driver) = connect(script);
    let error = block_on(driver.validate()).unwrap_err();
    assert_eq!((error.code(), error.class()), ("realm_refused", Class::Refused));
    assert!(error.message().contains("external URL"), "{error}");
    assert!(error.message().contains("https://harbor.example.com"), "{error}");
    script.assert_finished();
}

#[test]
fn a_registry_that_is_no_harbor_fails_the_first_check() {
    let script = Script::new()
        .then(api("/ping").answer(StatusCode::NOT_FOUND, "<html>"))
        .always(known())
        .then(challenge(&format!("{HOST}/v2/"), BEARER))
        .then(token("", "t0"))
        .then(bearer(&format!("{HOST}/v2/"), "t0").answer(StatusCode::OK, "{}"))
        .then(me(StatusCode::NOT_FOUND))
        .always(
            api("/projects?with_detail=false&sort=name&page=1&page_size=100")
                .answer(StatusCode::FORBIDDEN, "{}"),
        )
        .always(api("/repositories?sort=name&page=1&page_size=1").answer(StatusCode::FORBIDDEN, "{}"))
        .always(basic(&format!("{HOST}/v2/_catalog?n=1")).answer(StatusCode::FORBIDDEN, "{}"));
    let (script, driver) = connect(script);
    let validation = block_on(driver.validate()).unwrap();
    let outcomes: Vec<_> = validation.checks.iter().map(|c| (c.name.as_str(), c.outcome)).collect();
    let expected = [
        ("reached", Outcome::Failed),
        ("authenticated", Outcome::Passed),
        ("list", Outcome::Denied),
        ("pull", Outcome::Skipped),
    ];
    assert_eq!(outcomes, expected);
    assert!(validation.checks[0].detail.contains("registryBase"));
    assert!(validation.checks[2].detail.contains("List Repository"));
    script.assert_finished();
}

#[test]
fn it_keeps_the_contract_of_drivers() {
    let total = |exchange: Exchange, total| exchange.answer_header("x-total-count".parse().unwrap(), total);
    let list = |query: &str, body: &'static str| {
        total(api(&format!("/repositories?sort=name&{query}")).answer(StatusCode::OK, body), "2")
    };
    let digest = format!("sha256:{}", "a".repeat(64));
    let artifact =
        |digest: &str, tag: &str| format!(r#"{{"digest":"{digest}","tags":[{{"name":"{tag}"}}]}}"#);
    let artifacts = |repository: &str, query: &str, body: String| {
        let path = format!(
            "/projects/team/repositories/{repository}/artifacts?q=tags%3D*&sort=id&with_tag=true&with_label=false&\
             with_scan_overview=false&with_sbom_overview=false&with_immutable_status=false&with_accessory=false&{query}"
        );
        api(&path).answer(StatusCode::OK, body)
    };
    let mut script = Script::new()
        .always(api("/ping").answer(StatusCode::OK, "Pong"))
        .always(known())
        .always(me(StatusCode::OK))
        .always(challenge(&format!("{HOST}/v2/"), BEARER))
        .always(token("", "t0"))
        .always(bearer(&format!("{HOST}/v2/"), "t0").answer(StatusCode::OK, "{}"))
        .always(list("page=1&page_size=100", r#"[{"name":"team/app"},{"name":"team/web"}]"#))
        .always(list("page=1&page_size=1", r#"[{"name":"team/app"}]"#))
        .always(list("page=2&page_size=1", r#"[{"name":"team/web"}]"#));
    for name in ["app", "web"] {
        let tags = |query: &str, body: &'static str| {
            bearer(&format!("{HOST}/v2/team/{name}/tags/list?{query}"), name).answer(StatusCode::OK, body)
        };
        let next = if name == "app" {
            r#"</v2/team/app/tags/list?last=1.0&n=1>; rel="next""#
        } else {
            r#"</v2/team/web/tags/list?last=1.0&n=1>; rel="next""#
        };
        let both = format!("[{},{}]", artifact(&digest, "1.0"), artifact(&digest, "latest"));
        let one = |tag: &str| format!("[{}]", artifact(&digest, tag));
        script = script
            .always(token(&format!("&scope=repository:team/{name}:pull"), name))
            .always(bearer(&format!("{HOST}/v2/"), name).answer(StatusCode::OK, "{}"))
            .always(tags("n=1000", r#"{"tags":["1.0","latest"]}"#))
            .always(tags("n=1", r#"{"tags":["1.0"]}"#).answer_header("link".parse().unwrap(), next))
            .always(tags("last=1.0&n=1", r#"{"tags":["latest"]}"#))
            .always(total(artifacts(name, "page=1&page_size=100", both), "2"))
            .always(total(artifacts(name, "page=1&page_size=1", one("1.0")), "2"))
            .always(total(artifacts(name, "page=2&page_size=1", one("latest")), "2"));
    }
    let (script, driver) = connect(script);
    let breaches = block_on(contract(&*driver, &DRIVER.description()));
    assert!(breaches.is_empty(), "{breaches:#?}");
    script.assert_finished();
}
