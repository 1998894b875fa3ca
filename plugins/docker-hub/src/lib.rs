//! Docker Hub: three hosts with two logins.
//!
//! `registry-1.docker.io` has the images, and no list of repositories; its tokens are issued by `auth.docker.io`.
//! `hub.docker.com` has the lists, with a login and a limit of its own. What the account may not see is left out of
//! lists without a word, so [`Driver::validate`] says what it can't know. Two planes with their logins, rights and limits,
//! and a walk over the account's namespaces, are why this is longer than most drivers.

#![forbid(unsafe_code)]

mod base;
mod limit;
mod listing;
mod login;

use std::sync::Arc;

use regent_distribution::{
    Authenticator, Credentials, Endpoint, Error as ProtocolError, FixedHeaders, Freshness, IssuedTokens,
    PageQuery, PathMeaning, Scope, Session, Subject,
};
use regent_oci::{Digest, MediaType, Reference, RepositoryName, Tag};
use regent_plugin_api::http::header::ACCEPT;
use regent_plugin_api::http::{HeaderValue, Method, StatusCode};
use regent_plugin_api::transport::{Class, Fault as _, Request};
use regent_plugin_api::{
    Access, Authorization, Check, Cursor, Driver, Error, Host, LogLevel, Namespaces, Numbered, Page,
    PageRequest, Result, Settings, TagDetail, Validation, first_repository,
};

use crate::limit::{Limit, RATE_LIMIT};
use crate::listing::{Listed, MAX_PAGE, Place};
use crate::login::{Account, Login};

const REGISTRY: &str = "registry-1.docker.io";
const TOKEN_SERVICE: &str = "auth.docker.io";
const API: &str = "hub.docker.com";
/// All tags come at once if no number is asked for; with one they come in pages.
const ALL_TAGS: u32 = 1000;
/// The repository that Docker keeps for looking at the limit of pulls ("Usage and limits", "Pull limit").
const LIMIT_PROBE: &str = "ratelimitpreview/test";

pub(crate) type Protocol<T> = std::result::Result<T, ProtocolError>;

struct DockerHub {
    host: Host,
    /// `hub.docker.com`.
    api: Session,
    /// `registry-1.docker.io`.
    registry: Session,
    account: Option<Account>,
    /// A namespace, or one repository of it, that listings keep to.
    prefix: Option<RepositoryName>,
}

regent_plugin_api::export_driver! {
    DockerHub,
    name: "docker-hub",
    summary: "Docker Hub",
    types: ["docker-hub", "DockerHub"],
    settings: [
        { name: "registryBase", required: false, secret: false, help: "docker.io[/namespace]; empty for the account's namespaces" },
        { name: "username", required: false, secret: false, help: "Docker ID, or the organization of an organization access token" },
        { name: "password", required: false, secret: true, help: "personal or organization access token, or the password" },
    ],
    egress: ["registry-1.docker.io", "auth.docker.io", "hub.docker.com"],
}

impl Driver for DockerHub {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let prefix = base::prefix(settings.base())?;
        let account = Account::of(&settings)?;
        let transport = Arc::new(host.clone());
        let (registry, api) = (endpoint(REGISTRY)?, endpoint(API)?);
        let credentials = account.as_ref().map_or(Credentials::Anonymous, Account::credentials);
        let tokens =
            Authenticator::new(transport.clone(), &registry, credentials).with_realm_host(TOKEN_SERVICE);
        let api = match &account {
            None => Session::with_credentials(transport.clone(), api, Credentials::Anonymous),
            Some(account) => {
                // The login proves itself by its body: no header, and a 401 is the answer to what was sent.
                let bare = Arc::new(FixedHeaders::new(API, []));
                let session = Session::new(transport.clone(), api.clone(), bare);
                let login = Login { session, account: account.clone() };
                let tokens = IssuedTokens::new(transport.clone(), api.clone(), login);
                Session::new(transport.clone(), api, Arc::new(tokens))
            }
        };
        let registry = Session::new(transport, registry, Arc::new(tokens));
        Ok(Self { host, api, registry, account, prefix })
    }
    async fn validate(&self) -> Result<Validation> {
        self.registry.ping().await.map_err(|error| self.explained(error))?;
        let first = self.list_from_start(MAX_PAGE).await;
        let (list, repository) = match first {
            Ok(listed) => (self.list_check(&listed), first_repository(self, listed.into()).await),
            Err(error) if error.class() == Class::Denied => {
                (Check::denied(Check::LIST, error.message()), None)
            }
            Err(error) if error.class() == Class::Absent => {
                (Check::failed(Check::LIST, error.message()), None)
            }
            // Without credentials and without a namespace there is nothing to list, and much to pull.
            Err(error) if error.class() == Class::Unsupported => {
                (Check::skipped(Check::LIST, error.message()), None)
            }
            Err(error) => return Err(error),
        };
        let authenticated = if self.account.is_some() {
            let detail = format!("{TOKEN_SERVICE} and {API} accept the user name and its secret");
            Check::passed(Check::AUTHENTICATED, detail)
        } else {
            let detail = "there are no credentials: only public repositories can be read";
            Check::skipped(Check::AUTHENTICATED, detail)
        };
        let reached = Check::passed(Check::REACHED, format!("{REGISTRY} and {API} answer"));
        let pull = self.pull_check(repository).await?;
        let limit = self.limit_check().await;
        Ok(Validation {
            registry: "docker.io".to_owned(),
            checks: vec![reached, authenticated, list, pull, limit],
        })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let listed = match &page.after {
            None => self.list_from_start(page.size).await?,
            Some(Cursor(text)) => {
                let place = Place::parse(text).ok_or_else(Error::invalid_cursor)?;
                match self.list(&place).await {
                    Ok(listed) => listed,
                    // An organization that is closed to the account (by its single sign-on, say) does not close the others.
                    Err(error) if place.at.page == 1 && is_refusal(&error) => {
                        self.host.log(LogLevel::Warn, format!("{error}: they are left out"));
                        Listed { repositories: Vec::new(), has_private: false, next: place.after_namespace() }
                    }
                    Err(error) => return Err(self.refused_list(error)),
                }
            }
        };
        Ok(listed.into())
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let repository = base::full_name(repository)?;
        let n = Some(page.size.max(1)).filter(|size| *size < ALL_TAGS);
        match self.registry.tags(&repository, &PageQuery { n, after: page.after() }).await {
            Ok(tags) => Ok(Page::new(tags.items, tags.next)),
            Err(error) => Err(self.refused_pull(error, &repository)),
        }
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        let repository = base::full_name(repository)?;
        let at = Numbered::of(&page, MAX_PAGE)?;
        match self.tag_page(&repository, at).await {
            Ok(page) => Ok(page),
            // A token may be for pulling alone; then the registry has tags and digests.
            Err(error) if page.after.is_none() && is_refusal(&error) => {
                self.host.log(LogLevel::Info, format!("{error}: the registry is asked tag by tag"));
                Err(Error::unsupported(format!("tag details of {repository} with these credentials")))
            }
            Err(error) => Err(self.refused_pull(error, &repository)),
        }
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let repository = base::full_name(&access.repository)?;
        let freshness = Freshness::renewed_if(access.renew);
        let authorized = match self.registry.authorization(&repository, freshness).await {
            Ok(authorized) => authorized,
            Err(error) => return Err(self.refused_pull(error, &repository)),
        };
        if access.renew {
            // A token is issued whatever it permits. That the last one was refused is the time to look.
            match self.registry.tags(&repository, &PageQuery::first(1)).await {
                Err(error) if is_refusal(&error) => return Err(self.refused_pull(error, &repository)),
                Ok(_) | Err(_) => {} // whoever reads from it will see
            }
        }
        let endpoint = self.registry.endpoint().url().clone();
        Ok(Authorization::new(endpoint, repository, &authorized.headers, authorized.expires))
    }
}

/// What a HEAD of a manifest says. It does not count as a pull, while a GET does.
pub(crate) struct Head {
    pub(crate) digest: Option<Digest>,
    limit: Option<Limit>,
}

impl DockerHub {
    async fn list_from_start(&self, size: u32) -> Result<Listed> {
        let place = Place::first(self.namespaces().await?, size);
        let listed = self.list(&place).await.map_err(|error| self.refused_list(error))?;
        match &self.prefix {
            // Whoever names a namespace means one that has something in it.
            Some(prefix) if listed.repositories.is_empty() && listed.next.is_none() => {
                let advice = "check the namespace in the connection's registryBase";
                let right = self.right_to_list();
                Err(Error::not_found(format!(
                    "docker hub shows no repository in {prefix}: {advice}, or {right}"
                )))
            }
            _ => Ok(listed),
        }
    }

    /// Whose repositories are listed: the base's namespace, else the account's own and its organizations'.
    async fn namespaces(&self) -> Result<Namespaces> {
        let own = match (&self.prefix, &self.account) {
            (Some(prefix), _) => return base::namespace(prefix),
            (None, Some(account)) => account.name.to_ascii_lowercase(), // a Docker ID, however it was typed
            (None, None) => {
                let message = "without credentials docker hub has no list of repositories: name a namespace in the \
                               connection's registryBase, as in docker.io/namespace";
                return Err(Error::new(Class::Unsupported, "catalog_unsupported", message));
            }
        };
        let organizations = if self.is_organization() {
            Vec::new()
        } else {
            match self.organizations().await {
                Ok(names) => names,
                Err(error) if is_refusal(&error) => {
                    let advice = "an organization is listed if the connection's registryBase names it";
                    self.host.log(LogLevel::Info, format!("{error}; {advice}"));
                    Vec::new()
                }
                Err(error) => return Err(self.explained(error)),
            }
        };
        Namespaces::new([own].into_iter().chain(organizations)).ok_or_else(|| {
            let why = "names no namespace, and the username is none: write docker.io/namespace";
            Error::invalid_setting("registryBase", why)
        })
    }

    /// A HEAD of a tag's manifest.
    pub(crate) async fn head(&self, repository: &RepositoryName, tag: &Tag) -> Protocol<Head> {
        let reference = Reference::Tag(tag.clone());
        let url = self.registry.endpoint().manifest(repository, &reference);
        let mut request = Request::new(Method::HEAD, url);
        for media_type in MediaType::MANIFESTS {
            request = request.header(ACCEPT, HeaderValue::from_static(media_type));
        }
        let subject = Subject::Manifest(repository.clone(), reference);
        let response = self.registry.send(request, &Scope::pull(repository), &subject).await?;
        let limit = Limit::of_pulls(&response.headers);
        if let Some(limit) = limit.filter(|limit| limit.is_low()) {
            self.host.log(LogLevel::Warn, format!("docker hub: {limit}"));
        }
        match response.status {
            StatusCode::OK => {
                let digest = response.headers.get("docker-content-digest");
                let digest = digest.and_then(|value| value.to_str().ok()?.parse().ok());
                Ok(Head { digest, limit })
            }
            StatusCode::NOT_FOUND => Err(ProtocolError::NotFound { subject, registry_code: None }),
            status => Err(ProtocolError::UnexpectedStatus { subject, status, registry_code: None }),
        }
    }

    fn list_check(&self, listed: &Listed) -> Check {
        let right = self.right_to_list();
        if self.account.is_none() {
            return Check::passed(Check::LIST, "the public repositories of the namespace can be listed");
        }
        if listed.has_private {
            return Check::passed(Check::LIST, "repositories can be listed, private ones included");
        }
        let seen =
            if listed.repositories.is_empty() { "the list is empty" } else { "all that is listed is public" };
        let detail = format!("the list can be read, but {seen}: if there are private repositories, {right}");
        if self.is_organization() {
            Check::skipped(Check::LIST, detail)
        } else {
            Check::passed(Check::LIST, detail)
        }
    }

    async fn pull_check(&self, repository: Option<RepositoryName>) -> Result<Check> {
        let Some(repository) = repository else {
            return Ok(Check::skipped(Check::PULL, "there is no repository to try it with"));
        };
        match self.registry.tags(&repository, &PageQuery::first(1)).await {
            Ok(_) => Ok(Check::passed(Check::PULL, format!("{repository} may be pulled from"))),
            Err(error) => match self.refused_pull(error, &repository) {
                error if error.class() == Class::Denied => Ok(Check::denied(Check::PULL, error.message())),
                // Nothing has been pushed to it, perhaps.
                error if error.class() == Class::Absent => Ok(Check::skipped(Check::PULL, error.message())),
                error => Err(error),
            },
        }
    }

    /// Never an error: what was looked at before is as good without it.
    async fn limit_check(&self) -> Check {
        let Ok(repository) = LIMIT_PROBE.parse() else {
            return Check::skipped(RATE_LIMIT, "there is no repository to look at the limit with");
        };
        match self.head(&repository, &Tag::latest()).await {
            Ok(head) => {
                let none =
                    || Check::passed(RATE_LIMIT, "docker hub states no limit of pulls for this account");
                head.limit.map_or_else(none, Limit::check)
            }
            Err(error) if error.class() == Class::Throttled => {
                let advice = "wait, or use an account with a larger plan";
                Check::failed(
                    RATE_LIMIT,
                    format!("no pulls are left, or docker hub is asked too often: {advice}"),
                )
            }
            Err(error) => {
                Check::skipped(RATE_LIMIT, format!("what remains of the pulls can't be seen: {error}"))
            }
        }
    }

    fn is_organization(&self) -> bool {
        self.account.as_ref().is_some_and(Account::is_organization)
    }

    /// What to grant, as the rest of a sentence.
    fn right_to_list(&self) -> &'static str {
        if self.is_organization() {
            "give the organization access token the permission Repository List (scope-repository-list)"
        } else {
            "use a personal access token with at least Repo Read-only, of a member of the namespace"
        }
    }

    fn refused_list(&self, error: ProtocolError) -> Error {
        match error.class() {
            Class::Denied => Error::permission_missing(format!("{error}: {}", self.right_to_list())),
            Class::Absent => {
                Error::not_found(format!("{error}: check the namespace in the connection's registryBase"))
            }
            _ => self.explained(error),
        }
    }

    fn refused_pull(&self, error: ProtocolError, repository: &RepositoryName) -> Error {
        if error.class() != Class::Denied {
            return self.explained(error);
        }
        let advice = if self.account.is_none() {
            "configure an account that may read it"
        } else if self.is_organization() {
            "give the organization access token Image Pull (scope-image-pull) for the repository"
        } else {
            "use a personal access token with at least Repo Read-only, of an account that may read it"
        };
        Error::permission_missing(format!(
            "may not pull from {repository}, or there is no such repository: {advice}"
        ))
    }

    /// A rejected login with what it usually is.
    fn explained(&self, error: ProtocolError) -> Error {
        match &error {
            ProtocolError::CredentialsRejected { host, .. } => {
                let advice = if self.is_organization() {
                    "check that the token has not expired, and that the user name is the organization's name"
                } else {
                    "check that the access token is active; with two-factor login or single sign-on a password is not \
                     enough"
                };
                Error::credentials_rejected(format!(
                    "{host} does not accept the user name and its secret: {advice}"
                ))
            }
            _ => error.into(),
        }
    }
}

/// Whether it could be a missing right: Docker Hub hides with 404 what it does not refuse with 401 or 403.
fn is_refusal(error: &ProtocolError) -> bool {
    matches!(error.class(), Class::Denied | Class::Absent)
}

fn endpoint(host: &str) -> Result<Endpoint> {
    Ok(Endpoint::from_base(host, false, PathMeaning::ApiPrefix)?.0)
}
