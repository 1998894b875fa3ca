//! `/v2/<name>/tags/list` with Google's extension: names below this one, and what each manifest is
//! (google/go-containerregistry, `pkg/v1/google/list.go`).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use regent_distribution::{Error as ProtocolError, Scope, Session, Subject, next_cursor};
use regent_oci::{Digest, RepositoryName, Tag};
use regent_plugin_api::TagDetail;
use serde_json::{Map, Value};

use crate::artifact_registry::{listing, parse_size};

/// The most that a listing over `/v2/` has: "returns an incomplete list if a repository has more than 10,000 images or
/// tags" (Google, "Artifact Registry quotas and limits"). It is also the size of page to ask for: with less,
/// the rest is cut off without a link to it.
const MAX_ITEMS: usize = 10_000;

/// The answer. Lists may be `null`, and so may their elements.
#[derive(Debug)]
pub(crate) struct TagList(Value);

impl TagList {
    /// The list of a name, and the query of its next page. `query` is that of this page; none for the first.
    pub(crate) async fn fetch(
        session: &Session,
        name: &RepositoryName,
        query: Option<&str>,
    ) -> Result<(Self, Option<String>), ProtocolError> {
        let mut url = session.endpoint().tags(name);
        match query {
            Some(query) => url.set_query(Some(query)),
            None => {
                url.query_pairs_mut().append_pair("n", &MAX_ITEMS.to_string());
            }
        }
        let subject = Subject::Tags(name.clone());
        let (list, headers) = session.fetch_json(url, &Scope::pull(name), &subject).await?;
        Ok((Self(listing(list, &subject)?), next_cursor(&headers, &subject)?))
    }

    /// Whether there may be more, which this way will not show.
    pub(crate) fn may_be_cut(&self) -> bool {
        let tags = self.0.get("tags").and_then(Value::as_array).map_or(0, Vec::len);
        tags >= MAX_ITEMS || self.manifests().map_or(0, Map::len) >= MAX_ITEMS
    }

    /// Whether there are images by this very name. One without a tag is one.
    pub(crate) fn has_images(&self) -> bool {
        self.tags().next().is_some() || self.manifests().is_some_and(|all| !all.is_empty())
    }

    /// The tags, each once.
    pub(crate) fn tags(&self) -> impl Iterator<Item = Tag> {
        let mut seen = HashSet::new();
        texts(&self.0, "tags")
            .filter_map(|tag| tag.parse().ok())
            .filter(move |tag: &Tag| seen.insert(tag.clone()))
    }

    /// The tags with what is known of each; `None` if the answer does not say it of all.
    pub(crate) fn tagged(&self) -> Option<Vec<TagDetail>> {
        let mut by_tag: HashMap<&str, (Digest, &Value)> = HashMap::new();
        for (digest, info) in self.manifests()? {
            let Ok(digest) = digest.parse::<Digest>() else { continue };
            by_tag.extend(texts(info, "tag").map(|tag| (tag, (digest.clone(), info))));
        }
        let tags = self.tags().map(|tag| {
            let (digest, info) = by_tag.get(tag.as_str())?;
            let size_bytes = number(info, "imageSizeBytes").as_deref().and_then(parse_size);
            Some(TagDetail { tag, digest: digest.clone(), pushed: uploaded(info), size_bytes })
        });
        tags.collect()
    }

    /// What each manifest is, by digest; none if the answer is without the extension.
    fn manifests(&self) -> Option<&Map<String, Value>> {
        self.0.get("manifest")?.as_object()
    }

    /// The names directly below this one, sorted.
    pub(crate) fn children(&self, name: &RepositoryName) -> Vec<RepositoryName> {
        let children = texts(&self.0, "child").filter_map(|child| format!("{name}/{child}").parse().ok());
        let mut children: Vec<RepositoryName> = children.collect();
        children.sort();
        children.dedup();
        children
    }
}

fn uploaded(info: &Value) -> Option<SystemTime> {
    let milliseconds = number(info, "timeUploadedMs")?.parse().ok().filter(|ms| *ms > 0)?;
    UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))
}

/// A number as text: that is what numbers are at Container Registry, and at Artifact Registry some are numbers.
fn number(info: &Value, field: &str) -> Option<String> {
    match info.get(field)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn texts<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    value.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:4c1d3d2a9b0f2a1c5b7b6a4e9a4d1e5c3b2a190817161514131211100f0e0d0c";

    fn list(json: &str) -> TagList {
        TagList(serde_json::from_str(&json.replace("DIGEST", DIGEST)).unwrap())
    }

    #[test]
    fn times_and_sizes_are_read_in_either_spelling() {
        let rows = [
            (r#""481""#, r#""1767225605000""#, Some(481), Some(1_767_225_605_000)),
            ("481", "1767225605000", Some(481), Some(1_767_225_605_000)),
            (r#""0""#, r#""0""#, None, None),
            (r#""""#, "null", None, None),
            ("-1", r#""soon""#, None, None),
            (
                "{}",
                "18446744073709551615",
                None,
                UNIX_EPOCH.checked_add(Duration::from_millis(u64::MAX)).map(|_| u64::MAX),
            ),
        ];
        for (size, uploaded, expected_size, expected_ms) in rows {
            let list = list(&format!(
                r#"{{"tags":["v1"],"manifest":{{"DIGEST":{{"imageSizeBytes":{size},"timeUploadedMs":{uploaded},"tag":["v1"]}}}}}}"#
            ));
            let tagged = list.tagged().unwrap();
            let [image] = &tagged[..] else { panic!("{tagged:?}") };
            assert_eq!(image.size_bytes, expected_size, "{size}");
            let expected = expected_ms.map(|ms| UNIX_EPOCH + Duration::from_millis(ms));
            assert_eq!(image.pushed, expected, "{uploaded}");
        }
    }

    #[test]
    fn what_is_missing_or_null_is_no_error() {
        let rows = [
            ("{}", 0, None, false),
            (r#"{"tags":null,"child":null,"manifest":null}"#, 0, None, false),
            (r#"{"tags":["a",null,"a","sha256:b",""],"manifest":{}}"#, 1, None, true),
            (r#"{"tags":[],"manifest":{"DIGEST":{"tag":null}}}"#, 0, Some(0), true),
            (r#"{"tags":["a"],"manifest":{"DIGEST":{"tag":["a","b",null]}}}"#, 1, Some(1), true),
            (r#"{"tags":["a"],"manifest":{"no digest":{"tag":["a"]}}}"#, 1, None, true),
        ];
        for (json, tags, tagged, has_images) in rows {
            let list = list(json);
            assert_eq!(list.tags().count(), tags, "{json}");
            assert_eq!(list.tagged().map(|all| all.len()), tagged, "{json}");
            assert_eq!(list.has_images(), has_images, "{json}");
            assert!(!list.may_be_cut(), "{json}");
        }
    }

    #[test]
    fn children_are_names_below_and_nothing_else() {
        let list = list(r#"{"child":["b","a","../x","A","a",null,"c/d"]}"#);
        let children = list.children(&"acme/apps".parse().unwrap());
        assert_eq!(
            children.iter().map(RepositoryName::as_str).collect::<Vec<_>>(),
            ["acme/apps/a", "acme/apps/b", "acme/apps/c/d"]
        );
    }
}
