//! Artifacts and their tags (Harbor API 2.0, `listArtifacts`).

use regent_distribution::{Endpoint, parse_rfc3339};
use regent_plugin_api::oci::{Digest, RepositoryName};
use regent_plugin_api::url::Url;
use regent_plugin_api::{Error, Result, TagDetail};
use serde::Deserialize;

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
            let pushed = tag.push_time.as_deref().and_then(parse_rfc3339);
            let digest = Digest::clone(&digest);
            Some(TagDetail { tag: tag.name.parse().ok()?, digest, pushed, size_bytes })
        })
        .collect()
    }
}
