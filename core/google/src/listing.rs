//! The list of repositories, by whichever way is allowed.

use regent_distribution::{Error as ProtocolError, Page, PageQuery, Scope, Subject, is_within};
use regent_oci::RepositoryName;
use regent_transport::{Class, Fault as _};
use url::form_urlencoded;

use crate::artifact_registry::Listed;
use crate::error::Error;
use crate::place::Parent;
use crate::registry::{GoogleRegistry, ROLE, enable_in, needs_enabling, refused_list};
use crate::walk::walk;

type Protocol<T> = Result<T, ProtocolError>;

/// The most repositories that are read for one page: they may be empty, and a call has a deadline.
const MAX_REQUESTS: u32 = 20;
/// Items of a page of the catalog. It has no documented limit.
const CATALOG_PAGE: u32 = 1000;

/// A place in the list, on one of its ways. All state is in there: the next page may be asked of another process.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Api(ApiPlace),
    /// Behind this name; at the root without one.
    Walk(Option<RepositoryName>),
    /// The query of the page.
    Catalog(Option<String>),
}

/// A place in what the API lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ApiPlace {
    /// Token of the page of repositories; none for the first.
    page: Option<String>,
    /// The repository that is being read, or with which one is done.
    repository: Option<String>,
    /// Token of the page of its images; none if it has been read to its end.
    images: Option<String>,
}

impl ApiPlace {
    /// Reads a query such as `repository=apps&images=token`.
    fn parse(text: &str) -> Option<Self> {
        let mut at = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let field = match &*name {
                "page" => &mut at.page,
                "repository" => &mut at.repository,
                "images" => &mut at.images,
                _ => return None,
            };
            *field = Some(value.into_owned());
        }
        Some(at)
    }

    fn text(&self) -> String {
        let fields = [("page", &self.page), ("repository", &self.repository), ("images", &self.images)];
        let mut query = form_urlencoded::Serializer::for_suffix("api/".to_owned(), 4);
        for (name, value) in fields {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    /// The first repository of a page that one is not done with. They are sorted, so that what is new or gone
    /// meanwhile moves no place.
    fn ahead_in<'a>(&self, page: &'a Listed<String>) -> Option<&'a String> {
        page.items.iter().find(|&id| self.repository.as_ref().is_none_or(|done| id > done))
    }

    /// Whether nothing is behind it, as far as that is known.
    fn is_end_of(&self, known: Option<&Listed<String>>) -> bool {
        let is_last = |page: &Listed<String>| page.next().is_none() && self.ahead_in(page).is_none();
        self.images.is_none() && known.is_some_and(is_last)
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (way, rest) = text.split_once('/')?;
        match way {
            "api" => ApiPlace::parse(rest).map(Self::Api),
            "walk" => rest.parse().ok().map(|name| Self::Walk(Some(name))),
            "catalog" => Some(Self::Catalog(Some(rest.to_owned()))),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Api(at) => at.text(),
            Self::Walk(name) => format!("walk/{}", name.as_ref().map_or("", RepositoryName::as_str)),
            Self::Catalog(query) => format!("catalog/{}", query.as_deref().unwrap_or_default()),
        }
    }
}

impl GoogleRegistry {
    /// A page of the repositories that the connection keeps to.
    ///
    /// # Errors
    /// [`Error::RightMissing`]; [`Error::Protocol`].
    pub(crate) async fn repositories(
        &self,
        size: u32,
        after: Option<&str>,
    ) -> Result<Page<RepositoryName>, Error> {
        let Some(after) = after else {
            let (page, refusal) = self.list_from_start(size).await?;
            if let Some(refusal) = refusal {
                (self.log)(format!("{refusal}; until then repositories are listed in a slower way"));
            }
            return Ok(page);
        };
        let place = Place::parse(after).ok_or(ProtocolError::CursorInvalid)?;
        self.list(&place, size).await.map_err(|error| self.explained(error))
    }

    /// The first page, by the first way that is allowed; and why that is not the best one.
    pub(crate) async fn list_from_start(
        &self,
        size: u32,
    ) -> Result<(Page<RepositoryName>, Option<Error>), Error> {
        let ways = [Place::Api(ApiPlace::default()), Place::Walk(None), Place::Catalog(None)];
        let mut refusal = None;
        for way in &ways {
            match self.list(way, size).await {
                // Nothing, after a refusal, is no answer: whoever asks would take the registry for empty.
                Ok(page) if refusal.is_some() && page.items.is_empty() && page.next.is_none() => {}
                Ok(page) => return Ok((page, refusal.map(|error| self.explained(error)))),
                Err(error) if matches!(error.class(), Class::Denied | Class::Absent) => {
                    refusal.get_or_insert(error);
                }
                // A listing that Google does not offer redirects to its documentation.
                Err(error)
                    if refusal.is_some()
                        && matches!(error.class(), Class::Unsupported | Class::Refused | Class::Corrupt) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let refusal =
            refusal.unwrap_or(ProtocolError::NotFound { subject: Subject::Catalog, registry_code: None });
        Err(self.explained(refusal))
    }

    async fn list(&self, place: &Place, size: u32) -> Protocol<Page<RepositoryName>> {
        match place {
            Place::Api(at) => self.list_by_api(at.clone(), size).await,
            Place::Walk(after) => {
                let walked = walk(&self.registry, &self.prefix, after.as_ref(), size).await?;
                let next = walked.last.map(|name| Place::Walk(Some(name)).text());
                Ok(Page { items: walked.items, next, skipped: 0 })
            }
            Place::Catalog(query) => {
                let query = PageQuery { n: Some(CATALOG_PAGE), after: query.clone() };
                let Page { mut items, next, skipped } =
                    self.registry.catalog(&query, &Scope::catalog()).await?;
                items.retain(|name| is_within(name, Some(&self.prefix)));
                let next = next.map(|query| Place::Catalog(Some(query)).text());
                Ok(Page { items, next, skipped })
            }
        }
    }

    async fn list_by_api(&self, at: ApiPlace, size: u32) -> Protocol<Page<RepositoryName>> {
        let place = self.layout.place(&self.prefix).ok_or(ProtocolError::CursorInvalid)?;
        let Some(parent) = place.repository else {
            return self.list_project(&place.project, at, size).await;
        };
        let listed = self.api.images(&parent, size, at.images.as_deref()).await?;
        let next = listed.next().map(|images| Place::Api(ApiPlace { images: Some(images), ..at }).text());
        Ok(Page { items: self.names(&parent, &listed).collect(), next, skipped: 0 })
    }

    /// Reads one repository of the project after the other until there is a page's worth.
    async fn list_project(
        &self,
        project: &str,
        mut at: ApiPlace,
        size: u32,
    ) -> Protocol<Page<RepositoryName>> {
        let is_start = at == ApiPlace::default();
        let (mut items, mut refusal, mut requests) = (Vec::new(), None, 0);
        let mut known = None;
        loop {
            let (id, token) = match (at.images.take(), at.repository.take()) {
                (Some(token), Some(id)) => (id, Some(token)),
                (_, done) => {
                    at.repository = done;
                    match self.following(project, &mut at, &mut known).await? {
                        Some(id) => (id, None),
                        None => break,
                    }
                }
            };
            let parent = self.layout.parent(project, self.prefix.as_str(), &id);
            match self.api.images(&parent, size, token.as_deref()).await {
                Ok(listed) => {
                    items.extend(self.names(&parent, &listed));
                    at.images = listed.next();
                }
                // One repository that is closed, or is gone by now, does not close the others.
                Err(error) if matches!(error.class(), Class::Denied | Class::Absent) => {
                    let shown = refused_list(error.clone(), &parent);
                    (self.log)(format!("{shown}; the images of {} are left out", parent.names));
                    refusal.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
            at.repository = Some(id);
            requests += 1;
            let is_full = items.len() >= size as usize || requests >= MAX_REQUESTS;
            if is_full && !at.is_end_of(known.as_ref()) {
                return Ok(Page { items, next: Some(Place::Api(at).text()), skipped: 0 });
            }
        }
        match refusal {
            Some(refusal) if is_start && items.is_empty() => Err(refusal),
            _ => Ok(Page { items, next: None, skipped: 0 }),
        }
    }

    /// The repository behind the one that `at` is done with, from as many pages as it takes. `known` is the page that `at` is on.
    async fn following(
        &self,
        project: &str,
        at: &mut ApiPlace,
        known: &mut Option<Listed<String>>,
    ) -> Protocol<Option<String>> {
        loop {
            let page = match known.take() {
                Some(page) => page,
                None => self.api.repositories(project, self.layout.location(), at.page.as_deref()).await?,
            };
            let (ahead, next) = (at.ahead_in(&page).cloned(), page.next());
            *known = Some(page);
            match (ahead, next) {
                (Some(id), _) => return Ok(Some(id)),
                (None, Some(token)) => {
                    *at = ApiPlace { page: Some(token), ..ApiPlace::default() };
                    *known = None;
                }
                (None, None) => return Ok(None),
            }
        }
    }

    /// The names among these images that the specification knows and the connection wants.
    fn names<'a>(
        &'a self,
        parent: &'a Parent,
        images: &'a Listed<String>,
    ) -> impl Iterator<Item = RepositoryName> + 'a {
        let names = images.items.iter().filter_map(|image| parent.name(image));
        names.filter(|name| is_within(name, Some(&self.prefix)))
    }

    /// A refusal to list with what to grant.
    fn explained(&self, error: ProtocolError) -> Error {
        let ProtocolError::PermissionMissing { registry_code, .. } = &error else { return error.into() };
        match self.layout.place(&self.prefix) {
            Some(crate::place::Place { repository: Some(parent), .. }) => refused_list(error, &parent),
            Some(place) if needs_enabling(registry_code.as_ref()) => {
                Error::RightMissing { what: error.to_string(), advice: enable_in(&place.project) }
            }
            place => Error::RightMissing {
                what: error.to_string(),
                advice: format!(
                    "grant {ROLE} in project {}, or on a repository and name that in the registryBase",
                    place.map_or_else(String::new, |place| place.project)
                ),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_written_and_read() {
        let at =
            ApiPlace { page: None, repository: Some("apps".to_owned()), images: Some("a/b==".to_owned()) };
        let rows = [
            (Place::Api(ApiPlace::default()), "api/"),
            (Place::Api(at), "api/repository=apps&images=a%2Fb%3D%3D"),
            (Place::Walk(Some("acme/apps/a".parse().unwrap())), "walk/acme/apps/a"),
            (Place::Catalog(Some("last=a%2Fb&n=5".to_owned())), "catalog/last=a%2Fb&n=5"),
        ];
        for (place, text) in rows {
            assert_eq!(place.text(), text);
            assert_eq!(Place::parse(text), Some(place), "{text}");
        }
    }

    #[test]
    fn a_text_that_no_page_gave_is_no_place() {
        for text in ["", "api", "api/7", "api/page=1&other=2", "walk/", "walk/A", "walk/../x", "other/1"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
