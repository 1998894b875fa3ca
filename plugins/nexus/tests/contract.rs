//! The contract of drivers, over a connector that everyone may read.

use regent_plugin_api::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use regent_plugin_api::http::{Method, StatusCode};
use regent_plugin_api::testkit::{Exchange, Script};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn registry() -> Script {
    let at = |path: &str, body: &'static str| {
        Exchange::get(&format!("https://nexus.example.com:8443/v2/{path}")).answer(StatusCode::OK, body)
    };
    let manifest = "https://nexus.example.com:8443/v2/team/app/manifests/1.0";
    Script::new()
        .always(at("", "{}"))
        .always(at("_catalog", r#"{"repositories":["team/app"]}"#).with_any_query())
        .always(at("team/app/tags/list", r#"{"name":"team/app","tags":["1.0","latest"]}"#).with_any_query())
        .always(
            Exchange::new(Method::HEAD, manifest)
                .answer(StatusCode::OK, "")
                .answer_header(CONTENT_TYPE, "application/vnd.oci.image.manifest.v1+json")
                .answer_header(CONTENT_LENGTH, "400")
                .answer_header(HeaderName::from_static("docker-content-digest"), DIGEST),
        )
}

regent_plugin_api::contract_tests! {
    driver: regent_driver_nexus::DRIVER,
    settings: [("registryBase", "nexus.example.com:8443")],
    registry: registry,
}
