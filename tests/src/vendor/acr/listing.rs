//! Listings, all in the same form.

use serde_json::{Value, json};

use super::super::message::{Answer, Received, json as answer_json, with_header};
use super::super::store::{Repository, rfc3339};

/// A page of a listing in its lexical order. "If there are more results, a Link header" is there, with an empty `orderby`.
pub(super) fn page(request: &Received, key: &str, mut all: Vec<(String, Value)>, about: Value) -> Answer {
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let n = request.number("n").unwrap_or(100).min(1000);
    let start =
        request.query("last").map_or(0, |last| all.partition_point(|(name, _)| name.as_str() <= last));
    let end = (start + n).min(all.len());
    let link = (end < all.len()).then(|| {
        let last: String = url::form_urlencoded::byte_serialize(all[end - 1].0.as_bytes()).collect();
        format!("<{}?last={last}&n={n}&orderby=>; rel=\"next\"", request.path)
    });
    let mut body = about;
    let shown: Vec<Value> = all.drain(start..end).map(|(_, value)| value).collect();
    // "tags can be absent": an empty list is left out.
    if !shown.is_empty() || key == "repositories" {
        body[key] = shown.into();
    }
    let answer = answer_json(200, &body);
    link.map_or(answer.clone(), |link| with_header(answer, "link", &link))
}

pub(super) fn tags(repository: &Repository) -> Vec<(String, Value)> {
    let tags = repository.tags.iter();
    tags.map(|(name, tag)| {
        let attributes = json!({
            "name": name, "digest": tag.digest, "createdTime": rfc3339(repository.created),
            "lastUpdateTime": rfc3339(tag.pushed), "signed": false,
        });
        (name.clone(), attributes)
    })
    .collect()
}

pub(super) fn manifests(repository: &Repository) -> Vec<(String, Value)> {
    let tags = repository.tags_by_digest();
    let manifests = repository.manifests.iter();
    manifests
        .map(|(digest, manifest)| {
            let is_index = manifest.media_type.contains("index") || manifest.media_type.contains("list");
            // No more than ten were seen (Azure/azure-cli#7438).
            let tags: Vec<&str> = tags.get(digest).into_iter().flatten().take(10).copied().collect();
            let attributes = json!({
                "digest": digest, "imageSize": if is_index { 0 } else { manifest.size },
                "createdTime": rfc3339(manifest.pushed), "lastUpdateTime": rfc3339(manifest.pushed),
                "mediaType": manifest.media_type, "tags": tags,
            });
            (digest.to_string(), attributes)
        })
        .collect()
}
