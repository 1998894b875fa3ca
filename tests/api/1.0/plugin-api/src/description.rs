//! What a driver says about itself before any of its code runs.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

/// The JSON document in the library's `.regent.meta` section, written by [`export_driver!`](crate::export_driver).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Version of this document: 1.
    pub format: u32,
    /// Short name of the driver, e.g. `harbor`.
    pub name: String,
    /// The driver's own version.
    pub version: Version,
    /// Version of `regent-plugin-api` that it was built with.
    pub api: Version,
    /// Lowest `regent-plugin-api` of a host that it accepts.
    pub requires_api: Version,
    /// Target triple it was built for.
    pub target: String,
    /// Compiler it was built with.
    pub rustc: String,
    /// Version of `abi_stable` it was built with.
    pub abi_stable: String,
    /// Of a library in C: what its header calls the layouts of each version of the API up to its own (`1.0`). A Rust library
    /// has none: it has the layouts themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layouts: BTreeMap<String, String>,
    /// Connection types that it serves, the canonical one first, then legacy names. Compared ignoring case.
    pub types: Vec<String>,
    /// One line for operators: which registry this is for.
    #[serde(default)]
    pub summary: String,
    /// The settings that it takes.
    #[serde(default)]
    pub settings: Vec<SettingDescription>,
    /// Hosts that it needs beyond the registry's own: `host` or `host:port`, where a first label `*` stands for everything
    /// below a domain and one further on for any one label (`*.example.com`, `api.*.example.com`); `{field}` for the
    /// hosts that the connection names in that field, joined by commas; `{registryHost}` for the registry's host at the
    /// scheme's own port, where the connection names another one; `{env:NAME}` for the host of the URL in that variable of
    /// the host process. With `metadata:` in front, a service that gives the machine its credentials: at a
    /// link-local or loopback address it is reached over plain HTTP and past proxies.
    ///
    /// ```
    /// use regent_plugin_api::egress::{EgressEntry, Named};
    ///
    /// let named = |entry| EgressEntry::of(entry).named;
    /// assert_eq!(named("auth.example.com"), Named::Pattern("auth.example.com"));
    /// assert_eq!(named("*.example.com:8443"), Named::Pattern("*.example.com:8443"));
    /// assert_eq!(named("{registryHost}"), Named::RegistryHost);
    /// assert_eq!(named("{apiBase}"), Named::Field("apiBase"));
    /// assert_eq!(named("{env:ACME_API}"), Named::Variable("ACME_API"));
    /// assert!(EgressEntry::of("metadata:169.254.169.254").metadata);
    /// ```
    #[serde(default)]
    pub egress: Vec<String>,
    /// Environment variables of the host that it reads.
    #[serde(default)]
    pub env: Vec<String>,
    /// Abilities beyond the ordinary, by name. Known: `content` (serves manifests and blobs itself) and `files`
    /// (reads files of the host).
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// One setting of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingDescription {
    /// Field of the connection's JSON, e.g. `registryBase` or `extra.region`.
    pub name: String,
    /// Whether a connection without it is refused.
    pub required: bool,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// One line for operators.
    pub help: String,
}

impl Description {
    /// The capability of serving manifests and blobs itself.
    pub const CONTENT: &str = "content";

    /// Whether the library is one in C, without layouts that can be compared.
    pub fn is_c(&self) -> bool {
        !self.layouts.is_empty()
    }

    /// Whether the driver serves manifests and blobs itself, instead of naming an endpoint.
    pub fn serves_content(&self) -> bool {
        self.capabilities.iter().any(|c| c == Self::CONTENT)
    }

    /// Whether the driver serves this connection type, ignoring case.
    pub fn serves_type(&self, registry_type: &str) -> bool {
        self.types.iter().any(|t| t.eq_ignore_ascii_case(registry_type))
    }
}
