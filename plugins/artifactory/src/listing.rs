//! Lists of repositories: `_catalog` of one Docker repository of Artifactory, or of all that a server has.

use regent_distribution::{Error as ProtocolError, PageQuery, Scope, Subject, is_within};
use regent_plugin_api::http::StatusCode;
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::{Cursor, LogLevel, Page};
use serde::Deserialize;

use crate::{Artifactory, Protocol, lock};

/// The most names on a page. Artifactory states no limit; beyond some thousands an answer takes its time.
const MAX_PAGE: u32 = 1000;
/// The most requests for one page: repositories may be empty, and a call has a deadline.
pub(crate) const MAX_REQUESTS: usize = 20;
/// The ways to list, in a cursor.
const CATALOG: &str = "catalog";
const KEYS: &str = "keys";

/// A repository of Artifactory, of any type.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    key: String,
    #[serde(default)]
    package_type: String,
}

impl Artifactory {
    /// The first page: of the repository that the base is, or of all that are below it.
    pub(crate) async fn list_from_start(&self, size: u32) -> Protocol<Page<RepositoryName>> {
        match self.catalog(None, size).await {
            // Only where there is no catalog at all: with a repository's own host, names do not begin with a key.
            Err(refused) if self.key.is_none() && is_server(&refused) => {
                self.learn(true);
                match self.list_keys(None, size).await {
                    Ok(page) => Ok(page),
                    // No better reason than the one before.
                    Err(error) if error.class() == Class::Absent => Err(refused),
                    Err(error) => Err(error),
                }
            }
            listed => listed,
        }
    }

    /// The page that a cursor leads to.
    pub(crate) async fn list_from(&self, cursor: &Cursor, size: u32) -> Protocol<Page<RepositoryName>> {
        match cursor.way() {
            Some((CATALOG, query)) => self.catalog(Some(query.to_owned()), size).await,
            Some((KEYS, place)) => self.list_keys(Some(place), size).await,
            _ => Err(ProtocolError::CursorInvalid),
        }
    }

    async fn catalog(&self, after: Option<String>, size: u32) -> Protocol<Page<RepositoryName>> {
        let query = PageQuery { n: Some(size.clamp(1, MAX_PAGE)), after };
        let listed = self.registry.catalog(&query, &Scope::catalog()).await?;
        let is_wanted = |name: &RepositoryName| is_within(name, self.prefix.as_ref());
        let next = listed.next.map(|query| Cursor::on_way(CATALOG, query));
        Ok(Page { items: listed.items.into_iter().filter(is_wanted).collect(), next })
    }

    /// Walks over the server's Docker repositories, in the order of their keys, until there is a page's worth. A place is the key
    /// and the query of its next page, which is empty for its first.
    async fn list_keys(&self, place: Option<&str>, size: u32) -> Protocol<Page<RepositoryName>> {
        let n = size.clamp(1, MAX_PAGE);
        let (from, mut query) = match place {
            None => ("", ""),
            Some(place) => place.split_once('/').ok_or(ProtocolError::CursorInvalid)?,
        };
        let mut items = Vec::new();
        let (mut refusal, mut requests) = (None, 1);
        for key in self.keys().await?.into_iter().filter(|key| key.as_str() >= from) {
            let mut after = Some(query).filter(|query| !query.is_empty() && key == from).map(str::to_owned);
            query = "";
            loop {
                if items.len() >= n as usize || requests >= MAX_REQUESTS {
                    let place = format!("{key}/{}", after.unwrap_or_default());
                    return Ok(Page { items, next: Some(Cursor::on_way(KEYS, place)) });
                }
                requests += 1;
                let url = self.api.endpoint().below(["api", "docker", &key, "v2", "_catalog"]);
                let subject = Subject::Other(format!("the images of {key}"));
                let page = PageQuery { n: Some(n), after };
                let page = self
                    .api
                    .names::<RepositoryName>(url, &page, &Scope::none(), &subject, "repositories")
                    .await;
                match page {
                    Ok(page) => {
                        // A key in upper case can't stand in a name; nor could anyone pull by it.
                        items.extend(
                            page.items.iter().filter_map(|name| format!("{key}/{name}").parse().ok()),
                        );
                        after = page.next;
                    }
                    // One that is closed to the account, or whose upstream has no catalog, does not close the others.
                    Err(error) if crate::is_closed(&error) => {
                        self.host.log(LogLevel::Warn, format!("{error}: the images of {key} are left out"));
                        refusal.get_or_insert(error);
                        after = None;
                    }
                    Err(error) => return Err(error),
                }
                if after.is_none() {
                    break;
                }
            }
        }
        match refusal {
            Some(refusal) if items.is_empty() && place.is_none() => Err(refusal),
            _ => Ok(Page::only(items)),
        }
    }

    /// The keys of the repositories that hold images, sorted.
    async fn keys(&self) -> Protocol<Vec<String>> {
        let url = self.api.endpoint().below(["api", "repositories"]);
        let (listed, _): (Vec<Listed>, _) =
            self.api.fetch_json(url, &Scope::none(), &Subject::Catalog).await?;
        let holds_images = |repository: &Listed| {
            ["docker", "oci"].iter().any(|of| repository.package_type.eq_ignore_ascii_case(of))
        };
        let mut keys: Vec<String> = listed.into_iter().filter(holds_images).map(|r| r.key).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// Whether the base is a whole server, where the first part of a name is the key of a repository: it has no catalog of
    /// its own, while a repository's host has.
    pub(crate) async fn is_whole_server(&self) -> Protocol<bool> {
        let known = *lock(&self.whole_server);
        if let Some(known) = known {
            return Ok(known);
        }
        let is = match self.catalog(None, 1).await {
            Ok(_) => false,
            Err(error) if is_server(&error) => true,
            // It does not matter: nothing of it is open to the account.
            Err(error) if error.class() == Class::Denied => return Ok(false),
            Err(error) => return Err(error),
        };
        self.learn(is);
        Ok(is)
    }

    fn learn(&self, is_whole_server: bool) {
        *lock(&self.whole_server) = Some(is_whole_server);
    }
}

/// Whether there is no catalog at all.
fn is_server(error: &ProtocolError) -> bool {
    match error {
        ProtocolError::CatalogUnsupported { .. } => true,
        ProtocolError::UnexpectedStatus { status, .. } => *status == StatusCode::BAD_REQUEST,
        _ => false,
    }
}
