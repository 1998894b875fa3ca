//! The contract of drivers, over a connector that everyone may read.

use regent_plugin_api::http::{Method, StatusCode};
use regent_plugin_api::testkit::{Exchange, Script};

fn registry() -> Script {
    let at = |path: &str, body: &'static str| {
        Exchange::get(&format!("https://nexus.example.com:8443/v2/{path}")).answer(StatusCode::OK, body)
    };
    let manifest = "https://nexus.example.com:8443/v2/team/app/manifests/1.0";
    Script::new()
        .always(at("", "{}"))
        .always(at("_catalog", r#"{"repositories":["team/app"]}"#))
        .always(at("team/app/tags/list", r#"{"name":"team/app","tags":["1.0","latest"]}"#).with_any_query())
        .always(Exchange::new(Method::HEAD, manifest))
}

regent_plugin_api::contract_tests! {
    driver: regent_driver_nexus::DRIVER,
    settings: [("registryBase", "nexus.example.com:8443")],
    registry: registry,
}
