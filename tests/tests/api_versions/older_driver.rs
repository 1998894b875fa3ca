//! A driver built with each released version of the API, in today's host: it loads, and answers what the same source
//! answers that is built with today's API.

use std::path::Path;
use std::sync::Arc;

use regent_plugin_api::load::{LibraryFile, LoadedLibrary, load};
use regent_plugin_api::oci::{Digest, Reference, RepositoryName};
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::{Access, BlobHandle, Cursor, DynDriver, PageRequest, Settings};
use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::{driver_library, plugin_directory};
use regent_tests::ended::driver_check;
use regent_tests::image::{Compression, Flavor, Image, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry, basic};
use regent_tests::sink::Sink;
use serde_json::{Value, json};

use super::FROZEN;
use super::network::Network;

const USERNAME: &str = "robot";
const PASSWORD: &str = "s3cr3t";

/// The packages of a version's driver: built with that version, and with today's.
fn builds(version: &str) -> [String; 2] {
    let name = version.replace('.', "-");
    [format!("frozen-{name}-driver"), format!("frozen-{name}-driver-today")]
}

/// A registry with two tags of one image, and another repository.
async fn registry() -> (Registry, Image) {
    let login = Auth::Htpasswd { username: USERNAME.to_owned(), password: PASSWORD.to_owned() };
    let registry = Registry::start(login).await;
    let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
    let authorization = registry.authorization();
    for (repository, tag) in [("team/app", "1.0"), ("team/app", "latest"), ("team/tool", "1")] {
        image.push(&registry.authority(), repository, tag, authorization.as_deref()).await;
    }
    (registry, image)
}

#[test]
fn it_passes_the_check_of_drivers_as_todays_does() {
    for version in FROZEN {
        let [old, new] = builds(version).map(|package| {
            let report = driver_check(&driver_library(&package)).json();
            assert!(report["passed"] == true, "{package}: {report:#}");
            report
        });
        let api = old["driver"]["api"].as_str().unwrap();
        assert_eq!(api.rsplit_once('.').unwrap().0, version, "{old:#}");
        // All steps but the one that names the API.
        let steps = |report: &Value| -> Vec<Value> {
            let all = report["checks"].as_array().unwrap().iter();
            all.filter(|step| step["name"] != "load").cloned().collect()
        };
        assert!(steps(&old).len() > 8, "{old:#}");
        assert_eq!(steps(&old), steps(&new), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_a_real_registry_as_todays_does() {
    let (registry, _) = registry().await;
    for version in FROZEN {
        let [old, new] = builds(version);
        let (old, new) = tokio::join!(served(&old, version, &registry), served(&new, version, &registry));
        for (old, new) in old.iter().zip(&new) {
            assert_eq!(old, new, "{version}");
        }
        assert_eq!(old.len(), new.len());
    }
}

/// What an agent with this driver answers to everything that a driver has a say in.
async fn served(package: &str, version: &str, registry: &Registry) -> Vec<(String, u16, Value)> {
    let (plugins, sink) = (plugin_directory(&[package]), Sink::start().await);
    let environment = [
        ("REGENT_INSECURE_REGISTRIES", registry.authority()),
        ("FROZEN_VARIABLE", "seen".to_owned()),
        ("BROKER_CLIENT_URL", sink.url()),
    ];
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let agent = Agent::start(plugins.path(), &environment).await;
    let connection = |password: &str| {
        let name = version.replace('.', "-");
        Connection(json!({
            "type": format!("frozen-{name}"), "registryBase": registry.authority(), "password": password,
        }))
    };
    let good = connection(&basic(USERNAME, PASSWORD));
    let calls = [
        ("/systemcheck", 200, &good),
        ("/list", 200, &good),
        ("/list/team/app", 200, &good),
        ("/list-with-metadata/team%2Fapp", 200, &good),
        ("/list/no/such", 404, &good),
        ("/list", 401, &connection(&basic(USERNAME, "another"))),
    ];
    let mut answers = Vec::new();
    for (path, status, connection) in calls {
        let answer = agent.get(path, connection).await;
        assert_eq!(answer.status, status, "{package} {path}: {}", answer.text);
        answers.push((path.to_owned(), answer.status, without_what_differs(answer.json())));
    }
    let body = json!({ "image": "team/app:1.0", "credentials": good.0, "correlationId": "one" });
    let accepted = agent.post("/scan", &body).await.expect(202);
    let operation = accepted["operationId"].as_str().unwrap().to_owned();
    let done = sink.wait_for("/api/v2/import/done", &operation).await.body;
    assert_eq!(done["status"], "succeeded", "{package}: {done:#}");
    answers
}

/// An answer without its request's own id.
fn without_what_differs(mut answer: Value) -> Value {
    if let Some(object) = answer.as_object_mut() {
        for name in ["requestId", "instance", "durationMs"] {
            object.remove(name);
        }
    }
    answer
}

fn loaded(package: &str) -> LoadedLibrary {
    let path = driver_library(package);
    let file = LibraryFile::from_bytes(Path::new(&path), std::fs::read(&path).unwrap()).unwrap();
    load(&file).unwrap()
}

#[tokio::test]
async fn every_method_and_every_service_of_the_host_is_the_same() {
    let (registry, image) = registry().await;
    for version in FROZEN {
        let [old, new] = builds(version).map(|package| loaded(&package));
        assert_eq!(old.description().types, new.description().types);
        assert_eq!(old.description().settings, new.description().settings);
        let old = told(&old, &registry, &image).await;
        let new = told(&new, &registry, &image).await;
        for (old, new) in old.iter().zip(&new) {
            assert_eq!(old, new, "{version}");
        }
        assert_eq!(old.len(), new.len());
        assert!(old.iter().any(|line| line == "Warn renewed"), "the log is among it: {old:#?}");
    }
}

/// All calls and their answers as text, then the log.
async fn told(library: &LoadedLibrary, registry: &Registry, image: &Image) -> Vec<String> {
    let host = Arc::new(Network::default());
    let mut told = Vec::new();
    let connect = |base: &str, password: &str| {
        let values = [("registryBase", base), ("password", password)];
        let values = values.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
        library.connect(&Settings::new("FrozenCR", values, true), host.clone())
    };
    let refused = connect(&registry.authority(), "a line\nbreak").map(|_| ());
    told.push(format!("{refused:?}"));
    let good = basic(USERNAME, PASSWORD);
    for (base, password) in [
        (registry.authority(), good.as_str()),
        (registry.authority(), "Basic bm8="),
        ("127.0.0.1:1".to_owned(), good.as_str()),
    ] {
        let session = connect(&base, password).unwrap();
        told.extend(of_session(&session, image).await);
    }
    told.extend(host.log());
    told
}

async fn of_session(session: &dyn DynDriver, image: &Image) -> Vec<String> {
    let mut told = vec![format!("{:?}", session.validate().await)];
    let (known, unknown): (RepositoryName, RepositoryName) =
        ("team/app".parse().unwrap(), "no/such".parse().unwrap());
    let (tag, digest) = ("1.0".parse::<Reference>().unwrap(), image.config.clone());
    let pages = [
        PageRequest::first(),
        PageRequest { size: 1, after: None },
        PageRequest { size: 1, after: Some(Cursor("team/app".to_owned())) },
    ];
    for page in pages {
        told.push(format!("{:?}", session.repositories(page.clone()).await));
        for repository in [&known, &unknown] {
            told.push(format!("{:?}", session.tags(repository, page.clone()).await));
            told.push(format!("{:?}", session.tag_details(repository, page.clone()).await));
        }
    }
    for renew in [false, true] {
        let authorization = session.authorize(Access { repository: known.clone(), renew }).await.unwrap();
        told.push(format!("{authorization:?}"));
        let headers = authorization.headers.iter();
        told.extend(
            headers.map(|(name, value)| format!("{name} {:?} {}", value.as_bytes(), value.is_sensitive())),
        );
    }
    told.push(format!("{:?}", session.manifest(&known, &tag).await));
    told.push(format!("{:?}", session.open_blob(&known, &Digest::sha256(b"nothing")).await));
    if let Ok(blob) = session.open_blob(&known, &digest).await {
        for _ in 0..3 {
            told.push(format!("{:?}", session.read_blob(blob, 100).await));
        }
        told.push(format!("{:?}", session.close_blob(blob).await));
    }
    told.push(format!("{:?}", session.close_blob(BlobHandle(99)).await));
    told
}
