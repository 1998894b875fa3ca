//! The list of repositories, in whichever of Harbor's ways the account is allowed.

use regent_distribution::{Error as ProtocolError, PageQuery, Scope, Subject};
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::transport::{Class, Fault, Request};
use regent_plugin_api::url::Url;
use regent_plugin_api::{Error, LogLevel, Numbered, Page, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::place::{MAX_PAGE, Place};
use crate::{Harbor, is_refusal};

type Protocol<T> = std::result::Result<T, ProtocolError>;

/// The most requests for one page: projects may be empty, and a call has a deadline.
const MAX_REQUESTS: u32 = 20;

/// A page of Harbor's API.
pub(crate) struct Listed<T> {
    pub(crate) elements: Vec<T>,
    /// Whether there are further pages.
    pub(crate) more: bool,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

impl Harbor {
    /// The first page, in the first way that is allowed.
    ///
    /// For robots the projects come first: older versions show them public ones only at `/repositories`, and do not
    /// say that anything is missing.
    pub(crate) async fn list_from_start(&self, size: u32) -> Result<Page<RepositoryName>> {
        let at = Numbered::first(size, MAX_PAGE);
        let all = Place::All(at);
        let projects = Place::Projects { index: 0, at };
        let catalog = Place::Catalog { query: None, size: at.size };
        let ways = if self.prefix.is_some() {
            vec![all, catalog]
        } else if self.is_user().await? {
            vec![all, projects, catalog]
        } else {
            vec![projects, all, catalog]
        };
        let mut refusal = None;
        for way in &ways {
            match self.list(way, size).await {
                // Nothing, after a refusal, is no answer: whoever asks would take the registry for empty.
                Ok(page) if refusal.is_some() && page.items.is_empty() && page.next.is_none() => {}
                Ok(page) => return Ok(page),
                Err(error) if is_refusal(&error) || error.class() == Class::Absent => {
                    refusal.get_or_insert(error);
                }
                Err(ProtocolError::CatalogUnsupported { .. }) => {} // no better reason than the one before
                Err(error) => return Err(error.into()),
            }
        }
        Err(match refusal {
            Some(error) => self.explained(error, "list repositories", "List Repository").await,
            None => Error::bad_answer("harbor offers no list of its repositories"),
        })
    }

    /// One page from here; project by project it has as many as are wanted, if that takes no more than some requests.
    pub(crate) async fn list(&self, place: &Place, wanted: u32) -> Protocol<Page<RepositoryName>> {
        match place {
            Place::All(at) => self.list_all(*at).await,
            Place::Projects { index, at } => self.list_by_project(*index, *at, wanted).await,
            Place::Catalog { query, size } => self.list_catalog(query.clone(), *size).await,
        }
    }

    async fn list_all(&self, at: Numbered) -> Protocol<Page<RepositoryName>> {
        let project = self.prefix.as_ref().and_then(|prefix| prefix.as_str().split('/').next());
        let list = self.project_page(project, at).await?;
        let next = list.more.then(|| Place::All(at.following()).to_string());
        Ok(Page::new(self.names(list.elements), next))
    }

    /// Walks over projects until there is a page's worth.
    async fn list_by_project(&self, from: u32, at: Numbered, wanted: u32) -> Protocol<Page<RepositoryName>> {
        let (mut index, mut at) = (from, at);
        let (mut items, mut refusal) = (Vec::new(), None);
        let start = (from, at.page) == (0, 1);
        let mut requests = 0;
        loop {
            let url = self.api.endpoint().below(["api", "v2.0", "projects"]);
            let url = with(url, &[("with_detail", "false"), ("sort", "name")]);
            let subject = Subject::Other("the list of projects".to_owned());
            let page = Numbered { page: index / MAX_PAGE + 1, size: MAX_PAGE };
            let projects = self.numbered::<Named>(url, page, &subject).await?;
            let known = (index % MAX_PAGE) as usize;
            let mut rest = projects.elements.iter().skip(known).peekable();
            while let Some(project) = rest.next() {
                loop {
                    requests += 1;
                    let more = match self.project_page(Some(&project.name), at).await {
                        Ok(list) => {
                            items.extend(self.names(list.elements));
                            list.more
                        }
                        // One project that is closed to the account, or is gone by now, does not close the others.
                        Err(error) if is_refusal(&error) || error.class() == Class::Absent => {
                            let why = "its repositories are left out: grant the permission List Repository";
                            self.host
                                .log(LogLevel::Warn, format!("project {}: {error}; {why}", project.name));
                            refusal.get_or_insert(error);
                            false
                        }
                        Err(error) => return Err(error),
                    };
                    if more {
                        at = at.following();
                    } else {
                        index = index.saturating_add(1);
                        at = Numbered::first(at.size, MAX_PAGE);
                    }
                    let is_end = !more && !projects.more && rest.peek().is_none();
                    if !is_end && (items.len() >= wanted.max(1) as usize || requests >= MAX_REQUESTS) {
                        return Ok(Page::new(items, Some(Place::Projects { index, at }.to_string())));
                    }
                    if !more {
                        break;
                    }
                }
            }
            if !projects.more {
                break;
            }
        }
        match refusal {
            Some(refusal) if start && items.is_empty() => Err(refusal),
            _ => Ok(Page::only(items)),
        }
    }

    /// `/v2/_catalog` with Basic, there being no token for it; for administrators, and robots with the right to it.
    async fn list_catalog(&self, query: Option<String>, size: u32) -> Protocol<Page<RepositoryName>> {
        let query = PageQuery { n: Some(size), after: query };
        let page = self.api.catalog(&query, &Scope::none()).await?;
        let next = page.next.map(|query| Place::Catalog { query: Some(query), size }.to_string());
        Ok(Page::new(page.items.into_iter().filter(|name| self.is_wanted(name)).collect(), next))
    }

    /// A page of a project's repositories, or of all.
    async fn project_page(&self, project: Option<&str>, at: Numbered) -> Protocol<Listed<Named>> {
        let endpoint = self.api.endpoint();
        let (url, subject) = match project {
            Some(project) => (
                endpoint.below(["api", "v2.0", "projects", project, "repositories"]),
                Subject::Other(format!("the repositories of project {project}")),
            ),
            None => (endpoint.below(["api", "v2.0", "repositories"]), Subject::Catalog),
        };
        self.numbered(with(url, &[("sort", "name")]), at, &subject).await
    }

    /// A page of the API by its number. The `Link` header is of no use: from the second page on its query is not
    /// encoded.
    pub(crate) async fn numbered<T: DeserializeOwned>(
        &self,
        url: Url,
        at: Numbered,
        subject: &Subject,
    ) -> Protocol<Listed<T>> {
        let url = with(url, &[("page", &at.page.to_string()), ("page_size", &at.size.to_string())]);
        let (elements, headers): (Option<Vec<T>>, _) =
            self.api.fetch_json(url, &Scope::none(), subject).await?;
        let elements = elements.unwrap_or_default(); // `null` is how an empty list is written
        let total = headers.get("x-total-count").and_then(|v| v.to_str().ok()?.trim().parse::<u64>().ok());
        let more = match total {
            Some(total) => !elements.is_empty() && at.is_before_end(total),
            None => elements.len() >= at.size as usize,
        };
        Ok(Listed { elements, more })
    }

    /// Whether the account is a user. Robots get 401, 403 or 412 here, depending on the version.
    async fn is_user(&self) -> Result<bool> {
        let url = self.api.endpoint().below(["api", "v2.0", "users", "current"]);
        let subject = Subject::Other("the account".to_owned());
        match self.api.fetch(Request::get(url), &Scope::none(), &subject).await {
            Ok(response) => Ok(response.status.is_success()),
            Err(error) if is_refusal(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The names among them that the specification knows and the connection wants.
    fn names(&self, listed: Vec<Named>) -> Vec<RepositoryName> {
        listed.into_iter().filter_map(|r| r.name.parse().ok()).filter(|name| self.is_wanted(name)).collect()
    }
}

fn with(mut url: Url, pairs: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(pairs);
    url
}
