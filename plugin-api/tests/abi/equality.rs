//! The same driver, linked and loaded: the same answers, and the same requests.

use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use regent_plugin_api::http::StatusCode;
use regent_plugin_api::http::header::{AUTHORIZATION, CONTENT_TYPE};
use regent_plugin_api::oci::{Digest, Reference, RepositoryName};
use regent_plugin_api::testkit::{Exchange, Script, contract};
use regent_plugin_api::transport::{Retry, TransportError};
use regent_plugin_api::{Access, BlobHandle, Cursor, DynDriver, NativeDriver, PageRequest};

use crate::{loaded, session, settings};

const VALUES: [(&str, &str); 5] = [
    ("registryBase", "registry.example.com"),
    ("token", "s3cr3t"),
    ("repositories", "team/a,team/b,team/c"),
    ("tags", "1.0,1.1,latest"),
    ("blob", "{\"schemaVersion\":2}"),
];

fn probe() -> Exchange {
    let exchange = Exchange::get("https://registry.example.com/v2/");
    exchange.with_secret_header(AUTHORIZATION, "Bearer s3cr3t").expect("a header")
}

fn host() -> Script {
    let broken =
        TransportError::Connect { host: "registry.example.com:443".into(), reason: "refused".into() };
    let html = "<html>".repeat(10_000);
    Script::new()
        .variable("FIXTURE_ECHO", "seen")
        .then(probe().answer(StatusCode::OK, html).answer_header(CONTENT_TYPE, "text/html"))
        .then(probe().answer(StatusCode::FORBIDDEN, ""))
        .then(probe().answer(StatusCode::UNAUTHORIZED, "{}"))
        .then(probe().answer(StatusCode::TOO_MANY_REQUESTS, ""))
        .then(probe().answer(StatusCode::INTERNAL_SERVER_ERROR, ""))
        .then(probe().fail(broken))
        .then(probe().fail(TransportError::Timeout { host: "registry.example.com".into() }))
        .then(probe().fail(TransportError::TooLarge { host: "h".into(), limit_bytes: 7 }))
        .then(probe().fail(TransportError::Tls { host: "h".into(), reason: "expired".into() }))
        .then(probe().fail(TransportError::Broken { host: "h".into(), reason: "reset".into() }))
        .then(probe().fail(TransportError::Refused { host: "h".into(), rule: "egress".into() }))
        .then(probe().fail(TransportError::Invalid { reason: "no host".into() }))
}

/// All calls and their answers, as text.
async fn answers(driver: &dyn DynDriver) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(format!("{:?}", driver.validate().await));
    }
    let repository: RepositoryName = "team/b".parse().expect("a name");
    let unknown: RepositoryName = "no/such".parse().expect("a name");
    let pages = [
        PageRequest::first(),
        PageRequest { size: 2, after: None },
        PageRequest { size: 2, after: Some(Cursor("2".to_owned())) },
        PageRequest { size: 0, after: Some(Cursor("none of ours".to_owned())) },
    ];
    for page in pages {
        answers.push(format!("{:?}", driver.repositories(page.clone()).await));
        answers.push(format!("{:?}", driver.tags(&repository, page.clone()).await));
        answers.push(format!("{:?}", driver.tag_details(&repository, page.clone()).await));
        answers.push(format!("{:?}", driver.tags(&unknown, page).await));
    }
    for repository in [&repository, &unknown] {
        let access = Access { repository: repository.clone(), renew: true };
        let authorization = driver.authorize(access).await;
        answers.push(format!("{authorization:?}"));
        if let Ok(authorization) = authorization {
            let headers = authorization.headers.iter();
            answers
                .extend(headers.map(|(name, v)| format!("{name} {:?} {}", v.as_bytes(), v.is_sensitive())));
        }
    }
    let tag: Reference = "latest".parse().expect("a reference");
    answers.push(format!("{:?}", driver.manifest(&repository, &tag).await));
    let blob = Digest::sha256(b"{\"schemaVersion\":2}");
    answers.push(format!("{:?}", driver.open_blob(&repository, &Digest::sha256(b"")).await));
    let handle = driver.open_blob(&repository, &blob).await.expect("it opens");
    for _ in 0..4 {
        answers.push(format!("{:?}", driver.read_blob(handle, 8).await));
    }
    answers.push(format!("{:?}", driver.close_blob(handle).await));
    answers.push(format!("{:?}", driver.close_blob(BlobHandle(99)).await));
    answers
}

fn sent(script: &Script) -> Vec<String> {
    let requests = script.requests().into_iter();
    requests
        .map(|r| {
            format!("{r:?} {} {:?} {} {:?}", r.url, r.timeout, r.max_body_bytes, r.headers.get(AUTHORIZATION))
        })
        .collect()
}

#[test]
fn a_driver_answers_the_same_linked_and_loaded() {
    let linked_host = host().shared();
    let native: &NativeDriver = &fixture_echo::DRIVER;
    let linked = native.connect(settings("fixture-echo", &VALUES), linked_host.clone()).expect("it connects");
    let library = loaded("fixture-echo");
    let (loaded_host, session) = session(&library, &VALUES, host());

    let (a, b) = (block_on(answers(&*linked)), block_on(answers(&*session)));
    assert_eq!(a, b);
    assert_eq!(sent(&linked_host), sent(&loaded_host));
    assert_eq!(linked_host.log_lines(), loaded_host.log_lines());
    assert_eq!(native.description(), *library.description());
    linked_host.assert_finished();
    loaded_host.assert_finished();
    assert!(!format!("{a:?} {:?}", linked_host.log_lines()).contains("s3cr3t"), "a secret in an answer");
}

#[test]
fn the_time_to_wait_crosses() {
    let throttled = probe().answer(StatusCode::TOO_MANY_REQUESTS, "");
    let (_, session) = session(&loaded("fixture-echo"), &VALUES, Script::new().then(throttled));
    let error = block_on(session.validate()).expect_err("throttled");
    assert_eq!(error.retry(), Retry::After(Duration::from_millis(1500)));
}

#[test]
fn the_fixture_keeps_the_contract_linked_and_loaded() {
    let script = || Script::new().always(probe());
    let linked = fixture_echo::DRIVER
        .connect(settings("fixture-echo", &VALUES), script().shared())
        .expect("it connects");
    let library = loaded("fixture-echo");
    let (_, session) = session(&library, &VALUES, script());
    let none: [String; 0] = [];
    assert_eq!(block_on(contract(&*linked, library.description())), none);
    assert_eq!(block_on(contract(&*session, library.description())), none);
}

#[test]
fn several_drivers_link_into_one_program() {
    let host = Script::new().shared();
    let twin = fixture_twin_a::DRIVER.connect(settings("fixture-twin", &[]), host).expect("it connects");
    let validation = block_on(twin.validate()).expect("valid");
    assert_eq!(validation.registry, "twin-a");
    assert!(fixture_twin_a::DRIVER.description().serves_type("FIXTURE-TWIN"));
}

#[test]
fn an_error_of_connect_crosses_with_its_details() {
    let library = loaded("fixture-echo");
    let host: Arc<Script> = Script::new().shared();
    let error = library.connect(&settings("fixture-echo", &[]), host.clone()).expect_err("no base");
    let linked = fixture_echo::DRIVER.connect(settings("fixture-echo", &[]), host).err().expect("no base");
    assert_eq!(error, linked);
    assert_eq!(error.details.get("setting").map(String::as_str), Some("registryBase"));
}
