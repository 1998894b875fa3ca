//! What the registry has beside `/v2/` ("GitLab Container Registry HTTP API V1").

use std::sync::PoisonError;

use regent_distribution::{Error as ProtocolError, PageQuery, Scope, Subject, next_cursor, parse_rfc3339};
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::transport::{Class, Fault as _, Request};
use regent_plugin_api::url::Url;
use regent_plugin_api::{Page, TagDetail};
use serde::Deserialize;

use crate::Gitlab;

/// "Must be a positive integer between `1` and `1000` (inclusive)."
pub(crate) const MAX_PAGE: u32 = 1000;

#[derive(Debug, Deserialize)]
struct ListedTag {
    name: String,
    digest: String,
    #[serde(default)]
    size_bytes: Option<i64>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    /// The later of the two; older versions leave it out.
    #[serde(default)]
    published_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ListedRepository {
    path: String,
}

impl Gitlab {
    /// A page of tags with what the registry knows of them; `None` if it has no such listing.
    pub(crate) async fn tags_of(
        &self,
        repository: &RepositoryName,
        query: &PageQuery,
    ) -> Result<Option<Page<TagDetail>>, ProtocolError> {
        if self.extended() == Some(false) {
            return Ok(None);
        }
        let url = query.on(self.url(&["repositories"], repository, &["tags", "list", ""]))?;
        let subject = Subject::Tags(repository.clone());
        let scope = Scope::pull(repository);
        let listed = self.registry.fetch_json::<Vec<ListedTag>>(url, &scope, &subject).await;
        match listed {
            Ok((tags, headers)) => {
                let items = tags.into_iter().filter_map(ListedTag::into_detail).collect();
                Ok(Some(Page::new(items, next_cursor(&headers, &subject)?)))
            }
            // No such repository, or no such listing.
            Err(error) if error.class() == Class::Absent && !self.ask_extended().await? => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A page of the repositories with tags below a path.
    pub(crate) async fn repositories_below(
        &self,
        path: &RepositoryName,
        query: &PageQuery,
    ) -> Result<(Vec<String>, Option<String>), ProtocolError> {
        let url = query.on(self.url(&["repository-paths"], path, &["repositories", "list", ""]))?;
        // For the path itself, and for all below.
        let scope = Scope::of([format!("repository:{path}:pull"), format!("repository:{path}/*:pull")]);
        let (listed, headers): (Vec<ListedRepository>, _) =
            self.registry.fetch_json(url, &scope, &Subject::Catalog).await?;
        let next = next_cursor(&headers, &Subject::Catalog)?;
        Ok((listed.into_iter().map(|repository| repository.path).collect(), next))
    }

    /// All paths end with a slash: "strict slash".
    fn url(&self, front: &[&str], name: &RepositoryName, rest: &[&str]) -> Url {
        let name: Vec<&str> = name.as_str().split('/').collect();
        let parts = [&["gitlab", "v1"], front, &name, rest];
        self.registry.endpoint().below(parts.into_iter().flatten().copied())
    }

    fn extended(&self) -> Option<bool> {
        *self.extended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the registry has this API: "404 Not Found: … the metadata database is disabled. Others: the registry does not implement
    /// this API". Asked once.
    async fn ask_extended(&self) -> Result<bool, ProtocolError> {
        if let Some(known) = self.extended() {
            return Ok(known);
        }
        let url = self.registry.endpoint().below(["gitlab", "v1", ""]);
        let asked = self.registry.fetch(Request::get(url), &Scope::none(), &Subject::Registry).await?;
        let extended = asked.status.is_success();
        *self.extended.lock().unwrap_or_else(PoisonError::into_inner) = Some(extended);
        Ok(extended)
    }
}

impl ListedTag {
    fn into_detail(self) -> Option<TagDetail> {
        let times = [self.published_at, self.updated_at, self.created_at];
        Some(TagDetail {
            tag: self.name.parse().ok()?,
            digest: self.digest.parse().ok()?,
            pushed: times.into_iter().flatten().find_map(|time| parse_rfc3339(&time)),
            size_bytes: self.size_bytes.and_then(|size| u64::try_from(size).ok()),
        })
    }
}
