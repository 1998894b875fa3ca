//! Versions of a package, which are manifests with their tags ("REST API endpoints for packages", List package
//! versions).
//!
//! A platform's manifest and an attestation are versions without a tag, so that a page may hold few tags or none.

use regent_distribution::{Error as ProtocolError, NumberedPage, Session, Subject, parse_rfc3339};
use regent_plugin_api::Numbered;
use regent_plugin_api::TagDetail;
use regent_plugin_api::oci::Digest;
use serde::Deserialize;

use crate::owner::Kind;

/// A version of a listing.
#[derive(Debug, Deserialize)]
pub(crate) struct Version {
    /// The digest.
    name: String,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    container: Option<Container>,
}

#[derive(Debug, Deserialize)]
struct Container {
    #[serde(default)]
    tags: Vec<String>,
}

/// A page of the versions of `owner/package`.
pub(crate) async fn list(
    api: &Session,
    kind: Kind,
    (owner, package): (&str, &str),
    at: Numbered,
) -> Result<NumberedPage<Version>, ProtocolError> {
    // One segment: the `/` of a name is sent as %2F.
    let mut url = kind.packages(api.endpoint(), owner, &["container", package, "versions"]);
    url.query_pairs_mut().append_pair("state", "active");
    let subject = Subject::Other(format!("the versions of {owner}/{package}"));
    api.numbered(url, at.page, at.size, &subject).await
}

impl Version {
    /// Its tags; those that the specification has no way to say are left out.
    pub(crate) fn into_tags(self) -> Vec<TagDetail> {
        let Ok(digest) = self.name.parse::<Digest>() else { return Vec::new() };
        let tags = self.metadata.and_then(|m| m.container).map(|c| c.tags).unwrap_or_default();
        let mut times = [self.updated_at, self.created_at].into_iter().flatten();
        let pushed = times.find_map(|time| parse_rfc3339(&time));
        let detail = |tag: String| {
            Some(TagDetail { tag: tag.parse().ok()?, digest: digest.clone(), pushed, size_bytes: None })
        };
        tags.into_iter().filter_map(detail).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_as_many_tags_as_it_has() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let container = |tags: &str| {
            format!(r#""metadata":{{"package_type":"container","container":{{"tags":{tags}}}}}"#)
        };
        let rows = [
            (format!(r#"{{"name":"{digest}",{}}}"#, container(r#"["1.0","latest"]"#)), vec!["1.0", "latest"]),
            (format!(r#"{{"name":"{digest}",{}}}"#, container("[]")), vec![]),
            (format!(r#"{{"name":"{digest}",{}}}"#, container(r#"["not a tag","ok"]"#)), vec!["ok"]),
            (format!(r#"{{"name":"{digest}"}}"#), vec![]),
            (format!(r#"{{"name":"1.0",{}}}"#, container(r#"["1.0"]"#)), vec![]),
        ];
        for (text, expected) in rows {
            let version: Version = serde_json::from_str(&text).unwrap();
            let tags = version.into_tags();
            assert_eq!(tags.iter().map(|t| t.tag.as_str()).collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
