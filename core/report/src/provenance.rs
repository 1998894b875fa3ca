//! The fact `provenanceMetadata`: what statements stored beside an image say of how it was built.
//!
//! SLSA provenance (slsa.dev, versions 0.2 and 1), as `BuildKit` writes it. Nothing of it is checked: statements in an
//! index are not signed, and are repeated as what they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::input::Attestation;

/// Statements that are repeated, as in the scanner being replaced.
const MAX_STATEMENTS: usize = 10;

const V0_2: &str = "https://slsa.dev/provenance/v0.2";
const V1: &str = "https://slsa.dev/provenance/v1";

/// Where `BuildKit` puts what the specification has no field for: in version 0.2, and in version 1.
const BUILDKIT_METADATA: [&str; 2] = ["https://mobyproject.org/buildkit@v1#metadata", "buildkit_metadata"];

/// The fact's data; `None` where no statement is about provenance.
pub(crate) fn metadata(attestations: &[Attestation]) -> Option<Value> {
    let mut sorted: Vec<&Attestation> = attestations.iter().collect();
    sorted.sort_by_key(|attestation| (attestation.manifest.as_str(), attestation.layer.as_str()));
    let found: Vec<Value> = sorted.into_iter().filter_map(entry).take(MAX_STATEMENTS).collect();
    (!found.is_empty()).then_some(Value::Array(found))
}

fn entry(attestation: &Attestation) -> Option<Value> {
    let statement: Value = serde_json::from_slice(&attestation.statement).ok()?;
    let predicate = statement.get("predicate")?;
    let build = match statement.get("predicateType")?.as_str()? {
        V0_2 => Build::of_v0_2(predicate),
        V1 => Build::of_v1(predicate),
        _ => return None,
    };
    let vcs = build.buildkit("vcs");
    let in_vcs = |key: &str| vcs.and_then(|vcs| text(vcs.get(key)?));
    let config_digest = build.config_source.and_then(|source| digest(source.get("digest")?.as_object()?));
    let (config_digest, digest_source) = match (config_digest, in_vcs("revision")) {
        (Some(digest), _) => (Some(digest), Some("remote")),
        (None, Some(revision)) => (Some(revision.to_owned()), Some("local")),
        (None, None) => (None, None),
    };
    let source_uri = build.config_source.and_then(|source| text(source.get("uri")?));
    let (dockerfile, contents) = build.dockerfile();
    Some(json!({
        "buildTimestamp": build.time,
        "buildConfigDigest": config_digest,
        "buildConfigDigestSource": digest_source,
        "attestedManifestDigest": attestation.attested,
        "attestationManifestDigest": attestation.manifest.as_str(),
        "buildConfigSourceUri": source_uri.or_else(|| in_vcs("source")),
        "builderId": build.builder,
        "buildType": build.kind,
        "dockerfileMetadata": { "name": dockerfile, "contents": contents },
    }))
}

/// The parts of a predicate, wherever its version has them.
struct Build<'a> {
    time: Option<&'a str>,
    builder: Option<&'a str>,
    kind: Option<&'a str>,
    config_source: Option<&'a Value>,
    /// Name of the build's file in its source.
    entry_point: Option<&'a str>,
    metadata: Option<&'a Value>,
}

impl<'a> Build<'a> {
    fn of_v0_2(predicate: &'a Value) -> Self {
        let metadata = predicate.get("metadata");
        let config_source = predicate.pointer("/invocation/configSource");
        Self {
            time: first_text(metadata, ["buildStartedOn", "buildFinishedOn"]),
            builder: predicate.pointer("/builder/id").and_then(Value::as_str),
            kind: predicate.get("buildType").and_then(Value::as_str),
            config_source,
            entry_point: config_source.and_then(|source| text(source.get("entryPoint")?)),
            metadata,
        }
    }

    fn of_v1(predicate: &'a Value) -> Self {
        let metadata = predicate.pointer("/runDetails/metadata");
        let config_source = predicate.pointer("/buildDefinition/externalParameters/configSource");
        Self {
            time: first_text(metadata, ["startedOn", "finishedOn"]),
            builder: predicate.pointer("/runDetails/builder/id").and_then(Value::as_str),
            kind: predicate.pointer("/buildDefinition/buildType").and_then(Value::as_str),
            config_source,
            entry_point: config_source.and_then(|source| text(source.get("path")?)),
            metadata,
        }
    }

    fn buildkit(&self, part: &str) -> Option<&'a Value> {
        let metadata = self.metadata?;
        BUILDKIT_METADATA.iter().find_map(|key| metadata.get(key)?.get(part))
    }

    /// Name and text of the Dockerfile. The text is there where the whole build was recorded (`mode=max`).
    fn dockerfile(&self) -> (Option<&'a str>, Option<String>) {
        let recorded = self.buildkit("source").and_then(|source| source.get("infos")?.as_array());
        let files = || recorded.into_iter().flatten();
        let name_of = |file: &'a Value| file.get("filename").and_then(text);
        let file = files().find(|file| name_of(file) == self.entry_point).or_else(|| files().next());
        let name = self.entry_point.or_else(|| name_of(file?));
        let data = file.and_then(|file| BASE64.decode(file.get("data")?.as_str()?).ok());
        (name, data.map(|data| String::from_utf8_lossy(&data).into_owned()))
    }
}

fn first_text<'a>(object: Option<&'a Value>, keys: [&str; 2]) -> Option<&'a str> {
    keys.iter().find_map(|key| text(object?.get(key)?))
}

/// Text that isn't empty.
fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// `algorithm:value` of the first digest.
fn digest(digests: &Map<String, Value>) -> Option<String> {
    let (algorithm, value) = digests.iter().next()?;
    Some(format!("{algorithm}:{}", text(value)?))
}

#[cfg(test)]
mod tests;
