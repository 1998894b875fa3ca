//! Artifacts and their tags (Harbor API 2.0, `listArtifacts`).

use std::time::SystemTime;

use regent_distribution::Endpoint;
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::url::Url;
use regent_plugin_api::{Error, Result, TagDetail};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What makes a listing cheap: nothing but tags.
const OPTIONS: [(&str, &str); 8] = [
    ("q", "tags=*"),
    // Ascending, such that what is pushed meanwhile comes last and shifts no page.
    ("sort", "id"),
    ("with_tag", "true"),
    ("with_label", "false"),
    ("with_scan_overview", "false"),
    ("with_sbom_overview", "false"),
    ("with_immutable_status", "false"),
    ("with_accessory", "false"),
];

/// An artifact of a listing.
#[derive(Debug, Deserialize)]
pub(crate) struct Artifact {
    digest: String,
    /// For an index, its own size and the sum of its images'.
    #[serde(default)]
    size: Option<i64>,
    #[serde(default)]
    tags: Option<Vec<ArtifactTag>>,
}

#[derive(Debug, Deserialize)]
struct ArtifactTag {
    name: String,
    #[serde(default)]
    push_time: Option<String>,
}

/// Where the tagged artifacts of a repository are listed.
pub(crate) fn url(endpoint: &Endpoint, repository: &RepositoryName) -> Result<Url> {
    let (project, rest) = repository.as_str().split_once('/').ok_or_else(|| {
        Error::not_found(format!("can't find {repository}: repositories of Harbor are called project/name"))
    })?;
    // Encoded here and once more as a segment of the path: "encode it twice over", says the API of a `/` in a name.
    let rest = rest.replace('/', "%2F");
    let mut url = endpoint.below(["api", "v2.0", "projects", project, "repositories", &rest, "artifacts"]);
    url.query_pairs_mut().extend_pairs(OPTIONS);
    Ok(url)
}

impl Artifact {
    /// Its tags; those that the specification has no way to say are left out.
    pub(crate) fn into_tags(self) -> Vec<TagDetail> {
        let Ok(digest) = self.digest.parse() else { return Vec::new() };
        let size_bytes = self.size.and_then(|size| u64::try_from(size).ok());
        let tags = self.tags.unwrap_or_default().into_iter();
        tags.filter_map(|tag| {
            let pushed = tag.push_time.as_deref().and_then(parse_time);
            let digest = regent_oci::Digest::clone(&digest);
            Some(TagDetail { tag: tag.name.parse().ok()?, digest, pushed, size_bytes })
        })
        .collect()
    }
}

/// RFC 3339. Harbor has the year 1 for "never".
fn parse_time(text: &str) -> Option<SystemTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    (time > OffsetDateTime::UNIX_EPOCH).then(|| time.into())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_are_read_and_never_is_none() {
        let rows = [
            ("2026-01-02T03:04:05.678Z", Some(1_767_323_045_678)),
            ("2026-01-02T04:04:05+01:00", Some(1_767_323_045_000)),
            ("0001-01-01T00:00:00.000Z", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|ms| UNIX_EPOCH + Duration::from_millis(ms));
            assert_eq!(parse_time(text), expected, "{text}");
        }
    }
}
