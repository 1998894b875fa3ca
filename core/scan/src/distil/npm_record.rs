//! `node_modules/.package-lock.json`: npm's own record of what it installed, of which the hashes are kept.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Distilled;
use crate::loose::LooseText;

/// Larger ones are passed over as unreadable, in bytes. The largest real ones have some 5 MiB.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// Packages that are kept, at most. Large projects have some thousand.
const MAX_PACKAGES: usize = 50_000;

/// What npm has recorded of the packages in a `node_modules`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NpmRecord {
    /// Those with a hash, in the order of the file.
    pub packages: Vec<RecordedPackage>,
}

/// A package that npm has installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedPackage {
    /// Its directory, from that of the project: `node_modules/a/node_modules/b`.
    pub path: String,
    /// Its version.
    pub version: String,
    /// Its hash, as subresource integrity writes it.
    pub integrity: String,
}

impl NpmRecord {
    pub(super) fn cost_bytes(&self) -> usize {
        let texts =
            |package: &RecordedPackage| package.path.len() + package.version.len() + package.integrity.len();
        self.packages.iter().map(|package| size_of::<RecordedPackage>() + texts(package)).sum()
    }
}

/// Makes the text of a record into what is kept of it: nothing of one that can't be read. It adds to what is told by the
/// packages themselves.
pub(super) fn distil(text: &[u8]) -> Distilled {
    let record = serde_json::from_slice::<Wire>(text).map(|wire| wire.packages.0);
    Distilled::NpmRecord(NpmRecord { packages: record.unwrap_or_default() })
}

#[derive(Deserialize)]
struct Wire {
    packages: Packages,
}

struct Packages(Vec<RecordedPackage>);

/// What is no text counts as none.
#[derive(Deserialize)]
struct WirePackage {
    #[serde(default)]
    version: LooseText,
    #[serde(default)]
    integrity: LooseText,
}

impl<'de> Deserialize<'de> for Packages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PackagesVisitor)
    }
}

struct PackagesVisitor;

impl<'de> Visitor<'de> for PackagesVisitor {
    type Value = Packages;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("packages by path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut packages = Vec::new();
        while packages.len() < MAX_PACKAGES
            && let Some(path) = map.next_key::<String>()?
        {
            let WirePackage { version, integrity } = map.next_value()?;
            if let (Some(version), Some(integrity)) = (version.0, integrity.0) {
                packages.push(RecordedPackage { path, version, integrity });
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Packages(packages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(text: &str) -> Vec<RecordedPackage> {
        match distil(text.as_bytes()) {
            Distilled::NpmRecord(record) => record.packages,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn packages_with_a_hash_are_kept_and_what_is_no_record_is_an_empty_one() {
        let record = r#"{"name":"app","lockfileVersion":3,"packages":{
            "node_modules/a":{"version":"1.0.0","resolved":"https://x","integrity":"sha512-x","license":"MIT"},
            "node_modules/b":{"resolved":"packages/b","link":true},
            "node_modules/c":{"version":1,"integrity":"sha512-y"},
            "node_modules/d":{"version":"1.0.0","integrity":["sha512-z"]}}}"#;
        let expected = RecordedPackage {
            path: "node_modules/a".into(),
            version: "1.0.0".into(),
            integrity: "sha512-x".into(),
        };
        assert_eq!(packages(record), [expected]);
        for none in ["", "[]", "{}", r#"{"packages":[]}"#, r#"{"packages":{"a":"#, r#"{"packages":{"a":1}}"#]
        {
            assert_eq!(packages(none), [], "{none}");
        }
    }

    #[test]
    fn a_record_of_very_many_packages_is_cut() {
        let many: Vec<String> = (0..MAX_PACKAGES + 10)
            .map(|n| format!(r#""node_modules/p{n}":{{"version":"1.0.0","integrity":"sha1-x"}}"#))
            .collect();
        let record = format!(r#"{{"packages":{{{}}}}}"#, many.join(","));
        assert_eq!(packages(&record).len(), MAX_PACKAGES);
    }
}
