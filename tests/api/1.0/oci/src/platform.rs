//! Platforms (image-spec 1.1, image-index.md, `platform`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Rule};

/// An operating system and architecture, with a variant such as `v7` where one is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// `GOOS`, e.g. `linux`.
    pub os: String,
    /// `GOARCH`, e.g. `amd64`.
    pub architecture: String,
    /// E.g. `v7` for `arm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// For Windows images.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}

impl Platform {
    /// What is scanned when nobody asks for a platform and an index offers a choice.
    pub fn linux_amd64() -> Self {
        Self { os: "linux".into(), architecture: "amd64".into(), variant: None, os_version: None }
    }

    /// `unknown/unknown`, the mark of an attestation.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    /// The variant with the one that an architecture implies when it names none: `arm64` is `v8`, `arm` is `v7`
    /// (containerd's normalisation).
    pub(crate) fn effective_variant(&self) -> Option<&str> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm64", None) => Some("v8"),
            ("arm", None) => Some("v7"),
            ("amd64", Some("v1")) => None,
            (_, variant) => variant,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// `os/architecture[/variant]`.
    fn from_str(s: &str) -> Result<Self, Error> {
        let fail = |rule| Error::grammar("platform", s, rule);
        if let Some(at) = s.bytes().position(|b| !(b.is_ascii_alphanumeric() || b"/._-".contains(&b))) {
            return Err(fail(Rule::Character(at)));
        }
        let mut parts = s.split('/');
        let mut part = || parts.next().filter(|p| !p.is_empty());
        let (Some(os), Some(architecture)) = (part(), part()) else {
            return Err(fail(Rule::Component(0)));
        };
        let variant = part().map(str::to_owned);
        if part().is_some() || s.ends_with('/') {
            return Err(fail(Rule::Component(s.len())));
        }
        Ok(Self { os: os.into(), architecture: architecture.into(), variant, os_version: None })
    }
}
