//! `conda-meta/NAME-VERSION-BUILD.json`, conda's record of an installed package. The list of its files, which is most of
//! it, is left out.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::Distilled;
use crate::loose::LooseText;

/// Larger ones are passed over as unreadable, in bytes. Those of packages with ten thousand files have some 5 MiB.
pub(super) const MAX_BYTES: u64 = 16 << 20;
/// Dependencies that are read of one record. Metapackages have some hundred.
const MAX_DEPENDS: usize = 4096;

/// What a record of an installed conda package says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CondaRecord {
    /// Whether it is a JSON object with a name and a version. If not, the rest is empty.
    pub is_readable: bool,
    /// `name`.
    pub name: String,
    /// `version`.
    pub version: String,
    /// `build`.
    pub build: Option<String>,
    /// `channel`: a name or a URL.
    pub channel: Option<String>,
    /// `subdir`, the platform.
    pub subdir: Option<String>,
    /// `fn`, the name of the package file.
    pub file_name: Option<String>,
    /// `license`.
    pub license: Option<String>,
    /// `md5` of the package file.
    pub md5: Option<String>,
    /// `sha256` of the package file.
    pub sha256: Option<String>,
    /// `depends`: names with constraints.
    pub depends: Vec<String>,
}

impl CondaRecord {
    /// Reads the text of a record.
    pub fn parse(content: &[u8]) -> Self {
        // A list would do for a struct as well.
        if content.trim_ascii_start().first() != Some(&b'{') {
            return Self::default();
        }
        serde_json::from_slice::<Wire>(content).map_or_else(|_| Self::default(), Wire::into_record)
    }

    pub(super) fn cost_bytes(&self) -> usize {
        let optional = [
            &self.build,
            &self.channel,
            &self.subdir,
            &self.file_name,
            &self.license,
            &self.md5,
            &self.sha256,
        ];
        let texts = [&self.name, &self.version].into_iter().chain(optional.into_iter().flatten());
        texts.chain(&self.depends).map(|text| text.len() + size_of::<String>()).sum()
    }
}

#[derive(Deserialize)]
struct Wire {
    name: String,
    version: String,
    #[serde(default)]
    build: LooseText,
    #[serde(default)]
    channel: LooseText,
    #[serde(default)]
    subdir: LooseText,
    #[serde(default)]
    r#fn: LooseText,
    #[serde(default)]
    license: LooseText,
    #[serde(default)]
    md5: LooseText,
    #[serde(default)]
    sha256: LooseText,
    #[serde(default, deserialize_with = "first_texts")]
    depends: Vec<String>,
}

/// The first [`MAX_DEPENDS`] texts of a list.
fn first_texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct First;
    impl<'de> Visitor<'de> for First {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of texts")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
            let mut texts = Vec::new();
            while texts.len() < MAX_DEPENDS {
                let Some(text) = seq.next_element()? else { return Ok(texts) };
                texts.push(text);
            }
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(texts)
        }
    }
    deserializer.deserialize_seq(First)
}

impl Wire {
    fn into_record(self) -> CondaRecord {
        CondaRecord {
            is_readable: true,
            name: self.name,
            version: self.version,
            build: self.build.filled(),
            channel: self.channel.filled(),
            subdir: self.subdir.filled(),
            file_name: self.r#fn.filled(),
            license: self.license.filled(),
            md5: self.md5.filled(),
            sha256: self.sha256.filled(),
            depends: self.depends,
        }
    }
}

/// Makes the text of a record into what is kept of it.
pub(super) fn distil(text: &[u8]) -> Distilled {
    Distilled::CondaRecord(Box::new(CondaRecord::parse(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_without_its_files() {
        let record = CondaRecord::parse(
            br#"{"name":"zlib","version":"1.3.1","build":"hb9d3cd8_2","build_number":2,"subdir":"linux-64",
                "channel":"https://conda.anaconda.org/conda-forge/linux-64","license":"Zlib","md5":"c9f0",
                "sha256":"5d7c","fn":"zlib-1.3.1-hb9d3cd8_2.conda","depends":["__glibc >=2.17","libzlib 1.3.1"],
                "files":["include/zlib.h"],"paths_data":{"paths":[{"_path":"include/zlib.h"}]}}"#,
        );
        assert!(record.is_readable);
        assert_eq!((record.name.as_str(), record.version.as_str()), ("zlib", "1.3.1"));
        assert_eq!(record.license.as_deref(), Some("Zlib"));
        assert_eq!(record.depends, ["__glibc >=2.17", "libzlib 1.3.1"]);
    }

    #[test]
    fn what_is_no_record_is_unreadable() {
        for text in ["[]", "{", "{\"name\":\"a\"}", "null"] {
            assert!(!CondaRecord::parse(text.as_bytes()).is_readable, "{text}");
        }
    }
}
