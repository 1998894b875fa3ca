use std::collections::HashMap;

use secrecy::ExposeSecret as _;

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let map: HashMap<_, _> = pairs.iter().copied().collect();
    Settings::from_lookup(|name| map.get(name).map(|v| (*v).to_owned()))
}

#[test]
fn without_any_setting_the_defaults_are_those_of_the_replaced_agent() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.port, 17500);
    assert_eq!(settings.max_image_size_bytes, 2_147_483_648);
    assert_eq!(settings.listen, None);
    assert!(settings.max_active_operations >= 1);
    assert!(!settings.list_disabled);
    assert_eq!(settings.callbacks.deadline, Duration::from_hours(24));
    assert_eq!(settings.log, LogSettings { level: tracing::Level::INFO, format: LogFormat::Text });
    assert!(settings.own_connection.is_empty());
}

#[test]
fn all_faults_are_reported_together_and_in_the_order_of_the_table() {
    let error = read(&[
        ("SNYK_PORT", "http"),
        ("SNYK_MAX_IMAGE_SIZE_IN_BYTES", "2GB"),
        ("BROKER_CLIENT_URL", "broker-client:8000"),
        ("MAX_ACTIVE_OPERATIONS", "0"),
        ("LOG_LEVEL", "loud"),
        ("HTTPS_CERT", "/etc/tls/crt"),
        ("REGENT_CLIENT_CERTIFICATES", "registry.test"),
        ("REGENT_LISTEN", "localhost"),
        ("REGENT_DRIVER_BINDINGS", "harbor-cr"),
        ("REGENT_CALLBACK_DEADLINE", "soon"),
        ("REGENT_SCAN_COMPAT", "10"),
    ])
    .unwrap_err();
    let names: Vec<_> = error.faults.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "SNYK_PORT",
            "SNYK_MAX_IMAGE_SIZE_IN_BYTES",
            "BROKER_CLIENT_URL",
            "MAX_ACTIVE_OPERATIONS",
            "LOG_LEVEL",
            "HTTPS_KEY",
            "REGENT_CLIENT_CERTIFICATES",
            "REGENT_LISTEN",
            "REGENT_DRIVER_BINDINGS",
            "REGENT_CALLBACK_DEADLINE",
            "REGENT_SCAN_COMPAT",
        ]
    );
    assert!(
        error.to_string().contains("LOG_LEVEL must be one of error, warn, info, debug, trace"),
        "{error}"
    );
}

#[test]
fn drivers_run_where_they_are_said_to_by_name_or_all_together() {
    use crate::drivers::Isolation::{Process, Thread};
    let rows = [
        ("", [Thread, Thread]),
        ("process", [Process, Process]),
        ("acme=process", [Process, Thread]),
        ("process, acme=thread", [Thread, Process]),
        ("acme=process thread", [Process, Thread]),
    ];
    for (value, expected) in rows {
        let settings = read(&[("REGENT_DRIVER_ISOLATION", value)]).unwrap();
        assert_eq!(["acme", "oci"].map(|name| settings.driver_isolations.of(name)), expected, "{value}");
    }
    for value in ["acme", "acme=", "=process", "acme=container"] {
        let error = read(&[("REGENT_DRIVER_ISOLATION", value)]).unwrap_err();
        assert!(error.to_string().contains("REGENT_DRIVER_ISOLATION must hold"), "{error}");
    }
    let settings = read(&[("REGENT_DRIVER_MEMORY", "1048576")]).unwrap();
    assert_eq!(settings.driver_isolations.memory_bytes, Some(1 << 20));
}

#[test]
fn a_faulty_proxy_is_named_without_its_password() {
    for value in ["http://user:hunter2@:99999", "ftp://user:hunter2@proxy"] {
        let error = read(&[("HTTPS_PROXY", value)]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn secrets_show_as_set_and_nowhere_else() {
    let settings = read(&[
        ("CR_PASSWORD", " hunter2 "),
        ("CR_TYPE", "harbor-cr"),
        ("CR_CREDENTIALS", "hunter2"),
        ("HTTP_PROXY", "http://u:hunter2@proxy:3128"),
        ("BROKER_CLIENT_URL", "http://u:hunter2@broker-client:8000/base"),
    ])
    .unwrap();
    let effective: Vec<_> = settings.effective().collect();
    assert!(effective.contains(&("CR_PASSWORD", "set")), "{effective:?}");
    assert!(effective.contains(&("CR_TYPE", "harbor-cr")), "{effective:?}");
    assert!(effective.contains(&("BROKER_CLIENT_URL", "http://broker-client:8000/base")), "{effective:?}");
    assert_eq!(settings.own_connection.get("CR_PASSWORD").unwrap().expose_secret(), " hunter2 ");
    let shown = format!("{effective:?} {settings:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn names_have_aliases_and_blank_values_count_as_unset() {
    let settings = read(&[
        ("CA_CERT", "/etc/ca.pem"),
        ("https_proxy", "proxy:3128"),
        ("HTTPS_PROXY", " "),
        ("no_proxy", ".internal"),
        ("SNYK_PORT", ""),
        ("DEBUG", "*"),
        ("REGENT_INSECURE_REGISTRIES", "Registry.Test:5000, 127.0.0.1:5001"),
        ("REGENT_CLIENT_CERTIFICATES", "Registry.Test=/etc/Client.pem"),
    ])
    .unwrap();
    assert_eq!(settings.network.extra_authorities, Some(PathBuf::from("/etc/ca.pem")));
    let certificate = ("registry.test".to_owned(), PathBuf::from("/etc/Client.pem"));
    assert_eq!(settings.network.client_certificates, [certificate]);
    assert_eq!(settings.network.https_proxy.unwrap().expose_secret(), "http://proxy:3128");
    assert_eq!(settings.network.no_proxy.as_deref(), Some(".internal"));
    assert_eq!(settings.port, 17500);
    assert_eq!(settings.log.level, tracing::Level::DEBUG);
    assert_eq!(settings.insecure_registries, ["registry.test:5000", "127.0.0.1:5001"]);
}

#[test]
fn a_shared_queue_needs_a_seal_key_and_shows_no_password() {
    let settings = read(&[
        ("REGENT_QUEUE", "nats://me:hunter2@one,nats://two:4333"),
        ("REGENT_SEAL_KEY_FILE", "/etc/seal.key"),
        ("REGENT_QUEUE_REPLICAS", "3"),
        ("REGENT_QUEUE_CERT", "/tls.crt"),
        ("REGENT_QUEUE_KEY", "/tls.key"),
    ])
    .unwrap();
    let shown = format!("{settings:?} {:?}", settings.effective().collect::<Vec<_>>());
    assert!(!shown.contains("hunter2"), "{shown}");
    let nats = settings.nats.unwrap();
    assert_eq!((nats.servers.addresses.len(), nats.replicas, nats.prefix.as_str()), (2, 3, "regent"));
    assert!(nats.certificate.is_some());
    let error = read(&[
        ("REGENT_QUEUE", "nats://one"),
        ("REGENT_QUEUE_CREDENTIALS", "/a.creds"),
        ("REGENT_QUEUE_NKEY", "/a.nk"),
        ("REGENT_QUEUE_KEY", "/tls.key"),
        ("REGENT_QUEUE_PREFIX", "a.b"),
        ("REGENT_QUEUE_REPLICAS", "2"),
    ])
    .unwrap_err();
    let names: Vec<_> = error.faults.iter().map(|(name, _)| *name).collect();
    let expected = [
        "REGENT_SEAL_KEY",
        "REGENT_QUEUE_PREFIX",
        "REGENT_QUEUE_REPLICAS",
        "REGENT_QUEUE_NKEY",
        "REGENT_QUEUE_CERT",
    ];
    assert_eq!(names, expected, "{error}");
    // Without servers the rest means nothing, and is taken all the same.
    assert!(read(&[("REGENT_QUEUE_PREFIX", "x")]).unwrap().nats.is_none());
}

#[test]
fn signed_drivers_need_keys_and_a_key_keeps_its_case() {
    let error = read(&[("REGENT_DRIVER_TRUST", "signed")]).unwrap_err();
    assert!(error.to_string().contains("REGENT_DRIVER_KEYS must be set"), "{error}");
    let keys = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3, /etc/regent/Keys.pub";
    let settings = read(&[("REGENT_DRIVER_TRUST", "signed"), ("REGENT_DRIVER_KEYS", keys)]).unwrap();
    assert_eq!(settings.driver_trust, DriverTrust::Signed);
    assert_eq!(settings.driver_keys.join(", "), keys);
}

#[test]
fn unknown_names_of_ours_are_warned_about_and_injected_ones_are_not() {
    let names = ["REGENT_DATADIR", "REGENT_SERVICE_HOST", "REGENT_PORT_80_TCP", "REGENT_LISTEN", "PATH"];
    assert_eq!(
        unknown_names(names.into_iter()),
        ["REGENT_DATADIR is not a setting; did you mean REGENT_DATA_DIR?"]
    );
}

#[test]
fn every_row_of_the_table_has_its_own_name() {
    let mut names: Vec<_> = SETTINGS.iter().flat_map(|s| s.aliases.iter().chain([&s.name])).collect();
    names.sort();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}
