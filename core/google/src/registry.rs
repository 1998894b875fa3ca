//! A connection to one registry of Google's.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use regent_distribution::{
    Authorized, Endpoint, Error as ProtocolError, Freshness, Page, PathMeaning, RegistryCode, Session,
};
use regent_oci::{RepositoryName, Tag};
use regent_plugin_api::TagDetail;
use regent_transport::Transport;
use secrecy::SecretString;

use crate::access_token::parsed;
use crate::artifact_registry::{self, ArtifactRegistry, MAX_PAGE};
use crate::credentials::Identity;
use crate::error::Error;
use crate::place::{Layout, Parent};
use crate::tag_list::TagList;

/// The role that has every right that is needed here.
pub(crate) const ROLE: &str = "roles/artifactregistry.reader";
/// The most repositories that are remembered to be too long for `/v2/`.
const MAX_LONG: usize = 1000;
/// Cursors of tags begin with these: the way that they are on.
const OVER_V2: &str = "v2/";
const OVER_API: &str = "api/";

/// Which of the two registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `LOCATION-docker.pkg.dev`.
    ArtifactRegistry,
    /// `gcr.io`, `us.gcr.io`, `eu.gcr.io` and `asia.gcr.io`.
    ContainerRegistry,
}

/// What a connection says.
#[derive(Debug)]
pub(crate) struct Login<'a> {
    /// `host[/project[/…]]`.
    pub(crate) base: &'a str,
    /// `_json_key`, `_json_key_base64`, `oauth2accesstoken` or `_token`.
    pub(crate) username: Option<&'a str>,
    /// The key, or the token.
    pub(crate) password: &'a SecretString,
    /// Whether the registry may be called over plain HTTP.
    pub(crate) plain_http: bool,
}

/// Writes a line for the operator.
pub(crate) type Log = Box<dyn Fn(String) + Send + Sync>;

/// A connection. Its calls may be made side by side.
pub(crate) struct GoogleRegistry {
    pub(crate) registry: Session,
    pub(crate) api: ArtifactRegistry,
    pub(crate) layout: Layout,
    /// What listings keep to: a project at least.
    pub(crate) prefix: RepositoryName,
    pub(crate) log: Log,
    /// Repositories that `/v2/` shows a part of. A std lock: held for a look, never over an await.
    long: Mutex<HashSet<RepositoryName>>,
}

impl GoogleRegistry {
    /// Reads the settings; no request is made. `log` writes a line for the operator.
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::KeyUnusable`].
    pub(crate) fn connect(
        family: Family,
        login: &Login<'_>,
        transport: Arc<dyn Transport>,
        log: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let fail = |reason: String| Error::Setting { name: "registryBase", reason };
        let (endpoint, prefix) =
            Endpoint::from_base(login.base, login.plain_http, PathMeaning::RepositoryPrefix)
                .map_err(|e| fail(e.to_string()))?;
        let host = endpoint.host();
        let (layout, realm_host, form) = match family {
            Family::ArtifactRegistry => {
                let form = "LOCATION-docker.pkg.dev[/PROJECT[/REPOSITORY]]";
                (Layout::of_artifact_registry(&host), None, form)
            }
            // The regional names send to the token service of the first.
            Family::ContainerRegistry => {
                (Layout::of_container_registry(&host), Some("gcr.io"), "[us.|eu.|asia.]gcr.io[/PROJECT]")
            }
        };
        let layout = layout.ok_or_else(|| fail(format!("has a host that is not of the form {form}")))?;
        let identity = Identity::new(login.username, login.password)?;
        let prefix = match prefix {
            Some(prefix) => prefix,
            None => project_names(&identity).ok_or_else(|| {
                fail(format!("names no project, and neither do the credentials; write {form} with a project"))
            })?,
        };
        if layout.place(&prefix).is_none() {
            return Err(fail(format!("names a domain without a project; write {form}")));
        }
        let api = Endpoint::new(parsed("https://artifactregistry.googleapis.com/")?)?;
        let at_registry = identity.at_registry(transport.clone(), &endpoint, realm_host);
        let at_api = identity.at_api(transport.clone(), artifact_registry::HOST)?;
        Ok(Self {
            registry: Session::new(transport.clone(), endpoint, at_registry),
            api: ArtifactRegistry(Session::new(transport, api, at_api)),
            layout,
            prefix,
            log: Box::new(log),
            long: Mutex::default(),
        })
    }

    /// Where `/v2/` is.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.registry.endpoint()
    }

    /// Headers to read from a repository.
    ///
    /// # Errors
    /// [`Error::RightMissing`], [`Error::Protocol`].
    pub(crate) async fn authorization(
        &self,
        repository: &RepositoryName,
        freshness: Freshness,
    ) -> Result<Authorized, Error> {
        let authorized = self.registry.authorization(repository, freshness).await;
        authorized.map_err(|error| self.refused_pull(error, repository))
    }

    /// A page of a repository's tags: all of them, up to 10,000; `size` at a time beyond.
    ///
    /// # Errors
    /// [`Error::RightMissing`], [`Error::Protocol`].
    pub(crate) async fn tags(
        &self,
        repository: &RepositoryName,
        size: u32,
        after: Option<&str>,
    ) -> Result<Page<Tag>, Error> {
        match self.tag_list(repository, after).await? {
            TagPage::Read(list, next) => Ok(page(list.tags().collect(), OVER_V2, next)),
            TagPage::InApi(token) => {
                let (parent, image) = self.image(repository)?;
                let listed = self.api.tags(&parent, &image, size, token.as_deref()).await;
                let listed = listed.map_err(|error| refused_list(error, &parent))?;
                let next = listed.next();
                Ok(page(listed.items, OVER_API, next))
            }
        }
    }

    /// A page of a repository's tags with what is known of each, as [`GoogleRegistry::tags`]. `None` if the registry
    /// does not say.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn tag_details(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
    ) -> Result<Option<Page<TagDetail>>, Error> {
        match self.tag_list(repository, after).await? {
            TagPage::Read(list, next) => Ok(list.tagged().map(|items| page(items, OVER_V2, next))),
            TagPage::InApi(token) => {
                let (parent, image) = self.image(repository)?;
                let listed = self.api.tagged(&parent, &image, MAX_PAGE, token.as_deref()).await;
                let listed = listed.map_err(|error| refused_list(error, &parent))?;
                let next = listed.next();
                Ok(Some(page(listed.items, OVER_API, next)))
            }
        }
    }

    /// The page that is asked for, if it is one of `/v2/`.
    async fn tag_list(&self, repository: &RepositoryName, after: Option<&str>) -> Result<TagPage, Error> {
        let query = match after {
            None if self.long().contains(repository) => return Ok(TagPage::InApi(None)),
            None => None,
            Some(after) => match (after.strip_prefix(OVER_V2), after.strip_prefix(OVER_API)) {
                (Some(query), _) => Some(query),
                (_, Some(token)) => return Ok(TagPage::InApi(Some(token.to_owned()))),
                (None, None) => return Err(ProtocolError::CursorInvalid.into()),
            },
        };
        let fetched = TagList::fetch(&self.registry, repository, query).await;
        let (list, next) = fetched.map_err(|error| self.refused_pull(error, repository))?;
        if query.is_none() && next.is_none() && list.may_be_cut() {
            let mut long = self.long();
            if long.len() >= MAX_LONG {
                long.clear();
            }
            long.insert(repository.clone());
            return Ok(TagPage::InApi(None));
        }
        Ok(TagPage::Read(list, next))
    }

    /// What a name stands for in the API.
    fn image(&self, repository: &RepositoryName) -> Result<(Parent, String), Error> {
        let place = self.layout.place(repository).and_then(|place| Some((place.repository?, place.image?)));
        place.ok_or_else(|| {
            let subject = regent_distribution::Subject::Tags(repository.clone());
            ProtocolError::NotFound { subject, registry_code: None }.into()
        })
    }

    fn long(&self) -> std::sync::MutexGuard<'_, HashSet<RepositoryName>> {
        self.long.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A refusal over `/v2/` with what to grant.
    pub(crate) fn refused_pull(&self, error: ProtocolError, repository: &RepositoryName) -> Error {
        let ProtocolError::PermissionMissing { .. } = &error else { return error.into() };
        let what = format!("the credentials may not read {repository}, or it is not there");
        let whole = self.layout.place(repository).and_then(|place| place.repository);
        let advice = match whole {
            Some(parent) => grant_on(&parent),
            None => format!("names here begin with a project and a repository; check {repository}"),
        };
        Error::RightMissing { what, advice }
    }
}

/// Where a page of tags is.
enum TagPage {
    /// Here, from `/v2/`, with the query of the next.
    Read(TagList, Option<String>),
    /// In the API, behind this token.
    InApi(Option<String>),
}

/// A refusal by the API with what to grant.
pub(crate) fn refused_list(error: ProtocolError, parent: &Parent) -> Error {
    let ProtocolError::PermissionMissing { registry_code, .. } = &error else { return error.into() };
    let advice =
        if needs_enabling(registry_code.as_ref()) { enable_in(&parent.project) } else { grant_on(parent) };
    Error::RightMissing { what: error.to_string(), advice }
}

/// The project of the service account, as it stands in names.
fn project_names(identity: &Identity) -> Option<RepositoryName> {
    identity.project()?.replacen(':', "/", 1).parse().ok()
}

fn page<T>(items: Vec<T>, way: &str, next: Option<String>) -> Page<T> {
    Page { items, next: next.map(|next| format!("{way}{next}")), skipped: 0 }
}

/// Whether the API is not switched on in the project.
pub(crate) fn needs_enabling(code: Option<&RegistryCode>) -> bool {
    code.is_some_and(|code| code.as_str() == "SERVICE_DISABLED")
}

pub(crate) fn enable_in(project: &str) -> String {
    format!("enable the API {} in project {project}", artifact_registry::HOST)
}

fn grant_on(parent: &Parent) -> String {
    format!("grant {ROLE} on repository {} in project {}", parent.repository, parent.project)
}

impl fmt::Debug for GoogleRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoogleRegistry")
            .field("registry", &self.registry)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
