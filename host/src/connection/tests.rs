use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn field(connection: &Connection, name: &str) -> Option<String> {
    connection.fields.get(name).map(|v| v.expose_secret().to_owned())
}

/// What the broker's start script makes of a password.
fn pasted(password: &str) -> String {
    format!(
        "{{\"type\":\"gcr\", \"username\":\"_json_key\", \"password\":\"{password}\", \"registryBase\":\"r.example:5000\"}}\n"
    )
}

fn password_of(text: &str) -> Result<(String, Option<Notice>), ConnectionError> {
    let decoded = decode(&BASE64_STANDARD.encode(text), "the test")?;
    assert_eq!(decoded.connection.registry_type, "gcr");
    assert_eq!(field(&decoded.connection, "username").unwrap(), "_json_key");
    assert_eq!(decoded.connection.base(), Some("r.example:5000"));
    Ok((field(&decoded.connection, "password").unwrap(), decoded.notice))
}

#[test]
fn passwords_that_the_broker_did_not_escape_are_read_where_they_can_be() {
    let key = r#"{ "type": "service_account", "project_id": "demo", "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n-----END PRIVATE KEY-----\n", "client_email": "puller@demo.example" }"#;
    let rows = [
        (r#"pa"ss"#, r#"pa"ss"#, Some(Notice::Recovered)),
        (r"pa\qss", r"pa\qss", Some(Notice::Recovered)),
        // Valid JSON with another meaning than intended: nothing tells it from a line feed, so it is said.
        (r"pa\nss", "pa\nss", Some(Notice::ControlCharacter)),
        // The script has made one blank of two; the second is gone before it gets here.
        ("pa ss", "pa ss", None),
        ("pa\rss", "pa\rss", Some(Notice::Recovered)),
        ("a README.md b", "a README.md b", None),
        ("100%s", "100%s", None),
        ("a$HOME`id`", "a$HOME`id`", None),
        ("pässwörd✓", "pässwörd✓", None),
        (key, key, Some(Notice::Recovered)),
        (r#"x", "registryBase":"y"#, r#"x", "registryBase":"y"#, Some(Notice::Recovered)),
        (r#"x", "password":"y\"#, r#"x", "password":"y\"#, Some(Notice::Recovered)),
    ];
    for (given, expected, notice) in rows {
        if given == r#"x", "registryBase":"y"# {
            // This one is valid JSON with a key twice, where the last wins, as everywhere.
            assert_eq!(password_of(&pasted(given)).unwrap().0, "x", "{given}");
            continue;
        }
        assert_eq!(password_of(&pasted(given)), Ok((expected.to_owned(), notice)), "{given}");
    }
}

#[test]
fn what_has_no_single_meaning_is_malformed_and_its_content_is_not_told() {
    let rows = [
        ("not base64", "hunter2!!!".to_owned()),
        ("bytes", BASE64_STANDARD.encode([0xff, 0xfe, 0x00])),
        ("a list", BASE64_STANDARD.encode(r#"["hunter2"]"#)),
        ("no type", BASE64_STANDARD.encode(r#"{"username":"hunter2"}"#)),
        ("empty type", BASE64_STANDARD.encode(r#"{"type":" ","username":"hunter2"}"#)),
        (
            "another order",
            BASE64_STANDARD.encode(r#"{"type":"gcr", "password":"hunter2"x", "username":"u"}"#),
        ),
        ("cut off", BASE64_STANDARD.encode(r#"{"type":"gcr", "username":"u", "password":"hunter2"#)),
        ("a quote in the base", BASE64_STANDARD.encode(pasted("p").replace("r.example", r#"hunter2"x"#))),
        (
            "too deep",
            BASE64_STANDARD.encode(format!(
                "{{\"type\":\"gcr\",\"a\":{}1{}",
                "{\"b\":".repeat(9),
                "}".repeat(10)
            )),
        ),
    ];
    for (name, text) in rows {
        let error = decode(&text, "the test").unwrap_err();
        assert_eq!(error.code(), "connection_malformed", "{name}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{name}: {error}");
    }
}

#[test]
fn base64_is_taken_in_all_its_spellings() {
    let json = r#"{"type":"quay-cr","username":"ü?>~","password":"p>>>???","registryBase":"quay.example"}"#;
    let standard = BASE64_STANDARD.encode(json);
    let lines: Vec<_> = standard.as_bytes().chunks(20).map(|c| str::from_utf8(c).unwrap()).collect();
    let wrapped = lines.join("\n");
    let rows = [
        standard.clone(),
        standard.trim_end_matches('=').to_owned(),
        BASE64_URL_SAFE_NO_PAD.encode(json),
        wrapped,
        BASE64_STANDARD.encode(format!("{json}\n")),
        json.to_owned(),
    ];
    for text in rows {
        let decoded = decode(&text, "the test").unwrap();
        assert_eq!(field(&decoded.connection, "password").as_deref(), Some("p>>>???"), "{text}");
        assert_eq!(decoded.notice, None);
    }
}

#[test]
fn nested_fields_get_dots_and_unknown_ones_are_kept() {
    let text = r#"{"type":"ecr","roleArn":"arn:aws:iam::1:role/x","extra":{"region":"eu-west-1","externalId":"e","deep":{"n":3}},"flag":true,"none":null}"#;
    let connection = decode(text, "the test").unwrap().connection;
    let rows = [
        ("roleArn", Some("arn:aws:iam::1:role/x")),
        ("extra.region", Some("eu-west-1")),
        ("extra.externalId", Some("e")),
        ("extra.deep.n", Some("3")),
        ("flag", Some("true")),
        ("none", None),
        ("type", None),
    ];
    for (name, expected) in rows {
        assert_eq!(field(&connection, name).as_deref(), expected, "{name}");
    }
    assert_eq!(connection.base(), None);
}

fn text_of_type(registry_type: &str) -> String {
    BASE64_STANDARD.encode(format!(r#"{{"type":"{registry_type}"}}"#))
}

fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_str(v).unwrap())).collect()
}

#[test]
fn the_first_place_that_has_a_connection_wins() {
    let placeholder = "${CR_CREDENTIALS}".to_owned();
    let own_settings = BTreeMap::from([("CR_TYPE", SecretString::from("own"))]);
    let body = json!({"type": "body"});
    let body_text = json!(text_of_type("text"));
    let body_placeholder = json!(placeholder);
    let x = ("x-cr-credentials", text_of_type("header"));
    let bare = ("authorization", text_of_type("bare"));
    let bearer = ("authorization", format!("Bearer {}", text_of_type("bearer")));
    let basic = ("authorization", format!("basic {}", text_of_type("basic")));
    let left = ("x-cr-credentials", placeholder.clone());
    let left_bearer = ("authorization", format!("Bearer {placeholder}"));
    let rows = [
        ("body before headers", Some(&body), vec![x.clone(), bare.clone()], "body"),
        ("text in the body", Some(&body_text), vec![x.clone()], "text"),
        ("own header first", None, vec![x.clone(), bare.clone()], "header"),
        ("bare authorization", None, vec![bare.clone()], "bare"),
        ("bearer", None, vec![bearer], "bearer"),
        ("basic", None, vec![basic], "basic"),
        ("nothing", None, vec![], "own"),
        ("null", Some(&serde_json::Value::Null), vec![], "own"),
        ("a placeholder is passed over", Some(&body_placeholder), vec![left.clone(), bare], "bare"),
        ("only placeholders", Some(&body_placeholder), vec![left, left_bearer], "own"),
    ];
    for (name, body, pairs, expected) in rows {
        let headers = headers(&pairs);
        let found = find(Given { body, headers: &headers }, &own_settings).unwrap();
        assert_eq!(found.connection.registry_type, expected, "{name}");
    }
}

#[test]
fn without_any_connection_the_answer_says_what_is_missing() {
    let none = BTreeMap::new();
    let error = find(Given { body: None, headers: &HeaderMap::new() }, &none).unwrap_err();
    assert_eq!(error.code(), "connection_missing");
    let left = headers(&[("authorization", "${CR_CREDENTIALS}".to_owned())]);
    let error = find(Given { body: None, headers: &left }, &none).unwrap_err();
    assert_eq!(error.code(), "connection_missing");
    assert!(error.to_string().contains("${CR_CREDENTIALS}"), "{error}");
}

#[test]
fn something_unreadable_is_not_passed_over_in_favour_of_another_registry() {
    let own_settings = BTreeMap::from([("CR_TYPE", SecretString::from("own"))]);
    let bad = headers(&[("x-cr-credentials", "%%%".to_owned()), ("authorization", text_of_type("other"))]);
    let error = find(Given { body: None, headers: &bad }, &own_settings).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the connection in the x-cr-credentials header can't be used: it is not base64"
    );
}

#[test]
fn own_settings_make_a_connection_with_the_brokers_field_names() {
    let settings = BTreeMap::from([
        ("CR_TYPE", SecretString::from("digitalocean-cr")),
        ("CR_TOKEN", SecretString::from("dop_v1")),
        ("CR_REGION", SecretString::from("ams3")),
    ]);
    let connection = own(&settings).unwrap().unwrap().connection;
    assert_eq!(connection.registry_type, "digitalocean-cr");
    for (name, expected) in [("username", "dop_v1"), ("password", "dop_v1"), ("extra.region", "ams3")] {
        assert_eq!(field(&connection, name).as_deref(), Some(expected), "{name}");
    }
}

#[test]
fn fingerprints_differ_with_every_part_of_a_connection() {
    let make = |t: &str, pairs: &[(&str, &str)]| {
        let fields = pairs.iter().map(|(n, v)| ((*n).to_owned(), SecretString::from(*v)));
        Connection::new(t, fields).fingerprint()
    };
    let base = make("gcr", &[("username", "u"), ("password", "p")]);
    assert_eq!(base, make("GCR", &[("password", "p"), ("username", "u")]));
    assert_ne!(base, make("acr", &[("username", "u"), ("password", "p")]));
    assert_ne!(base, make("gcr", &[("username", "u"), ("password", "q")]));
    assert_ne!(base, make("gcr", &[("username", "up"), ("password", "")]));
}

#[test]
fn local_paths_stay_below_their_root() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("images");
    std::fs::create_dir_all(root.join("app")).unwrap();
    std::fs::create_dir(dir.path().join("images-of-others")).unwrap();
    std::os::unix::fs::symlink("/etc", root.join("out")).unwrap();
    let at = |path: &std::path::Path| Connection::new("oci-layout", []).with_base(path.to_str().unwrap());
    let ok = confine(at(&root.join("app/../app")), Some(&root)).unwrap();
    assert_eq!(ok.base(), root.join("app").canonicalize().unwrap().to_str());
    let rows = [
        ("no root", at(&root.join("app")), None, "local_root_unset"),
        ("outside", at(std::path::Path::new("/etc")), Some(root.as_path()), "local_path_refused"),
        (
            "a sibling with the same beginning",
            at(&dir.path().join("images-of-others")),
            Some(&root),
            "local_path_refused",
        ),
        ("through a link", at(&root.join("out/hostname")), Some(&root), "local_path_refused"),
        ("climbing", at(&root.join("app/../../..")), Some(&root), "local_path_refused"),
        ("not there", at(&root.join("none")), Some(&root), "local_path_refused"),
        ("no path", Connection::new("oci-layout", []), Some(&root), "local_path_refused"),
    ];
    for (name, connection, root, code) in rows {
        assert_eq!(confine(connection, root).unwrap_err().code(), code, "{name}");
    }
}

proptest! {
    #[test]
    fn any_password_without_control_characters_survives_when_escaped(password in "\\PC*") {
        let text = json!({"type": "gcr", "username": "_json_key", "password": password, "registryBase": "r.example:5000"});
        prop_assert_eq!(password_of(&text.to_string()), Ok((password, None)));
    }

    #[test]
    fn any_text_is_read_or_refused_without_quoting_it(text in "\\PC{8,60}") {
        if let Err(error) = decode(&text, "the test") {
            prop_assert!(!error.to_string().contains(&text));
        }
    }
}

#[test]
fn the_same_registry_has_one_name_however_it_is_written() {
    // (type, base, region, name)
    let rows = [
        ("harbor-cr", " Registry.Example ", "", "registry.example:443"),
        ("Harbor-CR", "https://registry.example/team", "", "registry.example:443"),
        ("harbor-cr", "registry.example:5000", "", "registry.example:5000"),
        ("harbor-cr", "http://u:hunter2@registry.example", "", "registry.example:80"),
        ("oci-layout", "/srv/images", "", "/srv/images"),
        ("Docker-Hub", "", "", "docker-hub"),
        ("ecr", "", "eu-west-1", "ecr/eu-west-1"),
        ("ecr", "1.dkr.ecr.us-east-1.amazonaws.com", "us-east-1", "1.dkr.ecr.us-east-1.amazonaws.com:443"),
    ];
    for (registry_type, base, region, expected) in rows {
        let fields = [("registryBase", base), ("extra.region", region), ("password", "hunter2")]
            .map(|(name, value)| (name.to_owned(), SecretString::from(value)));
        assert_eq!(Connection::new(registry_type, fields).host(), expected);
    }
}
