//! What a minor version may add, in both directions: `fixture-api-next` is today's API with a method of a session, a
//! service of the host, a key and a number more.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fixture_api_next as next;
use regent_plugin_api::load::{LibraryFile, load};
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::transport::{BoxFuture, Class, Request, Response, Transport, TransportError};
use regent_plugin_api::{DynDriver as _, Outcome, PageRequest, Settings};
use regent_tests::artifacts::driver_library;
use regent_tests::image::{Compression, Flavor, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry};

use super::network::Network;

/// The same source, built with 1.0, with today's API and with the next one.
const OLD: &str = "frozen-1-0-driver";
const TODAYS: &str = "frozen-1-0-driver-today";
const NEXT: &str = "fixture-driver-next";

async fn registry() -> Registry {
    let registry = Registry::start(Auth::None).await;
    let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
    for repository in ["team/app", "team/tool"] {
        image.push(&registry.authority(), repository, "1", None).await;
    }
    registry
}

fn values(registry: &Registry) -> [(String, SecretString); 2] {
    [("registryBase", registry.authority()), ("password", "Basic bm8=".to_owned())]
        .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_driver_runs_in_todays_host_and_does_without_what_that_lacks() {
    let registry = registry().await;
    let path = driver_library(NEXT);
    let file = LibraryFile::from_bytes(Path::new(&path), std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(file.description().api.to_string(), "1.1.0");
    let library = load(&file).unwrap_or_else(|refusal| panic!("{refusal}"));
    let host = Arc::new(Network::default());
    let session =
        library.connect(&Settings::new("frozen-1-0", values(&registry), true), host.clone()).unwrap();
    let page = session.repositories(PageRequest::first()).await.unwrap();
    assert_eq!(page.items.len(), 2);

    let validation = session.validate().await.unwrap();
    let outcome = |name: &str| {
        validation.checks.iter().find(|c| c.name == name).map(|c| (c.outcome, c.detail.as_str()))
    };
    assert_eq!(outcome("denied"), Some((Outcome::Denied, "a right that nobody has")));
    // A number that this host does not know counts as the worst there is; the key beside it as nothing.
    assert_eq!(outcome("variable"), Some((Outcome::Failed, "seen")));
    // The service that this host lacks was answered inside the driver, which then did without.
    assert_eq!(outcome("jitter"), Some((Outcome::Failed, "true")));
}

/// Today's network, as a host of the next version has it.
struct NextHost(Network);

impl Transport for NextHost {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        self.0.send(request)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep(duration)
    }

    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn jitter(&self) -> f64 {
        self.0.jitter()
    }
}

impl next::HostServices for NextHost {
    fn log(&self, _: next::LogLevel, message: &str) {
        regent_plugin_api::HostServices::log(&self.0, regent_plugin_api::LogLevel::Info, message);
    }

    fn env(&self, name: &str) -> Option<String> {
        regent_plugin_api::HostServices::env(&self.0, name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_drivers_run_in_a_newer_host_which_does_without_what_they_lack() {
    let registry = registry().await;
    // In this order and in another one: no check of layouts may remember an earlier one.
    for package in [OLD, NEXT, TODAYS, NEXT, OLD] {
        let path = driver_library(package);
        let file =
            next::load::LibraryFile::from_bytes(Path::new(&path), std::fs::read(&path).unwrap()).unwrap();
        let library = next::load::load(&file).unwrap_or_else(|refusal| panic!("{package}: {refusal}"));
        let host = Arc::new(NextHost(Network::default()));
        let settings = next::Settings::new("frozen-1-0", values(&registry), true);
        let session = library.connect(&settings, host.clone()).unwrap();

        let validation = next::DynDriver::validate(&session).await.unwrap();
        let skipped = validation.checks.iter().filter(|c| c.outcome == next::Outcome::Skipped).count();
        assert_eq!(skipped, 3, "{package}: {validation:?}");
        let asked = host.0.log().iter().any(|line| line.contains("asked for chance"));
        assert_eq!(asked, package == NEXT, "{package}: {:?}", host.0.log());

        let described = session.describe().await;
        if package == NEXT {
            assert_eq!(described.unwrap().items.len(), 1);
        } else {
            let error = described.unwrap_err();
            assert_eq!((error.class(), error.code()), (Class::Unsupported, "unsupported"), "{package}");
        }
    }
}
