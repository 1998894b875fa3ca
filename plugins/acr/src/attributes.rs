//! What the API knows of tags and manifests (Azure Container Registry data plane 2021-07-01, `Tag_GetList` and
//! `Manifests_GetList`).

use regent_distribution::parse_rfc3339;
use regent_plugin_api::TagDetail;
use regent_plugin_api::oci::{Digest, Tag};
use serde::Deserialize;

/// A page of `_tags`.
#[derive(Debug, Deserialize)]
pub(crate) struct TagList {
    /// Left out where there are none.
    #[serde(default)]
    pub(crate) tags: Option<Vec<TagAttributes>>,
}

/// A tag of a listing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TagAttributes {
    name: String,
    digest: String,
    /// When the tag last came to point where it points: the tag's own time, not that of the manifest.
    #[serde(default)]
    last_update_time: Option<String>,
}

/// A page of `_manifests`.
#[derive(Debug, Deserialize)]
pub(crate) struct ManifestList {
    #[serde(default)]
    pub(crate) manifests: Option<Vec<ManifestAttributes>>,
}

/// A manifest of a listing. Its `tags` are not read: of a manifest with many, the list has been seen to hold ten.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManifestAttributes {
    digest: String,
    #[serde(default)]
    image_size: Option<i64>,
}

impl TagList {
    /// The tags, each with what it resolves to; what the specification has no way to say is left out.
    pub(crate) fn into_details(self) -> Vec<TagDetail> {
        self.tags.unwrap_or_default().into_iter().filter_map(TagAttributes::into_detail).collect()
    }
}

impl TagAttributes {
    fn into_detail(self) -> Option<TagDetail> {
        let tag: Tag = self.name.parse().ok()?;
        let pushed = self.last_update_time.as_deref().and_then(parse_rfc3339);
        Some(TagDetail { tag, digest: self.digest.parse().ok()?, pushed, size_bytes: None })
    }
}

impl ManifestAttributes {
    /// The digest, and the size where there is one: of an index the registry says 0.
    pub(crate) fn size(&self) -> Option<(Digest, Option<u64>)> {
        let size = self.image_size.and_then(|size| u64::try_from(size).ok()).filter(|size| *size > 0);
        Some((self.digest.parse().ok()?, size))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_tag_is_given_with_its_own_time_and_one_that_can_not_be_said_is_left_out() {
        let digest = Digest::sha256(b"x");
        let page = serde_json::json!({ "registry": "r", "imageName": "a", "tags": [
            { "name": "1.0", "digest": digest, "createdTime": "2020-01-01T00:00:00Z",
              "lastUpdateTime": "2023-11-14T22:13:20.1234567Z", "signed": false },
            { "name": "2.0", "digest": digest },
            { "name": "no tag", "digest": digest },
            { "name": "3.0", "digest": "md5:1" },
        ]});
        let details = serde_json::from_value::<TagList>(page).unwrap().into_details();
        let seen: Vec<_> = details.iter().map(|d| (d.tag.as_str(), d.pushed)).collect();
        let pushed = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_700);
        assert_eq!(seen, [("1.0", Some(pushed)), ("2.0", None)]);
        for none in ["{}", r#"{"tags":null}"#] {
            assert!(serde_json::from_str::<TagList>(none).unwrap().into_details().is_empty());
        }
    }

    #[test]
    fn a_size_of_nothing_is_no_size() {
        for (size, expected) in [("2479", Some(2479)), ("0", None), ("-1", None), ("null", None)] {
            let text = format!(r#"{{"digest":"{}","imageSize":{size}}}"#, Digest::sha256(b"x"));
            let manifest: ManifestAttributes = serde_json::from_str(&text).unwrap();
            assert_eq!(manifest.size().unwrap().1, expected, "{size}");
        }
    }
}
