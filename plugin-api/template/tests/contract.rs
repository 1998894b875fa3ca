//! The contract of drivers, over a registry with one user, two repositories and two tags.

use regent_plugin_api::http::StatusCode;
use regent_plugin_api::http::header::{AUTHORIZATION, LINK, WWW_AUTHENTICATE};
use regent_plugin_api::testkit::{Exchange, Script};

/// `robot` and `s3cr3t`.
const BASIC: &str = "Basic cm9ib3Q6czNjcjN0";

/// What the registry answers at `/v2/…`, and where its next page begins.
const PAGES: [(&str, &str, Option<&str>); 8] = [
    ("", "{}", None),
    ("_catalog?n=100", r#"{"repositories":["team/app","team/base"]}"#, None),
    ("_catalog?n=1", r#"{"repositories":["team/app"]}"#, Some("</v2/_catalog?n=1&last=team/app>; rel=\"next\"")),
    ("_catalog?n=1&last=team/app", r#"{"repositories":["team/base"]}"#, None),
    ("team/app/tags/list?n=100", r#"{"tags":["1.0","latest"]}"#, None),
    ("team/app/tags/list?n=1", r#"{"tags":["1.0"]}"#, Some("</v2/team/app/tags/list?n=1&last=1.0>; rel=\"next\"")),
    ("team/app/tags/list?n=1&last=1.0", r#"{"tags":["latest"]}"#, None),
    ("team/base/tags/list", r#"{"tags":["1.0"]}"#, None),
];

fn registry() -> Script {
    PAGES.iter().fold(Script::new(), |script, (path, body, link)| {
        let exchange = Exchange::get(&format!("https://registry.example.com/v2/{path}"));
        let exchange = if path.ends_with("/list") { exchange.with_any_query() } else { exchange };
        let page = exchange.clone().with_secret_header(AUTHORIZATION, BASIC).expect("a header");
        let page = page.answer(StatusCode::OK, *body);
        let page = link.iter().fold(page, |page, link| page.answer_header(LINK, link));
        let refusal = exchange.without_header(AUTHORIZATION).answer(StatusCode::UNAUTHORIZED, "{}");
        script.always(page).always(refusal.answer_header(WWW_AUTHENTICATE, "Basic realm=\"registry\""))
    })
}

regent_plugin_api::contract_tests! {
    driver: {{crate_name}}::DRIVER,
    settings: [("registryBase", "registry.example.com"), ("username", "robot"), ("password", "s3cr3t")],
    registry: registry,
}
