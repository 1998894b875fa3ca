//! Answers of the API (`registries_list`, `registries_list_repositoriesV2`, `registries_list_repositoryTags`).

use std::fmt;
use std::time::SystemTime;

use regent_plugin_api::TagDetail;
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::url::Url;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
        let pushed = self.updated_at.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
        Some(TagDetail {
            tag: self.tag.parse().ok()?,
            digest: self.manifest_digest.parse().ok()?,
            pushed: pushed.map(SystemTime::from),
            size_bytes: self.compressed_size_bytes,
        })
    }
}

/// A place in the list of repositories: a registry, and the query of its page; none for its first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) registry: String,
    pub(crate) query: Option<String>,
}

impl Place {
    /// Where a registry's list begins.
    pub(crate) fn start(registry: &(impl AsRef<str> + ?Sized)) -> Self {
        Self { registry: registry.as_ref().to_owned(), query: None }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (registry, query) =
            text.split_once('?').map_or((text, None), |(name, query)| (name, Some(query)));
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = !registry.is_empty() && registry.chars().all(fits);
        is_name.then(|| Self { registry: registry.to_owned(), query: query.map(str::to_owned) })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.registry)?;
        self.query.as_ref().map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_written_and_no_other_text_is_one() {
        let rows = [
            Place::start("team"),
            Place { registry: "team-2".to_owned(), query: Some("page=2&page_token=a%2Fb".to_owned()) },
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
