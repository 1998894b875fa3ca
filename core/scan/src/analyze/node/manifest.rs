//! `package.json` of a project.

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Unreadable;
use crate::loose::LooseText;
use crate::ordered::Pairs;

/// Quotation marks in a JSON file, at most: a bound on the texts in it, and so on the memory that it takes. The largest
/// real lock files have a tenth of them.
const MAX_QUOTES: usize = 2_500_000;

/// Reads a JSON object with no more texts than any real file has.
pub(super) fn object_of<T: DeserializeOwned>(text: &str) -> Result<T, Unreadable> {
    if memchr::memchr_iter(b'"', text.as_bytes()).count() > MAX_QUOTES {
        return Err(Unreadable::limit("the file has more texts than are read of one file"));
    }
    // A list would do for a struct whose fields may all be absent.
    if !text.trim_start().starts_with('{') {
        return Err(Unreadable::lock("it is no JSON object"));
    }
    serde_json::from_str(text).map_err(Unreadable::lock)
}

/// What a project's `package.json` says. Fields of the wrong type count as absent.
#[derive(Debug, Default)]
pub(super) struct NodeManifest {
    /// `name`; never empty.
    pub(super) name: Option<String>,
    /// `version`; never empty.
    pub(super) version: Option<String>,
    /// `dependencies`.
    pub(super) dependencies: Pairs,
    /// `devDependencies`.
    pub(super) dev_dependencies: Pairs,
    /// `optionalDependencies`.
    pub(super) optional_dependencies: Pairs,
    /// `peerDependencies`.
    pub(super) peer_dependencies: Pairs,
    /// The names that `peerDependenciesMeta` calls optional.
    pub(super) optional_peers: HashSet<String>,
    /// npm's `overrides`.
    pub(super) overrides: Map<String, Value>,
    /// yarn's `resolutions`.
    pub(super) resolutions: Pairs,
    /// Patterns of `workspaces`.
    pub(super) workspaces: Vec<String>,
}

impl NodeManifest {
    /// Reads the text of a `package.json`.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        let wire: Wire = object_of(text)?;
        let is_optional = |meta: &Value| meta.get("optional") == Some(&Value::Bool(true));
        Ok(Self {
            name: wire.name,
            version: wire.version,
            dependencies: wire.dependencies,
            dev_dependencies: wire.dev_dependencies,
            optional_dependencies: wire.optional_dependencies,
            peer_dependencies: wire.peer_dependencies,
            optional_peers: object(wire.peer_dependencies_meta)
                .into_iter()
                .filter(|(_, meta)| is_optional(meta))
                .map(|(name, _)| name)
                .collect(),
            overrides: object(wire.overrides),
            resolutions: wire.resolutions,
            workspaces: wire.workspaces,
        })
    }

    /// The dependencies to follow: those of `lists` together, where of a name that is in several the last range counts
    /// at the place of the first, without what is also there for development, and without what has no name.
    pub(super) fn direct<'a>(&'a self, lists: &[&'a Pairs]) -> Vec<(&'a str, &'a str)> {
        let development: HashSet<&str> = self.dev_dependencies.iter().map(|(name, _)| name).collect();
        merged(lists).into_iter().filter(|(name, _)| !development.contains(name)).collect()
    }
}

/// The named entries of `lists` together; of a name that is in several the last text counts, at the place of the first.
pub(super) fn merged<'a>(lists: &[&'a Pairs]) -> Vec<(&'a str, &'a str)> {
    let mut places = HashMap::new();
    let mut list: Vec<(&str, &str)> = Vec::new();
    for (name, range) in lists.iter().flat_map(|pairs| pairs.iter()).filter(|(name, _)| is_name(name)) {
        let place = *places.entry(name).or_insert(list.len());
        match list.get_mut(place) {
            Some((_, old)) => *old = range,
            None => list.push((name, range)),
        }
    }
    list
}

/// Neither empty nor a bare scope.
fn is_name(name: &str) -> bool {
    match name.strip_prefix('@') {
        None => !name.is_empty(),
        Some(scoped) => scoped.split_once('/').is_some_and(|(_, name)| !name.is_empty()),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    #[serde(deserialize_with = "text")]
    name: Option<String>,
    #[serde(deserialize_with = "text")]
    version: Option<String>,
    dependencies: Pairs,
    dev_dependencies: Pairs,
    optional_dependencies: Pairs,
    peer_dependencies: Pairs,
    peer_dependencies_meta: Value,
    overrides: Value,
    resolutions: Pairs,
    #[serde(deserialize_with = "workspaces")]
    workspaces: Vec<String>,
}

/// Text that is not empty; anything else is nothing.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    LooseText::deserialize(deserializer).map(LooseText::filled)
}

/// Whether there is something, as JavaScript sees it: not null, false, zero, nor an empty text.
pub(super) fn truthy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Bool(bool),
        Number(f64),
        Text(String),
        Null(()),
        Other(IgnoredAny),
    }
    Ok(match Wire::deserialize(deserializer)? {
        Wire::Bool(truth) => truth,
        Wire::Number(number) => number != 0.0,
        Wire::Text(text) => !text.is_empty(),
        Wire::Null(()) => false,
        Wire::Other(_) => true,
    })
}

/// A list of patterns, or an object with one in `packages`.
pub(super) fn workspaces<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Patterns(Vec<String>),
        Object { packages: Vec<String> },
        Other(IgnoredAny),
    }
    Ok(match Wire::deserialize(deserializer)? {
        Wire::Patterns(patterns) | Wire::Object { packages: patterns } => patterns,
        Wire::Other(_) => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_development_too_is_left_out_and_the_last_range_of_a_name_counts() {
        let manifest = NodeManifest::parse(
            r#"{"name":"a","version":2,"dependencies":{"b":"1","both":"1","":"1","@s":"1","@s/":"1","@s/c":"1"},
                "devDependencies":{"both":"*"},"optionalDependencies":{"o":"1","b":"2"},"overrides":[]}"#,
        )
        .unwrap();
        assert_eq!((manifest.name.as_deref(), manifest.version.as_deref()), (Some("a"), None));
        let lists = [&manifest.dependencies, &manifest.optional_dependencies];
        assert_eq!(manifest.direct(&lists), [("b", "2"), ("@s/c", "1"), ("o", "1")]);
        assert_eq!(merged(&lists), [("b", "2"), ("both", "1"), ("@s/c", "1"), ("o", "1")]);
    }

    #[test]
    fn workspaces_are_a_list_or_an_object_with_one() {
        for text in [r#"{"workspaces":["a/*"]}"#, r#"{"workspaces":{"packages":["a/*"],"nohoist":[]}}"#] {
            assert_eq!(NodeManifest::parse(text).unwrap().workspaces, ["a/*"], "{text}");
        }
        assert!(NodeManifest::parse(r#"{"workspaces":1}"#).unwrap().workspaces.is_empty());
    }

    #[test]
    fn what_is_no_object_is_unreadable() {
        for text in ["", "[]", "{", "null", "{not json"] {
            assert!(NodeManifest::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn peers_are_optional_where_their_description_says_so() {
        let manifest = NodeManifest::parse(
            r#"{"peerDependencies":{"a":"1","b":"1"},"peerDependenciesMeta":{"a":{"optional":true},"b":{}}}"#,
        )
        .unwrap();
        assert_eq!(manifest.optional_peers, HashSet::from(["a".to_owned()]));
    }
}
