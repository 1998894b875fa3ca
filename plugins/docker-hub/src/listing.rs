//! Repositories and tags by the API of `hub.docker.com`.

use std::fmt;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use regent_distribution::{Error as ProtocolError, Scope, Subject, is_within, parse_rfc3339};
use regent_oci::{Digest, RepositoryName};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::url::Url;
use regent_plugin_api::{LogLevel, Namespaces, Numbered, Page, TagDetail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::base::halves;
use crate::limit::Limit;
use crate::{DockerHub, Protocol};

/// "Max of 100", says the API of `page_size`.
pub(crate) const MAX_PAGE: u32 = 100;
/// The most pages of organizations that are asked for: no one is a member of more.
const MAX_ORGANIZATION_PAGES: u32 = 10;
/// How many tags without a digest are looked up side by side.
const HEADS_AT_ONCE: usize = 8;

/// A place in the list of repositories, which goes from namespace to namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: Numbered,
    pub(crate) namespaces: Namespaces,
}

/// A page of repositories.
pub(crate) struct Listed {
    pub(crate) repositories: Vec<RepositoryName>,
    /// Whether one of them is not for everyone.
    pub(crate) has_private: bool,
    pub(crate) next: Option<Place>,
}

impl From<Listed> for Page<RepositoryName> {
    fn from(listed: Listed) -> Self {
        Self::new(listed.repositories, listed.next.map(|place| place.to_string()))
    }
}

/// Every listing's frame. `next` is a URL: that there is one is all that is wanted of it.
#[derive(Debug, Deserialize)]
struct Paged<T> {
    #[serde(default)]
    next: Option<String>,
    results: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    namespace: String,
    name: String,
    #[serde(default, rename = "repository_type")]
    kind: Option<String>,
    #[serde(default)]
    is_private: bool,
}

#[derive(Debug, Deserialize)]
struct Organization {
    orgname: String,
}

#[derive(Debug, Deserialize)]
struct HubTag {
    name: String,
    /// None for tags from before 2021 or so.
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    full_size: Option<u64>,
    #[serde(default)]
    tag_last_pushed: Option<String>,
}

impl DockerHub {
    /// One page of the namespace in work.
    pub(crate) async fn list(&self, place: &Place) -> Protocol<Listed> {
        let namespace = place.namespaces.current().as_str();
        let url = self.api.endpoint().below(["v2", "namespaces", namespace, "repositories"]);
        let mut url = paged(url, place.at);
        url.query_pairs_mut().append_pair("ordering", "name");
        if let Some((_, name)) = self.prefix.as_ref().and_then(|prefix| prefix.as_str().split_once('/')) {
            url.query_pairs_mut().append_pair("name", name); // a part of the name: the rest is done below
        }
        let subject = Subject::Other(format!("the repositories of the namespace {namespace}"));
        let listed = self.page::<Repository>(url, place.at, &subject).await?;
        let next = if listed.next.is_some() {
            Some(Place { at: place.at.following(), namespaces: place.namespaces.clone() })
        } else {
            place.after_namespace()
        };
        // Old images have no type; the other type is plugins of the Docker Engine.
        let images = listed.results.into_iter().filter(|r| r.kind.as_deref().is_none_or(|t| t == "image"));
        let (mut repositories, mut has_private) = (Vec::new(), false);
        for repository in images {
            let name = format!("{}/{}", repository.namespace, repository.name).parse();
            if let Some(name) = name.ok().filter(|name| is_within(name, self.prefix.as_ref())) {
                has_private |= repository.is_private;
                repositories.push(name);
            }
        }
        Ok(Listed { repositories, has_private, next })
    }

    /// The organizations that the user is a member of. Not in Docker's description of the API, but in its own tools; a
    /// personal access token may be refused here.
    pub(crate) async fn organizations(&self) -> Protocol<Vec<String>> {
        let subject = Subject::Other("the user's organizations".to_owned());
        let mut at = Numbered::first(MAX_PAGE, MAX_PAGE);
        let mut names = Vec::new();
        loop {
            let url = paged(self.api.endpoint().below(["v2", "user", "orgs", ""]), at);
            let listed = self.page::<Organization>(url, at, &subject).await?;
            names.extend(listed.results.into_iter().map(|organization| organization.orgname));
            at = at.following();
            if listed.next.is_none() || at.page > MAX_ORGANIZATION_PAGES {
                return Ok(names);
            }
        }
    }

    /// One page of a repository's tags, with their digests.
    pub(crate) async fn tag_page(
        &self,
        repository: &RepositoryName,
        at: Numbered,
    ) -> Protocol<Page<TagDetail>> {
        let (namespace, name) = halves(repository);
        let segments = ["v2", "namespaces", namespace, "repositories", name, "tags"];
        let url = paged(self.api.endpoint().below(segments), at);
        let listed = self.page::<HubTag>(url, at, &Subject::Tags(repository.clone())).await?;
        let next = listed.next.map(|_| at.following().to_string());
        let details = stream::iter(listed.results).map(|tag| self.detail(repository, tag));
        let details: Vec<Option<TagDetail>> = details.buffered(HEADS_AT_ONCE).try_collect().await?;
        Ok(Page::new(details.into_iter().flatten().collect(), next))
    }

    /// A tag with its digest, by a HEAD if the API does not say it; `None` if it has none.
    async fn detail(&self, repository: &RepositoryName, tag: HubTag) -> Protocol<Option<TagDetail>> {
        let Ok(name) = tag.name.parse::<regent_oci::Tag>() else { return Ok(None) };
        let stated = tag.digest.as_deref().and_then(|digest| digest.parse::<Digest>().ok());
        let digest = match stated {
            Some(digest) => Some(digest),
            None => match self.head(repository, &name).await {
                Ok(head) => head.digest,
                Err(error) if error.class() == Class::Absent => None,
                Err(error) => return Err(error),
            },
        };
        let Some(digest) = digest else { return Ok(None) };
        let pushed = tag.tag_last_pushed.as_deref().and_then(parse_rfc3339);
        Ok(Some(TagDetail { tag: name, digest, pushed, size_bytes: tag.full_size.filter(|n| *n > 0) }))
    }

    async fn page<T: DeserializeOwned>(
        &self,
        url: Url,
        at: Numbered,
        subject: &Subject,
    ) -> Protocol<Paged<T>> {
        match self.api.fetch_json::<Paged<T>>(url, &Scope::none(), subject).await {
            Ok((listed, headers)) => {
                if Limit::of_requests(&headers).is_some_and(Limit::is_low) {
                    self.host
                        .log(LogLevel::Warn, "less than a tenth of the requests to Docker Hub's API remain");
                }
                Ok(listed)
            }
            // The page that was the last one is gone, since something was deleted meanwhile.
            Err(ProtocolError::NotFound { .. }) if at.page > 1 => {
                Ok(Paged { next: None, results: Vec::new() })
            }
            Err(error) => Err(error),
        }
    }
}

impl Place {
    pub(crate) fn first(namespaces: Namespaces, size: u32) -> Self {
        Self { at: Numbered::first(size, MAX_PAGE), namespaces }
    }

    /// The beginning of the next namespace.
    pub(crate) fn after_namespace(&self) -> Option<Self> {
        Some(Self { at: Numbered { page: 1, ..self.at }, namespaces: self.namespaces.following()? })
    }

    /// Reads what a place was written as; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (at, namespaces) = text.rsplit_once('/')?;
        Some(Self { at: Numbered::parse(at, MAX_PAGE)?, namespaces: Namespaces::parse(namespaces)? })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.at, self.namespaces)
    }
}

fn paged(mut url: Url, at: Numbered) -> Url {
    let pairs = [("page", at.page.to_string()), ("page_size", at.size.to_string())];
    url.query_pairs_mut().extend_pairs(pairs);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_a_cursor_and_nothing_else_is_one() {
        let place = Place::first(Namespaces::new(["acme", "globex"]).unwrap(), 1000);
        assert_eq!(place.to_string(), "1/100/acme,globex");
        assert_eq!(Place::parse("1/100/acme,globex"), Some(place));
        for text in ["", "1/100", "1/100/", "1/101/acme", "0/100/acme", "1/100/a/b", "1/100/../acme"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
