//! Credentials that `docker login` and its kin have left (`~/.docker/config.json`).

use std::path::PathBuf;

use base64::Engine as _;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::settings::environment;

/// A user and a password.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: SecretString,
}

/// What was found for a registry.
#[derive(Debug)]
pub(super) enum Found {
    Login(Login),
    /// The credentials are with a helper program, which is named, and which this program does not run.
    Helper(String),
    Nothing,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    auths: Map<String, Value>,
    #[serde(default)]
    cred_helpers: Map<String, Value>,
    creds_store: Option<String>,
}

/// Looks up the registry `host[:port][/path]`. A file that is not there or no JSON counts as empty: it belongs to
/// another program.
pub(super) fn find(registry: &str) -> Found {
    let folder = environment("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| environment("HOME").map(|home| PathBuf::from(home).join(".docker")));
    let text = folder.and_then(|folder| std::fs::read(folder.join("config.json")).ok());
    text.map_or(Found::Nothing, |text| find_in(&text, registry))
}

fn find_in(text: &[u8], registry: &str) -> Found {
    let Ok(config) = serde_json::from_slice::<Config>(text) else { return Found::Nothing };
    let host = host_of(registry);
    if let Some(Value::String(helper)) = config.cred_helpers.get(host) {
        return Found::Helper(helper.clone());
    }
    let entry = config.auths.iter().find(|(key, _)| host_of(key) == host).map(|(_, entry)| entry);
    match (entry.and_then(login), entry, config.creds_store) {
        (Some(login), _, _) => Found::Login(login),
        // With a store, `auths` has an empty entry for each registry that was logged in to.
        (None, Some(_), Some(helper)) => Found::Helper(helper),
        _ => Found::Nothing,
    }
}

fn login(entry: &Value) -> Option<Login> {
    let encoded = entry.get("auth")?.as_str()?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    let password = password.trim_end_matches('\0');
    (!username.is_empty() && !password.is_empty())
        .then(|| Login { username: username.to_owned(), password: password.to_owned().into() })
}

/// `https://host:port/v1/` and `host:port/path` are about `host:port`.
fn host_of(text: &str) -> &str {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    text.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const CONFIG: &[u8] = br#"{
        "auths": {
            "https://index.docker.io/v1/": { "auth": "dXNlcjpwYTpzcw==" },
            "registry.example:5000": { "auth": "cm9ib3Q6c2VjcmV0" },
            "stored.example": {},
            "odd.example": { "auth": "!" }
        },
        "credHelpers": { "cloud.example": "cloud" },
        "credsStore": "desktop"
    }"#;

    #[test]
    fn logins_are_found_by_host() {
        let rows = [
            ("registry.example:5000", Some(("robot", "secret"))),
            ("registry.example:5000/team", Some(("robot", "secret"))),
            ("index.docker.io", Some(("user", "pa:ss"))),
            ("registry.example", None),
        ];
        for (registry, expected) in rows {
            let found = match find_in(CONFIG, registry) {
                Found::Login(l) => Some((l.username, l.password.expose_secret().to_owned())),
                _ => None,
            };
            let found = found.as_ref().map(|(u, p)| (u.as_str(), p.as_str()));
            assert_eq!(found, expected, "{registry}");
        }
    }

    #[test]
    fn helpers_are_named() {
        for (registry, helper) in
            [("cloud.example", "cloud"), ("stored.example", "desktop"), ("odd.example", "desktop")]
        {
            match find_in(CONFIG, registry) {
                Found::Helper(name) => assert_eq!(name, helper),
                other => panic!("{registry}: {other:?}"),
            }
        }
        assert!(matches!(find_in(b"no JSON", "cloud.example"), Found::Nothing));
    }
}
