//! The facts that the image configuration tells.

use regent_oci::{ContainerConfig, History};
use serde_json::{Map, Value};

/// Configuration keys that are reported, the name they get, and whether only an object's keys are.
const CONTAINER_CONFIG: [(&str, &str, bool); 9] = [
    ("User", "user", false),
    ("ExposedPorts", "exposedPorts", true),
    ("Env", "env", false),
    ("Entrypoint", "entrypoint", false),
    ("Cmd", "cmd", false),
    ("Volumes", "volumes", true),
    ("WorkingDir", "workingDir", false),
    ("StopSignal", "stopSignal", false),
    ("ArgsEscaped", "argsEscaped", false),
];

const HISTORY: [(&str, &str); 5] = [
    ("created", "created"),
    ("author", "author"),
    ("created_by", "createdBy"),
    ("comment", "comment"),
    ("empty_layer", "emptyLayer"),
];

/// `containerConfig`: a key is there exactly when the configuration has it; null stays null.
pub(crate) fn container_config(config: &ContainerConfig) -> Value {
    let found = CONTAINER_CONFIG.iter().filter_map(|(key, name, only_keys)| {
        let value = config.get(*key)?;
        Some(((*name).to_owned(), if *only_keys { keys(value) } else { value.clone() }))
    });
    Value::Object(found.collect())
}

fn keys(value: &Value) -> Value {
    match value {
        Value::Object(object) => object.keys().cloned().collect(),
        value if is_truthy(value) => Value::Array(Vec::new()),
        _ => Value::Null,
    }
}

/// `history`: the entries with those of their keys that are reported; null stays null.
pub(crate) fn history(entries: &[History]) -> Value {
    let entry = |entry: &History| -> Map<String, Value> {
        HISTORY
            .iter()
            .filter_map(|(key, name)| Some(((*name).to_owned(), entry.get(*key)?.clone())))
            .collect()
    };
    entries.iter().map(|e| Value::Object(entry(e))).collect()
}

/// `imageLabels`, where there are any; an empty object counts.
pub(crate) fn labels(config: &ContainerConfig) -> Option<Value> {
    config.get("Labels").filter(|labels| is_truthy(labels)).cloned()
}

/// Not null, empty text, zero or false.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_key_of_the_container_configuration_appears_when_it_is_there() {
        let rows = [
            (json!({}), json!({})),
            (
                json!({"Cmd": null, "User": "1", "Healthcheck": {}, "Labels": {}, "OnBuild": []}),
                json!({"user": "1", "cmd": null}),
            ),
            (
                json!({"ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Volumes": null}),
                json!({"exposedPorts": ["80/tcp", "53/udp"], "volumes": null}),
            ),
            (json!({"ExposedPorts": "", "Volumes": {}}), json!({"exposedPorts": null, "volumes": []})),
            (
                json!({"Env": ["A=1"], "Entrypoint": ["/a"], "WorkingDir": "", "StopSignal": "SIGINT", "ArgsEscaped": true}),
                json!({"env": ["A=1"], "entrypoint": ["/a"], "workingDir": "", "stopSignal": "SIGINT", "argsEscaped": true}),
            ),
        ];
        for (config, expected) in rows {
            assert_eq!(container_config(&object(&config)), expected, "{config}");
        }
    }

    #[test]
    fn a_history_entry_keeps_its_known_keys() {
        let entry = json!({"created": null, "author": null, "comment": "", "empty_layer": false, "x": 1, "created_by": "a"});
        let expected = json!([{"created": null, "author": null, "createdBy": "a", "comment": "", "emptyLayer": false}, {}]);
        assert_eq!(history(&[object(&entry), Map::new()]), expected);
    }

    #[test]
    fn labels_are_reported_unless_they_say_nothing() {
        let rows = [
            (json!({}), None),
            (json!({"Labels": null}), None),
            (json!({"Labels": ""}), None),
            (json!({"Labels": {}}), Some(json!({}))),
            (json!({"Labels": {"a": "b"}}), Some(json!({"a": "b"}))),
        ];
        for (config, expected) in rows {
            assert_eq!(labels(&object(&config)), expected, "{config}");
        }
    }
}
