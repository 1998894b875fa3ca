//! The components of an image (Nexus REST API, `listSearch`): one for each tag, with the tag's manifest as its asset.

use regent_distribution::{Error as ProtocolError, Scope, Session, Subject, parse_rfc3339};
use regent_plugin_api::TagDetail;
use regent_plugin_api::oci::{Digest, RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault as _};
use serde::Deserialize;

use crate::address::Rest;

/// A page of components.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    items: Vec<Component>,
    /// Where the next page begins; `null` at the end.
    #[serde(default, rename = "continuationToken")]
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Component {
    repository: String,
    name: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    assets: Vec<Asset>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asset {
    path: String,
    #[serde(default)]
    checksum: Checksums,
    #[serde(default)]
    last_modified: Option<String>,
    #[serde(default)]
    blob_created: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Checksums {
    #[serde(default)]
    sha256: Option<String>,
}

/// A tag, and the repository that has it: a member, where a group was asked.
pub(crate) struct Hit {
    pub(crate) detail: TagDetail,
    pub(crate) member: String,
}

/// One page: 50 components, which the API fixes. `/v1/components` has 100 in newer versions and 10 in older ones, but
/// only of the whole repository.
pub(crate) async fn page(
    session: &Session,
    rest: &Rest,
    image: &RepositoryName,
    token: Option<&str>,
) -> Result<Found, ProtocolError> {
    let mut url = session.endpoint().below(["service", "rest", "v1", "search"]);
    // "Enclose your criteria in quotation marks to search an exact phrase": a name has slashes and dashes to split it at.
    let phrase = format!("\"{image}\"");
    let query = [
        ("repository", rest.repository.as_str()),
        ("name", &phrase),
        ("sort", "version"),
        ("direction", "asc"),
    ];
    url.query_pairs_mut().extend_pairs(query).extend_pairs(token.map(|t| ("continuationToken", t)));
    let subject = Subject::Other(format!("the components of {image}"));
    let (mut found, _) = session.fetch_json::<Found>(url, &Scope::none(), &subject).await?;
    found.next = found.next.filter(|token| !token.is_empty());
    if token.is_some() && found.next.as_deref() == token {
        return Err(ProtocolError::PagingLoop { listing: subject.to_string() });
    }
    Ok(found)
}

impl Found {
    /// The tags among the components. What has no manifest that the account may browse is left out.
    pub(crate) fn into_hits(self, image: &RepositoryName) -> Vec<Hit> {
        self.items.into_iter().filter_map(|component| component.into_hit(image)).collect()
    }
}

impl Component {
    fn into_hit(self, image: &RepositoryName) -> Option<Hit> {
        if self.name != image.as_str() {
            return None;
        }
        let tag: Tag = self.version?.parse().ok()?;
        // Older versions leave out the slash in front.
        let path = format!("v2/{image}/manifests/{tag}");
        let asset = self.assets.into_iter().find(|asset| asset.path.trim_start_matches('/') == path)?;
        let digest: Digest = format!("sha256:{}", asset.checksum.sha256?).parse().ok()?;
        let pushed = asset.last_modified.or(asset.blob_created).as_deref().and_then(parse_rfc3339);
        // `fileSize` is the manifest's, which is not what an image's size means.
        Some(Hit { detail: TagDetail { tag, digest, pushed, size_bytes: None }, member: self.repository })
    }
}

/// Whether the search has nothing to say, for reasons that leave `/v2/` as good as it was: no right, no API there, or a
/// repository that it does not know.
pub(crate) fn is_closed(error: &ProtocolError) -> bool {
    let is_refused = |status: u16| matches!(status, 400 | 405 | 406 | 422);
    matches!(error.class(), Class::Denied | Class::Absent)
        || matches!(error, ProtocolError::UnexpectedStatus { status, .. } if is_refused(status.as_u16()))
}
