//! A driver written in C, from the header that is made of the ABI: it builds, passes the check of drivers, and serves a
//! real registry.

use std::path::Path;
use std::sync::Arc;

use regent_plugin_api::http::StatusCode;
use regent_plugin_api::http::header::AUTHORIZATION;
use regent_plugin_api::load::{LibraryFile, load};
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::testkit::{Exchange, Script, contract};
use regent_plugin_api::transport::{Class, Retry};
use regent_plugin_api::{Cursor, DynDriver, LogLevel, PageRequest, Settings};
use regent_tests::agent::{Agent, Connection};
use regent_tests::c_library::{build, folder, sample};
use regent_tests::ended::driver_check;
use regent_tests::image::{Compression, Flavor, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry, basic};
use regent_tests::sink::Sink;
use serde_json::{Value, json};

fn check(library: &Path) -> Value {
    let ended = driver_check(library);
    serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {ended:?}"))
}

#[test]
fn it_passes_the_check_of_drivers() {
    let plugins = tempfile::tempdir().unwrap();
    let report = check(&sample(plugins.path()));
    assert_eq!(report["passed"], true, "{report:#}");
    let failed: Vec<_> =
        report["checks"].as_array().unwrap().iter().filter(|c| c["outcome"] != "passed").collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_lists_a_real_registry_and_its_images_are_scanned() {
    it_serves("thread").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_does_in_a_process_of_its_own() {
    it_serves("process").await;
}

async fn it_serves(isolation: &str) {
    let login = Auth::Htpasswd { username: "robot".to_owned(), password: "s3cr3t".to_owned() };
    let (registry, sink, plugins) =
        (Registry::start(login).await, Sink::start().await, tempfile::tempdir().unwrap());
    let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
    for (repository, tag) in [("team/app", "1.0"), ("team/app", "latest"), ("team/tool", "1")] {
        image.push(&registry.authority(), repository, tag, registry.authorization().as_deref()).await;
    }
    sample(plugins.path());
    let (authority, callbacks) = (registry.authority(), sink.url());
    let environment = [
        ("REGENT_INSECURE_REGISTRIES", authority.as_str()),
        ("BROKER_CLIENT_URL", callbacks.as_str()),
        ("REGENT_DRIVER_ISOLATION", isolation),
    ];
    let agent = Agent::start(plugins.path(), &environment).await;
    let connection = |password: &str| {
        Connection(json!({
            "type": "example-c", "registryBase": authority, "authorization": basic("robot", password),
        }))
    };
    let good = connection("s3cr3t");
    assert_eq!(agent.get("/list", &good).await.expect(200), json!(["team/app", "team/tool"]));
    let mut tags: Vec<String> =
        serde_json::from_value(agent.get("/list/team/app", &good).await.expect(200)).unwrap();
    tags.sort();
    assert_eq!(tags, ["1.0", "latest"]);
    let details = agent.get("/list-with-metadata/team%2Fapp", &good).await.expect(200);
    assert_eq!(details[0]["digest"], image.digest().to_string(), "{details}");
    assert_eq!(agent.get("/systemcheck", &good).await.expect(200)["ok"], true);
    assert_eq!(agent.get("/list/no/such", &good).await.problem(404), "not_found");
    assert_eq!(agent.get("/list", &connection("another")).await.problem(401), "credentials_rejected");

    let body = json!({ "image": "team/app:1.0", "credentials": good.0, "correlationId": "c" });
    let accepted = agent.post("/scan", &body).await.expect(202);
    let operation = accepted["operationId"].as_str().unwrap().to_owned();
    let done = sink.wait_for("/api/v2/import/done", &operation).await.body;
    assert_eq!(done["status"], "succeeded", "{done:#}");
    assert!(!agent.output().contains("s3cr3t"), "{}", agent.output());
}

/// A session of the sample over scripted HTTP.
fn session(script: Script) -> (Arc<Script>, Box<dyn DynDriver>) {
    let plugins = tempfile::tempdir().unwrap();
    let path = sample(plugins.path());
    let library = load(&LibraryFile::from_bytes(&path, std::fs::read(&path).unwrap()).unwrap()).unwrap();
    let host = script.shared();
    let values = [("registryBase", "registry.example.com"), ("authorization", "Bearer s3cr3t")];
    let values = values.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
    let session = library.connect(&Settings::new("example-c", values, false), host.clone()).unwrap();
    (host, Box::new(session))
}

fn exchange(path: &str) -> Exchange {
    let exchange = Exchange::get(&format!("https://registry.example.com/v2/{path}"));
    exchange.with_secret_header(AUTHORIZATION, "Bearer s3cr3t").unwrap()
}

#[tokio::test]
async fn it_keeps_the_contract_of_drivers() {
    let page = |path: &str, body: &'static str| exchange(path).answer(StatusCode::OK, body);
    let next = |path: &str, body: &'static str| {
        page(path, body).answer_header("link".parse().unwrap(), "</v2/next>; rel=\"next\"")
    };
    let mut script = Script::new()
        .always(exchange("").answer(StatusCode::OK, "{}"))
        .always(next("_catalog?n=1", r#"{"repositories":["team/app"]}"#))
        .always(page("_catalog?n=1&last=team/app", r#"{"repositories": [ "team/tool" ] }"#))
        .always(next("team/app/tags/list?n=1", r#"{"name":"team/app","tags":["1.0"]}"#))
        .always(page("team/app/tags/list?n=1&last=1.0", r#"{"name":"team/app","tags":["latest"]}"#));
    for size in [1, 100, 1000] {
        script = script
            .always(page(&format!("team/tool/tags/list?n={size}"), r#"{"name":"team/tool","tags":["1"]}"#));
    }
    for size in [100, 1000] {
        script = script
            .always(page(&format!("_catalog?n={size}"), r#"{"repositories":["team/app","team/tool"]}"#))
            .always(page(
                &format!("team/app/tags/list?n={size}"),
                r#"{"name":"team/app","tags":["1.0","latest"]}"#,
            ));
    }
    let (host, session) = session(script);
    let plugins = tempfile::tempdir().unwrap();
    let path = sample(plugins.path());
    let file = LibraryFile::from_bytes(&path, std::fs::read(&path).unwrap()).unwrap();
    let breaches = contract(&*session, file.description()).await;
    assert!(breaches.is_empty(), "{breaches:#?}");
    drop(session);
    let log = host.log_lines();
    assert_eq!(log.last(), Some(&(LogLevel::Debug, "the session ends".to_owned())));
}

#[tokio::test]
async fn what_goes_wrong_has_its_class_and_no_call_outlives_what_it_has() {
    let broken = r#"{"repositories":["team/app","#;
    let throttled = exchange("_catalog?n=7").answer(StatusCode::TOO_MANY_REQUESTS, "");
    let (_, session) = session(
        Script::new()
            .then(exchange("_catalog?n=7").answer(StatusCode::OK, broken))
            .then(exchange("_catalog?n=7").answer(StatusCode::OK, "<html>"))
            .then(throttled.answer_header("retry-after".parse().unwrap(), "12"))
            .then(exchange("_catalog?n=7").answer(StatusCode::BAD_GATEWAY, "")),
    );
    let asked =
        |after: Option<&str>| PageRequest { size: 7, after: after.map(|text| Cursor(text.to_owned())) };
    let classes = [Class::Corrupt, Class::Corrupt, Class::Throttled, Class::Unavailable];
    for class in classes {
        let error = session.repositories(asked(None)).await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        if class == Class::Throttled {
            assert_eq!(error.retry(), Retry::After(std::time::Duration::from_secs(12)));
        }
    }
    for cursor in ["", "a b", "a&n=9", "ä", "a\0b"] {
        let error = session.repositories(asked(Some(cursor))).await.unwrap_err();
        assert_eq!(error.code(), "cursor_invalid", "{cursor:?}");
    }
    // A call that is never polled, and one that is given up after its session.
    drop(session.repositories(asked(None)));
    let call = session.repositories(asked(None));
    drop(session);
    drop(call);
}

#[test]
fn a_header_that_was_not_released_is_refused_before_the_library_is_loaded() {
    let plugins = tempfile::tempdir().unwrap();
    let source = plugins.path().join("other.c");
    let text = std::fs::read_to_string(folder().join("example.c")).unwrap();
    let other = "#include \"regent_support.h\"\n#undef REGENT_LAYOUTS\n#define REGENT_LAYOUTS \"{\\\"1.0\\\":\\\"another\\\"}\"\n";
    std::fs::write(&source, text.replace("#include \"regent_support.h\"\n", other)).unwrap();
    let library = plugins.path().join("other.so");
    build(&source, &library, &[]);
    let report = check(&library);
    assert_eq!(report["driver"]["code"], "layouts_unknown", "{report:#}");
    assert!(report["driver"]["reason"].as_str().unwrap().contains("regent_driver.h"), "{report:#}");
    assert_eq!(report["checks"], json!([]), "nothing of it has run");
}
