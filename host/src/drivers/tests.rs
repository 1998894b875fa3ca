use regent_transport::Fault as _;
use secrecy::SecretString;

use super::fixtures::{gate, shelf};
use super::library_fixture::{directory, library, put};
use super::*;
use crate::http::HttpConfig;
use crate::http::test_server::{TestServer, answer};

fn drivers(configure: impl FnOnce(&mut DriversConfig)) -> Drivers {
    let mut config = DriversConfig::new(Vec::new());
    configure(&mut config);
    let http = HttpClient::new(&HttpConfig::default()).unwrap();
    Drivers::with_native(config, http, &[shelf::DRIVER, gate::DRIVER])
}

fn connection(registry_type: &str, fields: &[(&str, &str)]) -> Connection {
    let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), SecretString::from(*v)));
    Connection::new(registry_type, fields)
}

#[tokio::test]
async fn sessions_are_kept_by_the_whole_connection() {
    let drivers = drivers(|_| {});
    let open = async |password: &str| {
        let connection = connection("shelf", &[("registryBase", "shelf.example"), ("password", password)]);
        drivers.open(&connection).await.unwrap()
    };
    let (first, again, other) = (open("one").await, open("one").await, open("two").await);
    assert!(Arc::ptr_eq(&first, &again));
    assert!(!Arc::ptr_eq(&first, &other));
}

#[tokio::test]
async fn sessions_leave_when_there_are_too_many_and_when_they_are_idle() {
    let drivers = drivers(|config| config.max_sessions = 2);
    let open =
        async |name: &str| drivers.open(&connection("shelf", &[("registryBase", name)])).await.unwrap();
    let (a, b) = (open("a").await, open("b").await);
    assert!(Arc::ptr_eq(&a, &open("a").await));
    let _c = open("c").await;
    assert!(Arc::ptr_eq(&a, &open("a").await));
    assert!(!Arc::ptr_eq(&b, &open("b").await));
    let a = open("a").await;
    tokio::time::pause();
    tokio::time::advance(DriversConfig::DEFAULT_SESSION_IDLE).await;
    tokio::time::resume();
    assert!(!Arc::ptr_eq(&a, &open("a").await));
}

#[tokio::test]
async fn what_can_not_be_opened_is_told_with_a_code() {
    let rows = [
        ("nonsense", "driver_unknown", None),
        ("other-shelf", "type_ambiguous", None),
        ("gate", "setting_invalid", Some("gate")), // without a registryBase
    ];
    let drivers = drivers(|_| {});
    for (registry_type, code, driver) in rows {
        let error = drivers.open(&connection(registry_type, &[])).await.unwrap_err();
        assert_eq!((error.code(), error.driver()), (code, driver), "{registry_type}: {error}");
    }
}

#[tokio::test]
async fn a_binding_decides_between_two_claimants() {
    let drivers = drivers(|config| {
        config.bindings.insert("other-shelf".to_owned(), "gate".to_owned());
    });
    let registry = drivers.open(&connection("Other-Shelf", &[("registryBase", "http://h")])).await.unwrap();
    assert_eq!(registry.driver().name, "gate");
    assert_eq!(registry.registry_type(), "Other-Shelf");
    let states: Vec<_> = drivers.list().into_iter().map(|info| info.state).collect();
    assert_eq!(states, [DriverState::Ready, DriverState::Loaded]);
}

#[tokio::test]
async fn a_driver_reaches_its_registry_and_declared_variables_and_nothing_else() {
    let server = TestServer::plain(|_| answer(204, "")).await;
    let listed = server.authority();
    let environment: Environment = Arc::new(|name| Some(format!("value of {name}")));
    let permitted = drivers(|config| {
        config.insecure = listed.parse().unwrap();
        config.environment = environment;
    });
    let connection = connection("gate", &[("registryBase", &server.url(""))]);
    let validation = permitted.open(&connection).await.unwrap().validate().await.unwrap();
    assert_eq!(validation.registry, r#"204 (Some("value of GATE_DECLARED"), None)"#);

    let strict = drivers(|_| {});
    let error = strict.open(&connection).await.unwrap().validate().await.unwrap_err();
    assert_eq!(error.code(), "egress_refused", "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_file_that_is_no_driver_is_inspected_without_failing() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let info = Drivers::inspect(file.path(), &Trust::default());
    assert!(matches!(info.state, DriverState::Refused { .. }));
    assert_eq!(info.state.as_str(), "refused");
    assert!(info.description.is_none());
}

/// The reasons of an error about a type that can't be served.
fn reasons(error: &Error) -> String {
    assert!(matches!(error.code(), "driver_unavailable" | "driver_quarantined"), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_disabled_driver_is_not_used_by_a_running_agent_until_it_is_enabled() {
    let data = tempfile::tempdir().unwrap();
    let drivers = drivers(|config| config.decisions = Some(data.path().join(DECISIONS)));
    let shelf = connection("shelf", &[("registryBase", "shelf.example")]);
    let first = drivers.open(&shelf).await.unwrap();
    decide(data.path(), &Change::Disable { driver: "shelf".to_owned() }, "moving away").unwrap();
    let refused = reasons(&drivers.open(&shelf).await.unwrap_err());
    assert!(refused.contains("driver shelf is disabled: moving away"), "{refused}");
    let info = drivers.list().into_iter().next().unwrap();
    assert_eq!((info.state.as_str(), info.state.reason().as_deref()), ("disabled", Some("moving away")));
    assert!(info.state.since().is_some() && !info.serves());
    let other = connection("other-shelf", &[("registryBase", "http://h")]);
    assert_eq!(drivers.open(&other).await.unwrap().driver().name, "gate", "it claims that type alone now");

    let enable = Change::Enable { drivers: vec!["shelf".to_owned()], files: Vec::new() };
    decide(data.path(), &enable, "").unwrap();
    assert!(Arc::ptr_eq(&first, &drivers.open(&shelf).await.unwrap()));
}

#[tokio::test]
async fn quarantined_bytes_leave_an_older_version_in_their_place() {
    let (data, plugins) = (tempfile::tempdir().unwrap(), directory());
    put(plugins.path(), "new.so", &library("harbor", "2.0.0"));
    put(plugins.path(), "old.so", &library("harbor", "1.0.0"));
    let drivers = drivers(|config| {
        config.directories = vec![plugins.path().to_owned()];
        config.decisions = Some(data.path().join(DECISIONS));
    });
    let states = || {
        let infos = drivers.list();
        let files = infos.iter().filter(|info| info.file.is_some());
        files.map(|info| (info.label(), info.state.as_str())).collect::<Vec<_>>()
    };
    let named = |new, old| vec![("new.so".to_owned(), new), ("old.so".to_owned(), old)];
    assert_eq!(states(), named("ready", "superseded"));
    let digest = regent_oci::Digest::sha256(&library("harbor", "2.0.0"));
    let quarantine = Change::Quarantine { digest, file: "new.so".to_owned() };
    decide(data.path(), &quarantine, "it crashed").unwrap();
    assert_eq!(states(), named("quarantined", "ready"));
    decide(data.path(), &Change::Disable { driver: "harbor".to_owned() }, "no more").unwrap();
    assert_eq!(states(), named("quarantined", "disabled"));
    let refused = reasons(&drivers.open(&connection("harbor-cr", &[])).await.unwrap_err());
    for part in
        ["new.so: driver harbor is quarantined: it crashed", "old.so: driver harbor is disabled: no more"]
    {
        assert!(refused.contains(part), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_loaded_are_the_bytes_that_were_judged_and_no_others() {
    let plugins = directory();
    let trusted = library("harbor", "1.0.0");
    put(plugins.path(), "harbor.so", &trusted);
    let mut lock = regent_plugin_api::load::Lock::default();
    lock.pin("harbor.so", &regent_oci::Digest::sha256(&trusted));
    put(plugins.path(), "plugins.lock", lock.to_string().as_bytes());
    let drivers = drivers(|config| {
        config.directories = vec![plugins.path().to_owned()];
        config.trust.policy = TrustPolicy::Pinned;
    });
    assert_eq!(drivers.list()[2].state, DriverState::Ready);
    // Changed after it was judged, before it is loaded: the clock stands, so it is not looked at again.
    put(plugins.path(), "harbor.so", &library("harbor", "1.0.1"));
    let refused = reasons(&drivers.open(&connection("harbor-cr", &[])).await.unwrap_err());
    assert!(refused.contains("the file is being replaced"), "{refused}");
    put(plugins.path(), "harbor.so", &trusted);
    for _ in 0..2 {
        // Once it is seen, and once it is seen to stay.
        tokio::time::advance(SETTLE).await;
        drivers.list();
    }
    tokio::time::resume(); // its thread is no part of the runtime, whose clock would run ahead
    let refused = reasons(&drivers.open(&connection("harbor-cr", &[])).await.unwrap_err());
    assert!(refused.contains("the dynamic linker refuses it"), "these are loaded: {refused}");
}
