//! `package.json` of an installed package: what it is, and what it depends on. Readmes and scripts, which are most of
//! such files, are left out.

use serde::{Deserialize, Serialize};

use super::Distilled;
use crate::ordered::Pairs;

/// Larger ones are passed over as unreadable, in bytes. The registry itself refuses manifests of this size.
pub(super) const MAX_BYTES: u64 = 4 << 20;

/// What a `package.json` below `node_modules` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledManifest {
    /// Whether it is a JSON object. If not, the rest is empty.
    pub is_readable: bool,
    /// `name`.
    pub name: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// `license`, or the type of an object there.
    pub license: Option<String>,
    /// `dependencies`, in their order.
    pub dependencies: Pairs,
    /// `devDependencies`, in their order.
    pub dev_dependencies: Pairs,
    /// `optionalDependencies`, in their order.
    pub optional_dependencies: Pairs,
}

impl InstalledManifest {
    /// Reads the text of a `package.json`.
    pub fn parse(content: &[u8]) -> Self {
        // A list would do for a struct whose fields may all be absent.
        if content.trim_ascii_start().first() != Some(&b'{') {
            return Self::default();
        }
        serde_json::from_slice::<Wire>(content).map_or_else(|_| Self::default(), Wire::into_manifest)
    }

    pub(super) fn cost_bytes(&self) -> usize {
        let texts = [&self.name, &self.version, &self.license];
        let lists = [&self.dependencies, &self.dev_dependencies, &self.optional_dependencies];
        texts.iter().filter_map(|text| text.as_ref()).map(String::len).sum::<usize>()
            + lists.iter().map(|list| list.cost_bytes()).sum::<usize>()
    }
}

/// Fields of any type are tolerated: one that is not what it should be is absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    name: Loose,
    #[serde(default)]
    version: Loose,
    #[serde(default)]
    license: Loose,
    #[serde(default)]
    dependencies: Pairs,
    #[serde(default)]
    dev_dependencies: Pairs,
    #[serde(default)]
    optional_dependencies: Pairs,
}

impl Wire {
    fn into_manifest(self) -> InstalledManifest {
        InstalledManifest {
            is_readable: true,
            name: self.name.text(),
            version: self.version.text(),
            license: self.license.text(),
            dependencies: self.dependencies,
            dev_dependencies: self.dev_dependencies,
            optional_dependencies: self.optional_dependencies,
        }
    }
}

/// A value that should be text.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Loose {
    Text(String),
    /// The old form of `license`.
    Object {
        r#type: String,
    },
    #[default]
    Null,
    Other(serde::de::IgnoredAny),
}

impl Loose {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Object { r#type: text } => Some(text).filter(|text| !text.is_empty()),
            Self::Null | Self::Other(_) => None,
        }
    }
}

/// Makes the text of a `package.json` into what is kept of it.
pub(super) fn distil(text: &[u8]) -> Distilled {
    Distilled::PackageJson(InstalledManifest::parse(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_wrong_type_are_absent_and_others_are_read_all_the_same() {
        let manifest = InstalledManifest::parse(
            br#"{"name":"a","version":1,"license":{"type":"MIT","url":"x"},"dependencies":{"z":"^1","b":2,"a":"*"},
                "devDependencies":[],"optionalDependencies":null}"#,
        );
        assert!(manifest.is_readable);
        assert_eq!((manifest.name.as_deref(), manifest.version), (Some("a"), None));
        assert_eq!(manifest.license.as_deref(), Some("MIT"));
        assert_eq!(manifest.dependencies.iter().collect::<Vec<_>>(), [("z", "^1"), ("a", "*")]);
        assert!(manifest.dev_dependencies.is_empty() && manifest.optional_dependencies.is_empty());
    }

    #[test]
    fn what_is_no_object_is_unreadable() {
        for text in ["", "[]", "{", "null", "\"a\""] {
            assert!(!InstalledManifest::parse(text.as_bytes()).is_readable, "{text}");
        }
    }
}
