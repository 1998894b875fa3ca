//! Answers of the API (`registries_list`, `registries_list_repositoriesV2`, `registries_list_repositoryTags`).

use std::fmt;

use regent_distribution::parse_rfc3339;
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::url::Url;
use regent_plugin_api::{Namespaces, TagDetail};
use serde::Deserialize;

/// "maximum: 200", says the API of `per_page`.
pub(crate) const MAX_PAGE: u32 = 200;

#[derive(Debug, Deserialize)]
pub(crate) struct RegistryList {
    #[serde(default)]
    pub(crate) registries: Vec<Registry>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Registry {
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RepositoryList {
    #[serde(default)]
    repositories: Option<Vec<Repository>>,
    #[serde(default)]
    links: Links,
}

#[derive(Debug, Deserialize)]
struct Repository {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
struct Links {
    #[serde(default)]
    pages: Option<Pages>,
}

#[derive(Debug, Default, Deserialize)]
struct Pages {
    #[serde(default)]
    next: Option<String>,
}

impl RepositoryList {
    /// The query of the next page. Only that is taken from the link, which may lead to a deprecated path.
    pub(crate) fn next_query(&self) -> Option<String> {
        let next = self.links.pages.as_ref()?.next.as_deref()?;
        Url::parse(next).ok()?.query().filter(|query| !query.is_empty()).map(str::to_owned)
    }

    /// Names as they are in the paths of `/v2/`; those that the specification has no way to say are left out.
    pub(crate) fn names(self, registry: &str) -> Vec<RepositoryName> {
        let all = self.repositories.unwrap_or_default().into_iter();
        all.filter_map(|repository| format!("{registry}/{}", repository.name).parse().ok()).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct TagList {
    #[serde(default)]
    pub(crate) tags: Vec<Tagged>,
    pub(crate) meta: Meta,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Meta {
    pub(crate) total: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tagged {
    tag: String,
    manifest_digest: String,
    #[serde(default)]
    compressed_size_bytes: Option<u64>,
    #[serde(default)]
    updated_at: Option<String>,
}

impl Tagged {
    pub(crate) fn into_detail(self) -> Option<TagDetail> {
        Some(TagDetail {
            tag: self.tag.parse().ok()?,
            digest: self.manifest_digest.parse().ok()?,
            pushed: self.updated_at.as_deref().and_then(parse_rfc3339),
            size_bytes: self.compressed_size_bytes,
        })
    }
}

/// A place in the list of repositories: registries still to be listed, and the query of a page of the first of them; none for
/// its first page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) registries: Namespaces,
    pub(crate) query: Option<String>,
}

impl Place {
    /// Where the list of these registries begins.
    pub(crate) fn start(registries: Namespaces) -> Self {
        Self { registries, query: None }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (names, query) = text.split_once('?').map_or((text, None), |(names, query)| (names, Some(query)));
        Some(Self { registries: Namespaces::parse(names)?, query: query.map(str::to_owned) })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.registries)?;
        self.query.as_ref().map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_written_and_no_other_text_is_one() {
        let registries = || Namespaces::new(["team-2", "team"]).unwrap();
        let rows = [
            Place::start(registries()),
            Place { registries: registries(), query: Some("page=2&page_token=a%2Fb".to_owned()) },
        ];
        for place in rows {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
        for text in ["", "?page=2", "Team", "a/b", "a b"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn of_a_link_only_the_query_is_taken() {
        let rows = [
            (
                r#"{"links":{"pages":{"next":"https://x/v2/registry/a/repositoriesV2?page=2"}}}"#,
                Some("page=2"),
            ),
            (r#"{"links":{"pages":{"next":"https://x/v2"}}}"#, None),
            (r#"{"links":{"pages":{}}}"#, None),
            (r#"{"links":{}}"#, None),
            ("{}", None),
        ];
        for (text, expected) in rows {
            let list: RepositoryList = serde_json::from_str(text).unwrap();
            assert_eq!(list.next_query().as_deref(), expected, "{text}");
        }
    }
}
