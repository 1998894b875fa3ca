//! The image configuration (image-spec 1.1, config.md).
//!
//! Fields keep the difference between "absent" and "null" where the scan result reports it: a present key with the
//! value null is `Some(Value::Null)`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::error::Error;
use crate::platform::Platform;

/// The digest of a layer's *uncompressed* bytes. Not a [`Digest`]: the two must not be mixed up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

/// What an image was built from and runs as. Only the parts that Regent reports are typed; [`ImageConfig::parse`]
/// keeps no others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// "An combined date and time at which the image was created, formatted as defined by RFC 3339", as found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The CPU architecture. May be empty in a hand-made image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The CPU variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Execution parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ContainerConfig>,
    /// The layers' diff IDs, base layer first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<RootFs>,
    /// What made each layer, base layer first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<History>>,
}

/// The `config` object, key by key as found: `User`, `Env`, `Labels`, …
pub type ContainerConfig = Map<String, Value>;

/// One entry of `history`, key by key as found: `created`, `created_by`, `author`, `comment`, `empty_layer`.
pub type History = Map<String, Value>;

/// The `rootfs` object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// As found, base layer first. Text: a result reports them even where they are no valid digests.
    #[serde(default)]
    pub diff_ids: Vec<String>,
}

impl ImageConfig {
    /// Reads a configuration. Unknown fields are ignored, as the specification demands.
    ///
    /// # Errors
    /// [`Error::Document`] when it is no JSON object or a field has the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|e| Error::document("image configuration", describe(&e)))
    }

    /// `os` and `architecture`, where both are there and not empty.
    pub fn platform(&self) -> Option<Platform> {
        let filled = |v: &Option<String>| v.clone().filter(|v| !v.is_empty());
        Some(Platform {
            os: filled(&self.os)?,
            architecture: filled(&self.architecture)?,
            variant: filled(&self.variant),
            os_version: None,
        })
    }

    /// The diff IDs that are valid, base layer first; `None` at the place of one that is not.
    pub fn diff_ids(&self) -> Vec<Option<DiffId>> {
        self.rootfs.iter().flat_map(|r| &r.diff_ids).map(|d| d.parse().ok().map(DiffId)).collect()
    }
}

/// serde's message without the excerpt of the document that some of them carry.
pub(crate) fn describe(error: &serde_json::Error) -> String {
    let class = match error.classify() {
        serde_json::error::Category::Syntax => "no valid JSON",
        serde_json::error::Category::Data => "a field is missing or of the wrong type",
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Io => "unreadable",
    };
    format!("{class} at line {} column {}", error.line(), error.column())
}
