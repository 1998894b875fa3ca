//! The contract of drivers, over a registry with a token service.

use regent_plugin_api::http::StatusCode;
use regent_plugin_api::http::header::{AUTHORIZATION, LINK, WWW_AUTHENTICATE};
use regent_plugin_api::testkit::{Exchange, Script};

const CHALLENGE: &str = "Bearer realm=\"https://auth.example.com/token\",service=\"registry\"";

/// Two repositories with two tags each, a page at a time or all at once.
const PAGES: [(&str, &str, Option<&str>); 12] = [
    ("", "{}", None),
    ("_catalog?n=100", r#"{"repositories":["team/app","team/base"]}"#, None),
    (
        "_catalog?n=1",
        r#"{"repositories":["team/app"]}"#,
        Some("</v2/_catalog?n=1&last=team/app>; rel=\"next\""),
    ),
    ("_catalog?n=1&last=team/app", r#"{"repositories":["team/base"]}"#, None),
    ("team/app/tags/list?n=1000", r#"{"tags":["1.0","latest"]}"#, None),
    ("team/app/tags/list?n=100", r#"{"tags":["1.0","latest"]}"#, None),
    (
        "team/app/tags/list?n=1",
        r#"{"tags":["1.0"]}"#,
        Some("</v2/team/app/tags/list?n=1&last=1.0>; rel=\"next\""),
    ),
    ("team/app/tags/list?n=1&last=1.0", r#"{"tags":["latest"]}"#, None),
    ("team/base/tags/list?n=1000", r#"{"tags":["1.0","2.0"]}"#, None),
    (
        "team/base/tags/list?n=1",
        r#"{"tags":["1.0"]}"#,
        Some("</v2/team/base/tags/list?n=1&last=1.0>; rel=\"next\""),
    ),
    ("team/base/tags/list?n=1&last=1.0", r#"{"tags":["2.0"]}"#, None),
    ("team/base/tags/list?n=1&last=2.0", r#"{"tags":[]}"#, None),
];

/// What is there for whoever has the token; all others are told where to get one.
fn registry() -> Script {
    let token = Exchange::get("https://auth.example.com/token").with_any_query();
    let token = token.with_secret_header(AUTHORIZATION, "Basic cm9ib3Q6czNjcjN0").expect("a header");
    let token = token.answer(StatusCode::OK, r#"{"token":"t0ken","expires_in":300}"#);
    PAGES.iter().fold(Script::new().always(token), |script, (path, body, link)| {
        let url = format!("https://registry.example.com/v2/{path}");
        let page = Exchange::get(&url).with_secret_header(AUTHORIZATION, "Bearer t0ken").expect("a header");
        let page = page.answer(StatusCode::OK, *body);
        let page = link.iter().fold(page, |page, link| page.answer_header(LINK, link));
        let refusal =
            Exchange::get(&url).without_header(AUTHORIZATION).answer(StatusCode::UNAUTHORIZED, "{}");
        script.always(page).always(refusal.answer_header(WWW_AUTHENTICATE, CHALLENGE))
    })
}

regent_plugin_api::contract_tests! {
    driver: regent_driver_oci::DRIVER,
    settings: [
        ("registryBase", "registry.example.com"),
        ("username", "robot"),
        ("password", "s3cr3t"),
        ("tokenService", "auth.example.com"),
    ],
    registry: registry,
}
