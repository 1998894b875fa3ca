//! The drivers that `docs/drivers.md` shows: they compile, keep the contract, and are what the guide has.

mod exotic;
mod ordinary;
mod own_content;
mod smallest;

use regent_plugin_api::http::StatusCode;
use regent_plugin_api::http::header::{AUTHORIZATION, LINK, RANGE, WWW_AUTHENTICATE};
use regent_plugin_api::oci::Digest;
use regent_plugin_api::testkit::{Exchange, Script, Suite};

fn at(url: &str, body: impl Into<String>) -> Exchange {
    Exchange::get(url).answer(StatusCode::OK, body.into())
}

fn keeps(suite: &Suite) {
    let breaches = suite.linked();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

fn plain() -> Script {
    let secret =
        |exchange: Exchange| exchange.with_secret_header(AUTHORIZATION, "Bearer s3cr3t").expect("a header");
    Script::new()
        .always(secret(at("https://plain.example/repositories", "team/app")))
        .always(secret(at("https://plain.example/repositories/team/app/tags", "1.0\nlatest")))
}

#[test]
fn the_smallest_driver_keeps_the_contract() {
    keeps(&Suite::new(smallest::DRIVER, &[("registryBase", "plain.example"), ("token", "s3cr3t")], plain));
}

fn ordinary() -> Script {
    let challenge = "Bearer realm=\"https://auth.ordinary.example/token\",service=\"ordinary\"";
    let token = at("https://auth.ordinary.example/token", r#"{"token":"t0ken","expires_in":300}"#);
    let token =
        token.with_any_query().with_secret_header(AUTHORIZATION, "Basic Ym9iOnMzY3IzdA==").expect("a header");
    let pages = [
        ("v2/", "{}", None),
        ("api/repositories?page=1&per_page=100", r#"["team/app"]"#, None),
        ("api/repositories?page=1&per_page=1", r#"["team/app"]"#, None),
        ("api/repositories?page=2&per_page=1", "[]", None),
        ("v2/team/app/tags/list?n=100", r#"{"tags":["1.0","2.0"]}"#, None),
        (
            "v2/team/app/tags/list?n=1",
            r#"{"tags":["1.0"]}"#,
            Some("</v2/team/app/tags/list?n=1&last=1.0>; rel=\"next\""),
        ),
        ("v2/team/app/tags/list?n=1&last=1.0", r#"{"tags":["2.0"]}"#, None),
    ];
    pages.into_iter().fold(Script::new().always(token), |script, (path, body, link)| {
        let url = format!("https://ordinary.example/{path}");
        let page = at(&url, body).with_secret_header(AUTHORIZATION, "Bearer t0ken").expect("a header");
        let page = link.into_iter().fold(page, |page, link| page.answer_header(LINK, link));
        let refusal =
            Exchange::get(&url).without_header(AUTHORIZATION).answer(StatusCode::UNAUTHORIZED, "{}");
        script.always(page).always(refusal.answer_header(WWW_AUTHENTICATE, challenge))
    })
}

#[test]
fn the_ordinary_driver_keeps_the_contract() {
    let settings = [("registryBase", "ordinary.example"), ("username", "bob"), ("password", "s3cr3t")];
    keeps(&Suite::new(ordinary::DRIVER, &settings, ordinary));
}

const CONFIGURATION: &str = r#"{"architecture":"amd64","os":"linux"}"#;

fn depot() -> Script {
    let digest = Digest::sha256(CONFIGURATION.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"x","digest":"{digest}","size":{}}},"layers":[]}}"#,
        CONFIGURATION.len()
    );
    let file = |path: &str, body: &str| at(&format!("https://depot.example/{path}"), body);
    let ranges = ["bytes=0-15", "bytes=16-31", "bytes=32-47", "bytes=37-52"].into_iter().zip([
        0..16,
        16..32,
        32..37,
        37..37,
    ]);
    let script = Script::new()
        .always(file("index.txt", "team/app"))
        .always(file("team/app/tags.txt", "1.0"))
        .always(file("team/app/1.0.json", &manifest))
        .always(file("team/app/no-such-tag.json", "").answer(StatusCode::NOT_FOUND, ""));
    ranges.fold(script, |script, (range, part)| {
        let piece = file(&format!("files/{}", digest.hex()), CONFIGURATION.get(part).unwrap_or_default());
        script.always(piece.with_header(RANGE, range))
    })
}

#[test]
fn the_driver_with_its_own_data_plane_keeps_the_contract() {
    keeps(&Suite::new(own_content::DRIVER, &[("registryBase", "depot.example")], depot));
}

fn vault() -> Script {
    let names = |query: &str, body: &str| at(&format!("https://vault.example/api/names{query}"), body);
    Script::new()
        .always(names("?limit=100", r#"{"names":["team/app","team/base"]}"#))
        .always(names("?limit=1", r#"{"names":["team/app"],"next":"b+/=="}"#))
        .always(names("?limit=1&token=b%2B%2F%3D%3D", r#"{"names":["team/base"]}"#))
        .always(names("/team/app/tags", r#"{"names":["1.0"]}"#).with_any_query())
        .always(names("/team/base/tags", r#"{"names":["1.0"]}"#).with_any_query())
        .always(at("https://login.vault.example/token", r#"{"token":"t0ken","seconds":300}"#))
}

#[test]
fn the_driver_that_signs_keeps_the_contract() {
    let settings = [("registryBase", "vault.example"), ("username", "key-1"), ("password", "s3cr3t")];
    keeps(&Suite::new(exotic::DRIVER, &settings, vault));
}

#[test]
fn the_guide_shows_these_drivers() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(folder.join("../docs/drivers.md")).expect("the guide");
    for name in ["smallest", "ordinary", "own_content", "exotic"] {
        let path = folder.join("tests/guide").join(name).with_extension("rs");
        let source = std::fs::read_to_string(path).expect("the driver");
        assert!(guide.contains(&format!("```rust\n{source}```\n")), "docs/drivers.md has another {name}.rs");
        if name == "smallest" {
            assert!(source.lines().count() < 100, "the smallest driver has 100 lines or more");
        }
    }
}
