//! GitLab's container registry: registry.gitlab.com and self-managed ones.
//!
//! Three planes with one token, each with a right of its own. The registry's `/v2/` takes tokens of GitLab's `/jwt/auth`
//! (`read_registry`). Where it has its metadata database, it also has `/gitlab/v1/`, for the same tokens, which lists tags with digest,
//! size and time. The repositories are listed by GitLab's REST API (`read_api`), which is where the token service is.
//! A token for the one need not be good for the others: deploy tokens are none for the REST API.
//!
//! More than 400 lines, for three protocols and six ways to list: what the connection names may be a group, a project, a part of one,
//! a user or nothing, and without `read_api` there are two more.

#![forbid(unsafe_code)]

mod listing;
mod place;
mod registry;
mod rest;

use std::sync::{Arc, Mutex};

use regent_distribution::{
    Authenticator, Credentials, Endpoint, Error as ProtocolError, Freshness, PageQuery, PathMeaning, Session,
};
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, Page, PageRequest, Result, Settings, TagDetail,
    Validation, first_repository,
};

use crate::place::Place;
use crate::registry::MAX_PAGE;

/// What the token service is told where the connection has no user name: of most tokens it looks at the token alone.
const ANY_USER: &str = "token";

struct Gitlab {
    host: Host,
    /// `/v2/` and `/gitlab/v1/`.
    registry: Session,
    /// Where the registry's tokens come from, and so where GitLab is.
    tokens: Arc<Authenticator>,
    /// A personal, group or project access token, or a deploy token.
    token: SecretString,
    /// A group or project, or the beginning of a repository's name behind it, that listings keep to.
    prefix: Option<RepositoryName>,
    /// The REST API, once it was found. A std lock: held for a copy, never over an await.
    rest: Mutex<Option<Session>>,
    /// Whether the registry has `/gitlab/v1/`, once that was asked. As above.
    extended: Mutex<Option<bool>>,
}

regent_plugin_api::export_driver! {
    Gitlab,
    name: "gitlab",
    summary: "GitLab container registry (GitLab.com and self-managed)",
    types: ["gitlab-cr", "GitlabCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "host[:port][/group[/project]] of the registry" },
        { name: "username", required: false, secret: false, help: "user name; of a deploy token its own" },
        { name: "password", required: true, secret: true, help: "an access token with read_registry to pull and read_api to list" },
        { name: "tokenService", required: false, secret: false, help: "host[:port] of GitLab, where it is neither gitlab.com nor the registry's host" },
    ],
    egress: ["gitlab.com", "{registryHost}", "{tokenService}"],
}

impl Driver for Gitlab {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        // Groups and projects are written in upper case too, names of repositories never are.
        let base = settings.required_text("registryBase")?.to_ascii_lowercase();
        let token = settings.required_secret("password")?.clone();
        let (endpoint, prefix) =
            Endpoint::from_base(&base, settings.plain_http(), PathMeaning::RepositoryPrefix)
                .map_err(|e| Error::invalid_setting("registryBase", e))?;
        let username = settings.username().unwrap_or(ANY_USER).to_owned();
        let credentials = Credentials::Basic { username, password: token.clone() };
        let transport = Arc::new(host.clone());
        let mut tokens = Authenticator::new(transport.clone(), &endpoint, credentials);
        for service in rest::token_services(&endpoint, settings.text("tokenService")) {
            tokens = tokens.with_realm_host(service);
        }
        let tokens = Arc::new(tokens);
        Ok(Self {
            host,
            registry: Session::new(transport, endpoint, tokens.clone()),
            tokens,
            token,
            prefix,
            rest: Mutex::default(),
            extended: Mutex::default(),
        })
    }

    async fn validate(&self) -> Result<Validation> {
        let registry = self.registry.endpoint().host();
        let authenticated = match self.registry.ping().await {
            Ok(()) => format!("GitLab issues tokens of {registry} for the connection's token"),
            Err(error) if error.class() == Class::Denied => {
                "GitLab knows the connection's token, which has no right to the registry".to_owned()
            }
            Err(error) => return Err(self.explained(error, "reach the registry")),
        };
        let (list, first) = match self.list_from_start(rest::MAX_PAGE).await {
            Ok(page) => {
                let first = first_repository(self, page).await;
                let detail = match &first {
                    Some(_) => "the list of repositories can be read",
                    None => {
                        "the list of repositories can be read; it begins empty: if it should not be, give the token's account \
                         the role Reporter in the projects"
                    }
                };
                (Check::passed(Check::LIST, detail), first)
            }
            Err(error) if matches!(error.class(), Class::Denied | Class::Absent) => {
                (Check::denied(Check::LIST, error.message()), None)
            }
            Err(error) => return Err(error),
        };
        let checks = vec![
            Check::passed(Check::REACHED, format!("{registry} answers at /v2/")),
            Check::passed(Check::AUTHENTICATED, authenticated),
            list,
            self.may_pull(first).await?,
        ];
        Ok(Validation { registry, checks })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        match &page.after {
            None => self.list_from_start(page.size).await,
            Some(cursor) => {
                let place = Place::parse(cursor).ok_or_else(Error::invalid_cursor)?;
                match self.list(&place, page.size).await {
                    Ok(page) => Ok(page),
                    // GitLab's API does not know the token: any more, or for itself alone.
                    Err(error) if error.class() == Class::Authentication => {
                        Err(match self.registry.ping().await {
                            Err(rejected) => self.explained(rejected, "list repositories"),
                            Ok(()) => self.unlisted(error),
                        })
                    }
                    Err(error) => Err(self.unlisted(error)),
                }
            }
        }
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let query = PageQuery { n: Some(page.size_up_to(MAX_PAGE)), after: page.after() };
        match self.registry.tags(repository, &query).await {
            Ok(listed) => Ok(Page::new(listed.items, listed.next)),
            Err(error) => Err(self.explained(error, &format!("pull from {repository}"))),
        }
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        let query = PageQuery { n: Some(page.size_up_to(MAX_PAGE)), after: page.after() };
        match self.tags_of(repository, &query).await {
            Ok(Some(page)) => Ok(page),
            // The host then asks for each tag's digest.
            Ok(None) => Err(Error::unsupported("tag details of a registry without its metadata database")),
            Err(error) => Err(self.explained(error, &format!("pull from {repository}"))),
        }
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let repository = access.repository;
        let freshness = Freshness::renewed_if(access.renew);
        match self.registry.authorization(&repository, freshness).await {
            Ok(authorized) => {
                let endpoint = self.registry.endpoint().url().clone();
                Ok(Authorization::new(endpoint, repository, &authorized.headers, authorized.expires))
            }
            Err(error) => Err(self.explained(error, &format!("pull from {repository}"))),
        }
    }
}

impl Gitlab {
    async fn may_pull(&self, repository: Option<RepositoryName>) -> Result<Check> {
        let Some(repository) = repository else {
            return Ok(match self.registry.ping().await {
                Err(error) if error.class() == Class::Denied => {
                    Check::denied(Check::PULL, self.explained(error, "pull").message())
                }
                Ok(()) | Err(_) => {
                    Check::skipped(Check::PULL, "there is no repository at hand to try it with")
                }
            });
        };
        let error = match self.registry.tags(&repository, &PageQuery::first(1)).await {
            Ok(_) => {
                return Ok(Check::passed(Check::PULL, format!("the token may pull from {repository}")));
            }
            Err(error) => self.explained(error, &format!("pull from {repository}")),
        };
        match error.class() {
            Class::Denied => Ok(Check::denied(Check::PULL, error.message())),
            Class::Absent => Ok(Check::skipped(Check::PULL, error.message())),
            _ => Err(error),
        }
    }

    /// What a refusal by the registry or its token service means. `what` completes "the token may not".
    fn explained(&self, error: ProtocolError, what: &str) -> Error {
        let message = match error.class() {
            Class::Denied => format!(
                "the token may not {what}, or that is not there: grant it the scope read_registry, and its account the role \
                 Reporter in the project"
            ),
            Class::Authentication => format!(
                "GitLab does not accept the user name and token for {}: the token is wrong, expired or revoked",
                self.registry.endpoint().host()
            ),
            Class::Refused if error.code() == "realm_refused" => {
                format!("{error}; if that is your GitLab, name its host in tokenService")
            }
            _ => return error.into(),
        };
        Error::new(error.class(), error.code(), message)
    }
}
