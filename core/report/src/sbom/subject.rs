//! The image that a document is about.

use regent_oci::Digest;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::input::{Digests, ImageFacts, ImageName};
use crate::inventory::image_purl;
use crate::names::{Location, effective_digests, effective_name, location};
use crate::options::Options;

/// The image.
#[derive(Debug)]
pub(super) struct Subject {
    /// Its name without tag and digest; never empty.
    pub(super) name: String,
    /// Its tag, or else its digest.
    pub(super) version: Option<String>,
    /// Digest of its manifest.
    pub(super) manifest_digest: Option<String>,
    /// Its package URL, where its name and digest are such that a registry could have it.
    pub(super) purl: Option<String>,
    /// When it was made, in UTC to the second. `None` where the configuration doesn't tell, or nothing that is a time.
    pub(super) created: Option<String>,
    /// Further things to tell, by name.
    pub(super) properties: Vec<(String, String)>,
}

impl Subject {
    pub(super) fn new(
        image: &ImageFacts,
        name: &ImageName,
        digests: Option<&Digests>,
        options: &Options,
    ) -> Self {
        let mut digests = effective_digests(digests, options).unwrap_or_default();
        // Those of the options are whatever the request says.
        let is_digest = |text: &String| text.parse::<Digest>().is_ok();
        digests.manifest = digests
            .manifest
            .filter(is_digest)
            .or_else(|| image.manifest_digest.as_ref().map(Digest::to_string));
        digests.index = digests.index.filter(is_digest);
        let given = effective_name(name, options);
        let platform = image.config.platform();
        let architecture = platform.as_ref().map(|platform| platform.architecture.as_str());
        // A file's name would do for a registry, and means none.
        let location = given.and_then(location);
        let purl = location.as_ref().zip(digests.manifest.as_deref()).map(|(location, digest)| {
            let (host, repository) = (&location.host, &location.repository);
            let last = repository.rsplit('/').next().unwrap_or_default();
            image_purl(last, digest, &format!("{host}/{repository}"), location.tag.as_deref(), architecture)
        });
        let (bare, tag) = match location {
            Some(Location { name, tag, .. }) => (name, tag),
            None => (given.unwrap_or(&name.archive).to_owned(), None),
        };
        let fixed = [
            ("image:id", Some(image.image_id.clone())),
            ("image:manifestDigest", digests.manifest.clone()),
            ("image:indexDigest", digests.index),
            ("image:platform", platform.map(|platform| platform.to_string())),
        ];
        let fixed = fixed.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Self {
            name: if bare.is_empty() { "image".to_owned() } else { bare },
            version: tag.or_else(|| digests.manifest.clone()),
            purl,
            created: image.config.created.as_deref().and_then(in_utc),
            properties: fixed.chain(labels(image)).collect(),
            manifest_digest: digests.manifest,
        }
    }
}

/// The image's labels, those that are text.
fn labels(image: &ImageFacts) -> Vec<(String, String)> {
    let labels =
        image.config.config.as_ref().and_then(|config| config.get("Labels")).and_then(Value::as_object);
    let text =
        |(key, value): (&String, &Value)| Some((format!("image:label:{key}"), value.as_str()?.to_owned()));
    let mut labels: Vec<_> = labels.into_iter().flatten().filter_map(text).collect();
    labels.sort();
    labels
}

fn in_utc(text: &str) -> Option<String> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    // A time zone may lead out of the years that can be written.
    let time = time.checked_to_offset(UtcOffset::UTC)?.replace_nanosecond(0).ok()?;
    time.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_to_the_second() {
        let rows = [
            ("2026-01-02T03:04:05.678901234Z", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02T01:04:05+02:00", Some("2026-01-01T23:04:05Z")),
            ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z")),
            ("9999-12-31T23:59:59-05:00", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(in_utc(text).as_deref(), expected, "{text}");
        }
    }
}
