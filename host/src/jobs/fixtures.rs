//! Operations for tests.

use std::time::Duration;

use secrecy::SecretString;

use super::{NewOperation, OperationKind, Priority, ScanOptions};
use crate::callbacks::{CallbackRules, CallbackTarget};
use crate::connection::Connection;
use crate::settings::CallbackSettings;

/// The password of the fixtures' connections.
pub(crate) const PASSWORD: &str = "hunter2-hunter2";

/// Where callbacks go whose URL is this.
pub(crate) fn target(url: &str) -> CallbackTarget {
    let rules = CallbackRules::new(&CallbackSettings {
        broker_client_url: None,
        hosts: Vec::new(),
        deadline: Duration::from_mins(1),
        timeout: Duration::from_mins(1),
    });
    rules.target(Some(url)).unwrap()
}

/// A bulk scan for a user of a registry.
pub(crate) fn scan(user: &str) -> NewOperation {
    let fields = [("username", user), ("password", PASSWORD), ("registryBase", "registry.example.com")];
    let fields = fields.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
    NewOperation {
        request_id: None,
        kind: OperationKind::Scan,
        priority: Priority::Bulk,
        image: "team/app:1".parse().unwrap(),
        requested_name: "team/app:1".to_owned(),
        platform: Some("linux/amd64".parse().unwrap()),
        connection: Connection::new("oci-cr", fields),
        callback: Some(target("http://callback.broker.test:8000")),
        correlation_id: Some("c-1".to_owned()),
        options: ScanOptions::parse(serde_json::Map::default(), regent_report::Compat::default()).unwrap(),
    }
}

/// The same, as the request with this id.
pub(crate) fn scan_of_request(user: &str, request_id: &str) -> NewOperation {
    NewOperation { request_id: Some(request_id.to_owned()), ..scan(user) }
}
