//! A driver as JSON: what `GET /drivers` answers, and `regent drivers list` and `inspect` print.

use std::path::PathBuf;

use regent_oci::Digest;
use regent_plugin_api::Description;
use serde::Serialize;

use super::info::DriverInfo;
use super::trust::SignatureState;

/// One driver file, or a driver that is linked in.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DriverDocument {
    /// The file; none for a driver that is linked in.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    /// SHA-256 of the file, where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Version of the plugin API that it was built with.
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<String>,
    /// The connection types that it serves.
    types: Vec<String>,
    /// `ready`, `loaded`, `retained`, `refused`, `superseded`, `ambiguous`, `quarantined`, `trial`, `disabled`.
    state: &'static str,
    /// The stable code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// Why it does not serve, or not all of its types.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Since when it is quarantined, on trial or disabled, where that was noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Until when it is quarantined, where that ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Where its code runs: `thread` or `process`.
    isolation: &'static str,
    /// The number of its own process, while it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// How often its thread or its process was started anew, if it was.
    #[serde(skip_serializing_if = "is_zero")]
    restarts: u32,
    /// Who has signed it.
    signature: Signature,
    /// All that it says about itself: settings, egress, variables, abilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Description>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(restarts: &u32) -> bool {
    *restarts == 0
}

/// A driver's signature.
#[derive(Debug, Clone, Serialize)]
struct Signature {
    /// `missing`, `unchecked` (there is no key to check it with), `valid`, `invalid`.
    state: &'static str,
    /// The key that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

impl From<&SignatureState> for Signature {
    fn from(state: &SignatureState) -> Self {
        Self { state: state.as_str(), key: state.key().map(|key| key.to_string()), code: state.code() }
    }
}

impl DriverDocument {
    /// The names of its fields with their types, as the API's description has them.
    pub(crate) const FIELDS: &[(&str, &str)] = &[
        ("file?", "string"),
        ("digest?", "string"),
        ("name?", "string"),
        ("version?", "string"),
        ("api?", "string"),
        ("types", "strings"),
        ("state", "string"),
        ("code?", "string"),
        ("reason?", "string"),
        ("since?", "time"),
        ("until?", "time"),
        ("isolation", "string"),
        ("pid?", "integer"),
        ("restarts?", "integer"),
        ("signature", "object"),
        ("description?", "object"),
    ];
}

impl From<DriverInfo> for DriverDocument {
    fn from(info: DriverInfo) -> Self {
        let description = info.description;
        let told = |f: fn(&Description) -> String| description.as_ref().map(f);
        Self {
            file: info.file,
            digest: info.digest,
            name: told(|d| d.name.clone()),
            version: told(|d| d.version.to_string()),
            api: told(|d| d.api.to_string()),
            types: description.as_ref().map(|d| d.types.clone()).unwrap_or_default(),
            state: info.state.as_str(),
            code: info.state.code().map(str::to_owned),
            reason: info.state.reason(),
            since: info.state.since().map(str::to_owned),
            until: info.state.until().map(str::to_owned),
            isolation: info.isolation.as_str(),
            pid: info.pid,
            restarts: info.restarts,
            signature: Signature::from(&info.signature),
            description,
        }
    }
}
