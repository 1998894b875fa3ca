//! The Artifact Registry API (discovery document `artifactregistry.v1`), as far as it lists.

use http::StatusCode;
use percent_encoding::percent_decode_str;
use regent_distribution::{Error as ProtocolError, Scope, Session, Subject};
use regent_oci::{Digest, Tag};
use regent_plugin_api::TagDetail;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use crate::place::Parent;

/// Its host.
pub(crate) const HOST: &str = "artifactregistry.googleapis.com";
/// "Maximum page size is 1,000", of every list.
pub(crate) const MAX_PAGE: u32 = 1000;
/// "Will contain up to 100 tags": a version with so many may have more.
const MAX_RELATED_TAGS: usize = 100;

type Protocol<T> = Result<T, ProtocolError>;

/// The API, with the right to call it.
#[derive(Debug)]
pub(crate) struct ArtifactRegistry(pub(crate) Session);

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    next: Option<String>,
}

impl<T> Listed<T> {
    /// Where the next page begins; an empty text is the end.
    pub(crate) fn next(&self) -> Option<String> {
        self.next.clone().filter(|token| !token.is_empty())
    }
}

impl Listed<Value> {
    /// Reads an answer. An empty list is left out of it.
    fn read(mut answer: Value, key: &str) -> Self {
        let next = text(&answer, "nextPageToken").map(str::to_owned);
        let items = answer.get_mut(key).and_then(Value::as_array_mut).map(std::mem::take);
        Self { items: items.unwrap_or_default(), next }
    }

    fn with<U>(self, convert: impl FnMut(Value) -> Option<U>) -> Listed<U> {
        Listed { items: self.items.into_iter().filter_map(convert).collect(), next: self.next }
    }
}

impl ArtifactRegistry {
    /// The repositories of a project, sorted, that hold images: by their own names, without what is in front.
    ///
    /// Virtual ones are left out, since what they show is in other repositories.
    pub(crate) async fn repositories(
        &self,
        project: &str,
        location: &str,
        token: Option<&str>,
    ) -> Protocol<Listed<String>> {
        let path = ["v1", "projects", project, "locations", location, "repositories"];
        let subject = Subject::Other(format!("the repositories of project {project} in {location}"));
        let url = self.0.endpoint().below(path);
        let listed = self.page(url, "repositories", MAX_PAGE, token, &subject).await?;
        let mut listed = listed.with(|repository| {
            let holds_images = text(&repository, "format") == Some("DOCKER")
                && text(&repository, "mode") != Some("VIRTUAL_REPOSITORY");
            holds_images.then(|| named(&repository, "/repositories/")).flatten()
        });
        listed.items.sort();
        Ok(listed)
    }

    /// The images of a repository, by their names in it.
    pub(crate) async fn images(
        &self,
        parent: &Parent,
        size: u32,
        token: Option<&str>,
    ) -> Protocol<Listed<String>> {
        let url = self.below(parent, &["packages"]);
        let subject = Subject::Other(format!("the images of {}", parent.names));
        let listed = self.page(url, "packages", size, token, &subject).await?;
        Ok(listed.with(|package| named(&package, "/packages/")))
    }

    /// The tags of an image.
    pub(crate) async fn tags(
        &self,
        parent: &Parent,
        image: &str,
        size: u32,
        token: Option<&str>,
    ) -> Protocol<Listed<Tag>> {
        let url = self.below(parent, &["packages", image, "tags"]);
        let listed = self.page(url, "tags", size, token, &tags_of(parent, image)).await?;
        Ok(listed.with(|tag| tag_of(&tag)))
    }

    /// The tags of an image with what is known of each. The pages are of versions, which is what has a size and a time;
    /// they may have any number of tags.
    pub(crate) async fn tagged(
        &self,
        parent: &Parent,
        image: &str,
        size: u32,
        token: Option<&str>,
    ) -> Protocol<Listed<TagDetail>> {
        let mut url = self.below(parent, &["packages", image, "versions"]);
        url.query_pairs_mut().append_pair("view", "FULL"); // the basic view has no tags
        let listed = self.page(url, "versions", size, token, &tags_of(parent, image)).await?;
        let mut items = Vec::new();
        for version in &listed.items {
            let (Some(name), Some(digest)) = (text(version, "name"), digest_of(version)) else { continue };
            let related = version.get("relatedTags").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let tags: Vec<Tag> = if related.len() < MAX_RELATED_TAGS {
                related.iter().filter_map(tag_of).collect()
            } else {
                self.tags_of_version(parent, image, name).await?
            };
            let size = version.get("metadata").and_then(|metadata| text(metadata, "imageSizeBytes"));
            items.extend(tags.into_iter().map(|tag| TagDetail {
                tag,
                digest: digest.clone(),
                pushed: text(version, "createTime").and_then(parse_time),
                size_bytes: size.and_then(parse_size),
            }));
        }
        Ok(Listed { items, next: listed.next })
    }

    /// All tags of a version.
    async fn tags_of_version(&self, parent: &Parent, image: &str, version: &str) -> Protocol<Vec<Tag>> {
        let mut url = self.below(parent, &["packages", image, "tags"]);
        url.query_pairs_mut().append_pair("filter", &format!("version=\"{version}\""));
        let subject = tags_of(parent, image);
        let (mut tags, mut token) = (Vec::new(), None);
        loop {
            let listed = self.page(url.clone(), "tags", MAX_PAGE, token.as_deref(), &subject).await?;
            let next = listed.next();
            let before = tags.len();
            tags.extend(
                listed.items.iter().filter(|tag| text(tag, "version") == Some(version)).filter_map(tag_of),
            );
            // A page that brings nothing is no reason to go on for ever.
            if next.is_none() || next == token || tags.len() == before {
                return Ok(tags);
            }
            token = next;
        }
    }

    /// A page of the list that its answer calls `key`.
    async fn page(
        &self,
        mut url: Url,
        key: &str,
        size: u32,
        token: Option<&str>,
        subject: &Subject,
    ) -> Protocol<Listed<Value>> {
        let size = size.clamp(1, MAX_PAGE);
        url.query_pairs_mut().append_pair("pageSize", &size.to_string());
        if let Some(token) = token {
            url.query_pairs_mut().append_pair("pageToken", token);
        }
        match self.0.fetch_json(url, &Scope::none(), subject).await {
            Ok((answer, _)) => Ok(Listed::read(listing(answer, subject)?, key)),
            // What an API client made up for a token.
            Err(ProtocolError::UnexpectedStatus { status: StatusCode::BAD_REQUEST, .. })
                if token.is_some() =>
            {
                Err(ProtocolError::CursorInvalid)
            }
            Err(error) => Err(error),
        }
    }

    /// A path below a repository. A `/` in a segment is escaped, as the API has it of the names of packages.
    fn below(&self, parent: &Parent, segments: &[&str]) -> Url {
        self.0.endpoint().below(parent.path().iter().chain(segments).copied())
    }
}

/// An answer, if it is an object and no error with the status of a success: either would pass for an empty list.
pub(crate) fn listing(answer: Value, subject: &Subject) -> Protocol<Value> {
    let is_error =
        |object: &Map<String, Value>| object.contains_key("errors") || object.contains_key("error");
    if answer.as_object().is_none_or(is_error) {
        let reason = "it is not the object of a listing".to_owned();
        return Err(ProtocolError::AnswerInvalid { subject: subject.clone(), reason });
    }
    Ok(answer)
}

fn text<'a>(resource: &'a Value, field: &str) -> Option<&'a str> {
    resource.get(field)?.as_str()
}

/// What a resource is called behind `marker`.
fn named(resource: &Value, marker: &str) -> Option<String> {
    last_part(text(resource, "name")?, marker)
}

fn tag_of(resource: &Value) -> Option<Tag> {
    named(resource, "/tags/")?.parse().ok()
}

/// The digest that a version is called by.
fn digest_of(version: &Value) -> Option<Digest> {
    named(version, "/versions/")?.parse().ok()
}

fn tags_of(parent: &Parent, image: &str) -> Subject {
    match parent.name(image) {
        Some(name) => Subject::Tags(name),
        None => Subject::Other(format!("the tags of {}/{image}", parent.names)),
    }
}

/// What a resource's name has behind `marker`, unescaped.
fn last_part(name: &str, marker: &str) -> Option<String> {
    let (_, part) = name.rsplit_once(marker)?;
    Some(percent_decode_str(part).decode_utf8().ok()?.into_owned())
}

fn parse_time(text: &str) -> Option<std::time::SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(Into::into)
}

/// 0 is what Google says of an index: that it does not know.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_listing_does_not_pass_for_an_empty_one() {
        let rows = [
            ("{}", true),
            (r#"{"tags":null}"#, true),
            ("[]", false),
            ("null", false),
            (r#""text""#, false),
            (r#"{"errors":[]}"#, false),
            (r#"{"error":{"code":500}}"#, false),
        ];
        for (answer, expected) in rows {
            let answer = serde_json::from_str(answer).unwrap();
            assert_eq!(listing(answer, &Subject::Catalog).is_ok(), expected);
        }
    }

    #[test]
    fn names_of_resources_are_unescaped() {
        let rows = [
            ("projects/p/locations/l/repositories/r/packages/team%2Fapp", "/packages/", Some("team/app")),
            ("projects/p/locations/l/repositories/r/packages/app", "/packages/", Some("app")),
            ("projects/p/locations/l/repositories/packages", "/repositories/", Some("packages")),
            ("projects/p/locations/l/repositories/r/packages/a/tags/v1.0", "/tags/", Some("v1.0")),
            ("packages/app", "/packages/", None),
            ("", "/tags/", None),
        ];
        for (name, marker, expected) in rows {
            assert_eq!(last_part(name, marker).as_deref(), expected, "{name}");
        }
    }
}
