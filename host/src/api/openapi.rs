//! The OpenAPI 3.1 description of the API.

use serde_json::{Map, Value, json};

use super::code::CODES;
use super::route::{ROUTES, Row};
use crate::drivers::DriverDocument;

/// The document that `/openapi.json` serves.
pub fn document() -> Value {
    let mut paths = Map::new();
    for row in ROUTES {
        let path = paths.entry(row.pattern).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(row.method.to_ascii_lowercase(), operation(row));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Regent, a container-registry agent",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Paths ignore case and a trailing slash. Repository names may hold slashes, encoded or not. \
                            Bodies and answers are JSON; problems are application/problem+json (RFC 9457)."
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": {
                "Problem": {
                    "description": "What went wrong, and what to do",
                    "content": {"application/problem+json": {"schema": reference("Problem")}}
                }
            },
            "securitySchemes": {
                "connection": {"type": "apiKey", "in": "header", "name": "x-cr-credentials",
                    "description": "Base64 of the connection's JSON"},
                "authorization": {"type": "apiKey", "in": "header", "name": "authorization",
                    "description": "The same, bare or after Bearer or Basic"}
            }
        }
    })
}

fn operation(row: &Row) -> Value {
    let mut operation = json!({
        "summary": row.summary,
        "parameters": parameters(row.pattern),
        "responses": {
            success(row).to_string(): {"description": row.summary, "content": content(row)},
            "default": {"$ref": "#/components/responses/Problem"}
        }
    });
    let Value::Object(fields) = &mut operation else { return operation };
    if asks_a_registry(row.pattern) {
        fields.insert("security".to_owned(), json!([{"connection": []}, {"authorization": []}, {}]));
    }
    if matches!(row.pattern, "/scan" | "/discover" | "/pull") {
        let schema = reference("OperationRequest");
        let body = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        fields.insert("requestBody".to_owned(), body);
    }
    operation
}

fn asks_a_registry(pattern: &str) -> bool {
    !matches!(pattern, "/healthcheck" | "/readiness" | "/drivers" | "/metrics" | "/openapi.json")
        && !pattern.starts_with("/operations")
}

fn success(row: &Row) -> u16 {
    match (row.method, row.pattern) {
        ("DELETE", _) => 204,
        ("POST", _) => 202,
        _ => 200,
    }
}

fn content(row: &Row) -> Value {
    let list = |items: Value| json!({"type": "array", "items": items});
    let schema = match (row.method, row.pattern) {
        ("DELETE", _) => return json!({}),
        (_, "/metrics") => return json!({"text/plain": {"schema": {"type": "string"}}}),
        ("POST", _) => reference("Accepted"),
        (_, "/list" | "/list/{repository}") => list(json!({"type": "string"})),
        (_, "/list-with-metadata/{repository}") => list(reference("TagDetail")),
        (_, "/list-paginated/{repository}") => reference("TagsPage"),
        (_, "/systemcheck" | "/validate-credentials") => reference("SystemCheck"),
        (_, "/image-metadata/{repository}") => reference("ImageMetadata"),
        (_, "/get-state-identifier") => reference("StateIdentifier"),
        (_, "/operations") => list(reference("Operation")),
        (_, "/operations/{id}") => reference("Operation"),
        (_, "/drivers") => list(reference("Driver")),
        _ => json!({"type": "object"}),
    };
    json!({"application/json": {"schema": schema}})
}

fn parameters(pattern: &str) -> Value {
    let in_path =
        |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    let in_query = |name: &str, required: bool, schema: &str| json!({"name": name, "in": "query", "required": required, "schema": {"type": schema}});
    match pattern {
        "/list/{repository}" | "/list-with-metadata/{repository}" => json!([in_path("repository")]),
        "/list-paginated/{repository}" => {
            json!([
                in_path("repository"),
                in_query("pageSize", false, "integer"),
                in_query("last", false, "string")
            ])
        }
        "/image-metadata/{repository}" => json!([
            in_path("repository"),
            in_query("reference", false, "string"),
            in_query("platform", false, "string")
        ]),
        "/get-state-identifier" => {
            json!([in_query("image", true, "string"), in_query("platform", false, "string")])
        }
        "/pull" => json!([in_query("wait", false, "boolean")]),
        "/operations" => json!([in_query("deadLetters", false, "boolean")]),
        "/operations/{id}" | "/operations/{id}/redeliver" => json!([in_path("id")]),
        _ => json!([]),
    }
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// An object: its fields with their types. Those without a `?` are required.
fn object(fields: &[(&str, &str)]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, kind) in fields {
        let bare = name.trim_end_matches('?');
        let schema = match *kind {
            "string" | "integer" | "boolean" | "object" => json!({"type": kind}),
            "string|null" => json!({"type": ["string", "null"]}),
            "strings" => json!({"type": "array", "items": {"type": "string"}}),
            "time" => json!({"type": "string", "format": "date-time"}),
            list if list.ends_with("[]") => {
                json!({"type": "array", "items": reference(list.trim_end_matches("[]"))})
            }
            other => reference(other),
        };
        if bare == *name {
            required.push(bare);
        }
        properties.insert(bare.to_owned(), schema);
    }
    json!({"type": "object", "properties": properties, "required": required})
}

fn schemas() -> Value {
    let mut problem = object(&[
        ("type", "string"),
        ("title", "string"),
        ("status", "integer"),
        ("detail", "string"),
        ("instance?", "string"),
        ("driver?", "string"),
        ("retryable", "boolean"),
    ]);
    let codes: Vec<_> = CODES.iter().map(|c| c.code).collect();
    if let Some(code) = problem.pointer_mut("/properties/type") {
        // Examples, not an enumeration: drivers have codes of their own.
        *code = json!({"type": "string", "description": "A stable code; drivers may add their own", "examples": codes});
    }
    json!({
        "Problem": problem,
        "Accepted": object(&[("operationId", "string")]),
        "OperationRequest": object(&[
            ("image", "string"), ("platform?", "string"), ("credentials?", "Credentials"), ("callbackUrl?", "string"),
            ("correlationId?", "string"), ("options?", "object"),
        ]),
        "Credentials": {
            "description": "A connection, or base64 of its JSON",
            "oneOf": [{"type": "string"}, reference("Connection")]
        },
        "Connection": object(&[
            ("type", "string"), ("username?", "string"), ("password?", "string"), ("registryBase?", "string"),
            ("roleArn?", "string"), ("extra?", "object"),
        ]),
        "SystemCheck": object(&[("ok", "boolean"), ("type", "string"), ("registry", "string"), ("checks", "Check[]")]),
        "Check": object(&[("name", "string"), ("outcome", "string"), ("detail", "string")]),
        "TagsPage": object(&[("tags", "strings"), ("last", "string|null")]),
        "TagDetail": object(&[("tag", "string"), ("digest", "string"), ("lastPushed?", "time"), ("sizeBytes?", "integer")]),
        "ImageMetadata": object(&[
            ("image", "string"), ("manifestDigest", "string"), ("indexDigest?", "string"), ("imageId", "string"),
            ("mediaType", "string"), ("platform?", "string"), ("platforms", "strings"), ("sizeBytes", "integer"),
            ("layers", "Layer[]"), ("manifest", "object"), ("config", "object"),
        ]),
        "Layer": object(&[("digest", "string"), ("mediaType", "string"), ("sizeBytes", "integer")]),
        "StateIdentifier": object(&[("stateIdentifier", "string"), ("indexDigest?", "string")]),
        "Operation": object(&[
            ("operationId", "string"), ("kind", "string"), ("image", "string"), ("type", "string"),
            ("correlationId?", "string"), ("state", "string"), ("acceptedAt?", "time"), ("since?", "time"),
            ("attempts", "integer"), ("status?", "string"), ("summary?", "object"), ("error?", "Problem"),
            ("undelivered?", "Problem"),
        ]),
        "Driver": object(DriverDocument::FIELDS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_and_every_code_is_described() {
        let document = document();
        for row in ROUTES {
            let method = row.method.to_ascii_lowercase();
            assert!(document["paths"][row.pattern][&method].is_object(), "{} {}", row.method, row.pattern);
        }
        let codes = &document["components"]["schemas"]["Problem"]["properties"]["type"]["examples"];
        for row in CODES {
            assert!(codes.as_array().unwrap().contains(&json!(row.code)), "{}", row.code);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(value: &Value, document: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(target)) = fields.get("$ref") {
                        let pointer = target.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{target}");
                    }
                    fields.values().for_each(|v| check(v, document));
                }
                Value::Array(items) => items.iter().for_each(|v| check(v, document)),
                _ => {}
            }
        }
        let document = document();
        check(&document, &document);
    }
}
