//! What Artifactory knows of tags, which are folders: `<image>/<tag>/manifest.json`, or `list.manifest.json` for an index.

use std::collections::BTreeMap;
use std::time::SystemTime;

use regent_distribution::parse_rfc3339;
use regent_plugin_api::TagDetail;
use regent_plugin_api::oci::{Digest, RepositoryName, Tag};
use serde::Deserialize;
use serde_json::json;

const MANIFEST: &str = "manifest.json";
const INDEX: &str = "list.manifest.json";

/// The query for the manifests of an image's tags, and of nothing else: those of other images below it are one level deeper,
/// and those of an index's platforms in folders named by digest. `name`, `repo` and `path` have to be among the fields, or it
/// is refused to all but administrators.
pub(crate) fn query(key: &str, image: &RepositoryName, limit: Option<u32>) -> String {
    // Names go in as JSON, so that none can end the string that it stands in.
    let criteria = json!({
        "repo": { "$eq": key },
        "$and": [
            { "path": { "$match": format!("{image}/*") } },
            { "path": { "$nmatch": format!("{image}/*/*") } },
            { "path": { "$nmatch": format!("{image}/sha256:*") } },
        ],
        "$or": [{ "name": { "$eq": MANIFEST } }, { "name": { "$eq": INDEX } }],
    });
    let limit = limit.map(|limit| format!(".limit({limit})")).unwrap_or_default();
    format!(r#"items.find({criteria}).include("repo","path","name","sha256","modified"){limit}"#)
}

/// The answer to a query.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    results: Vec<Item>,
    #[serde(default)]
    range: Range,
}

#[derive(Debug, Default, Deserialize)]
struct Range {
    /// That the results are not all.
    #[serde(default)]
    notification: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Item {
    repo: String,
    path: String,
    name: String,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    modified: Option<String>,
}

/// The answer to a listing of files (`/api/storage/<key>/<image>?list`).
#[derive(Debug, Deserialize)]
pub(crate) struct FileList {
    #[serde(default)]
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    uri: String,
    #[serde(default)]
    sha2: Option<String>,
    #[serde(default)]
    last_modified: Option<String>,
}

/// The tags of an image.
#[derive(Debug, Default)]
pub(crate) struct Details {
    tags: BTreeMap<Tag, Detail>,
    /// Whether they are all that the registry serves: a virtual repository serves others too, of remote repositories.
    pub(crate) of_one_repository: bool,
}

#[derive(Debug, PartialEq)]
struct Detail {
    is_index: bool,
    digest: Digest,
    pushed: Option<SystemTime>,
}

impl Found {
    /// The tags; `None` if they can't be told for certain: cut off, without checksum, or in several repositories behind a
    /// virtual one with different contents.
    pub(crate) fn into_details(self, key: &str, image: &RepositoryName) -> Option<Details> {
        if self.range.notification.is_some() {
            return None;
        }
        let mut details = Details { of_one_repository: true, ..Details::default() };
        for item in self.results {
            let Some(tag) = item.path.strip_prefix(image.as_str()).and_then(|rest| rest.strip_prefix('/'))
            else {
                continue;
            };
            details.of_one_repository &= item.repo == key;
            details.add(tag, &item.name, item.sha256.as_deref(), item.modified.as_deref())?;
        }
        Some(details)
    }
}

impl FileList {
    /// As [`Found::into_details`]. It does not say which repository a file is in.
    pub(crate) fn into_details(self) -> Option<Details> {
        let mut details = Details::default();
        for file in self.files {
            let mut parts = file.uri.trim_start_matches('/').split('/');
            if let (Some(tag), Some(name), None) = (parts.next(), parts.next(), parts.next()) {
                details.add(tag, name, file.sha2.as_deref(), file.last_modified.as_deref())?;
            }
        }
        Some(details)
    }
}

impl Details {
    fn add(&mut self, tag: &str, name: &str, sha256: Option<&str>, modified: Option<&str>) -> Option<()> {
        let is_index = name == INDEX;
        let Ok(tag) = tag.parse::<Tag>() else { return Some(()) };
        if !is_index && name != MANIFEST {
            return Some(());
        }
        let detail = Detail {
            is_index,
            digest: format!("sha256:{}", sha256?).parse().ok()?,
            pushed: modified.and_then(parse_rfc3339),
        };
        match self.tags.get(&tag) {
            // Whoever takes indexes is served the index.
            Some(known) if known.is_index && !is_index => {}
            Some(known) if known.is_index == is_index && known.digest != detail.digest => return None,
            _ => drop(self.tags.insert(tag, detail)),
        }
        Some(())
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Only these tags; `None` if one of them is not known.
    pub(crate) fn only(mut self, tags: Vec<Tag>) -> Option<Self> {
        let taken = tags.into_iter().map(|tag| self.tags.remove_entry(&tag));
        let tags = taken.collect::<Option<_>>()?;
        Some(Self { tags, ..self })
    }

    /// The tags in their order. Without sizes: Artifactory's figure is that of the manifest, not of the image.
    pub(crate) fn into_items(self) -> Vec<TagDetail> {
        let items = self.tags.into_iter();
        items
            .map(|(tag, detail)| TagDetail {
                tag,
                digest: detail.digest,
                pushed: detail.pushed,
                size_bytes: None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const A: &str = "4c1d3d2a9b0f2a1c5b7b6a4e9a4d1e5c3b2a190817161514131211100f0e0d0c";
    const B: &str = "5c1d3d2a9b0f2a1c5b7b6a4e9a4d1e5c3b2a190817161514131211100f0e0d0c";

    fn image() -> RepositoryName {
        "team/app".parse().unwrap()
    }

    fn found(results: &serde_json::Value) -> Option<Details> {
        let answer = json!({ "results": results, "range": { "start_pos": 0, "end_pos": 1, "total": 1 } });
        serde_json::from_value::<Found>(answer).unwrap().into_details("k", &image())
    }

    #[test]
    fn no_key_can_leave_the_string_that_it_stands_in() {
        let query = query(r#"k"}}).include("*")//"#, &image(), Some(1));
        let criteria = query.strip_prefix("items.find(").unwrap();
        let mut values = serde_json::Deserializer::from_str(criteria).into_iter::<serde_json::Value>();
        let criteria = values.next().unwrap().unwrap();
        assert_eq!(criteria["repo"]["$eq"], r#"k"}}).include("*")//"#);
        assert!(
            query.ends_with(r#").include("repo","path","name","sha256","modified").limit(1)"#),
            "{query}"
        );
    }

    #[test]
    fn the_query_names_the_folders_of_the_tags_only() {
        let expected = r#"items.find({"repo":{"$eq":"k"},"$and":[{"path":{"$match":"team/app/*"}},{"path":{"$nmatch":"team/app/*/*"}},{"path":{"$nmatch":"team/app/sha256:*"}}],"$or":[{"name":{"$eq":"manifest.json"}},{"name":{"$eq":"list.manifest.json"}}]}).include("repo","path","name","sha256","modified")"#;
        assert_eq!(query("k", &image(), None), expected);
    }

    #[test]
    fn an_index_goes_before_a_manifest_and_what_is_no_tag_is_left_out() {
        let details = found(&json!([
            { "repo": "k", "path": "team/app/1.0", "name": "manifest.json", "sha256": A },
            { "repo": "k", "path": "team/app/1.0", "name": "list.manifest.json", "sha256": B,
              "modified": "2023-11-14T23:13:20.500+01:00" },
            { "repo": "k", "path": "team/app/1.0", "name": "manifest.json", "sha256": A },
            { "repo": "k", "path": "team/app/sub/1.0", "name": "manifest.json", "sha256": A },
            { "repo": "k", "path": format!("team/app/sha256:{A}"), "name": "manifest.json", "sha256": A },
            { "repo": "k", "path": "team/app/2.0", "name": "other.json", "sha256": A },
        ]));
        let details = details.unwrap();
        assert!(details.of_one_repository);
        let items = details.into_items();
        let pushed = Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_500));
        let digest = format!("sha256:{B}").parse().unwrap();
        assert_eq!(items, [TagDetail { tag: "1.0".parse().unwrap(), digest, pushed, size_bytes: None }]);
    }

    #[test]
    fn what_can_not_be_told_for_certain_is_not_told() {
        let two = json!([
            { "repo": "a", "path": "team/app/1.0", "name": "manifest.json", "sha256": A },
            { "repo": "b", "path": "team/app/1.0", "name": "manifest.json", "sha256": B },
        ]);
        assert!(found(&two).is_none());
        let same = json!([
            { "repo": "a", "path": "team/app/1.0", "name": "manifest.json", "sha256": A },
            { "repo": "b", "path": "team/app/1.0", "name": "manifest.json", "sha256": A },
        ]);
        let same = found(&same).unwrap();
        assert!(!same.of_one_repository);
        assert!(same.only(vec!["1.0".parse().unwrap(), "2.0".parse().unwrap()]).is_none());
        assert!(found(&json!([{ "repo": "k", "path": "team/app/1.0", "name": "manifest.json" }])).is_none());
        let cut = json!({ "results": [], "range": { "notification": "results are trimmed" } });
        assert!(serde_json::from_value::<Found>(cut).unwrap().into_details("k", &image()).is_none());
    }

    #[test]
    fn files_are_read_as_items_are() {
        let list = json!({ "uri": "u", "files": [
            { "uri": "/1.0/manifest.json", "size": "430", "lastModified": "2026-01-01T00:00:00.000Z", "folder": false, "sha1": "x", "sha2": A },
            { "uri": "/1.0/sha256__00", "size": "430", "folder": false, "sha2": B },
            { "uri": "/sub/2.0/manifest.json", "sha2": A },
            { "uri": "/repository.catalog", "sha2": A },
        ]});
        let details = serde_json::from_value::<FileList>(list).unwrap().into_details().unwrap();
        assert!(!details.of_one_repository && !details.is_empty());
        assert_eq!(details.into_items().iter().map(|d| d.tag.as_str()).collect::<Vec<_>>(), ["1.0"]);
    }
}
