use regent_transport::Fault as _;
use secrecy::SecretString;

use super::fixtures::{gate, shelf};
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
    let info = Drivers::inspect(file.path());
    assert!(matches!(info.state, DriverState::Refused { .. }));
    assert_eq!(info.state.as_str(), "refused");
    assert!(info.description.is_none());
}
