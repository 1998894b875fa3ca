//! Harbor: projects with repositories in them, robot accounts, an API of its own beside `/v2/`.
//!
//! Two sessions with one credential: the API takes Basic at every call, `/v2/` takes tokens of `/service/token`.
//! Harbor makes an anonymous visitor of whoever it does not know, instead of refusing: its API lists public projects and
//! its token service issues tokens to a wrong password. `/v2/` with Basic is where it says no (`login`), so it
//! is asked before anything else, now and then, and whenever something is refused.

#![forbid(unsafe_code)]

mod artifact;
mod listing;
mod place;
mod tokens;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use regent_distribution::{
    Authenticator, Credentials, Endpoint, Error as ProtocolError, FixedHeaders, Freshness, PageQuery,
    PathMeaning, Scope, Session, Subject, is_within,
};
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault, Request};
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, Numbered, Page, PageRequest, Result, Settings,
    TagDetail, Validation,
};

use crate::artifact::Artifact;
use crate::place::{MAX_PAGE, Place};
use crate::tokens::Tokens;

/// The most tags on a page of `/v2/`; Harbor itself has no limit.
const MAX_TAG_PAGE: u32 = 1000;
/// For so long Harbor is taken to know the credentials that it has just accepted.
const LOGIN_HOLDS: Duration = Duration::from_mins(5);

struct Harbor {
    host: Host,
    /// `/api/v2.0/`, and what else wants Basic.
    api: Session,
    /// `/v2/`.
    registry: Session,
    /// A project, or the beginning of a repository's name, that listings keep to.
    prefix: Option<RepositoryName>,
    /// When Harbor last accepted the credentials. A std lock: held for a copy, never over an await.
    accepted: Mutex<Option<SystemTime>>,
}

regent_plugin_api::export_driver! {
    Harbor,
    name: "harbor",
    summary: "Harbor 2",
    types: ["harbor-cr", "HarborCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "host[:port][/project] of Harbor" },
        { name: "username", required: true, secret: false, help: "a user, or a robot account with its prefix: robot$name" },
        { name: "password", required: true, secret: true, help: "the password, the CLI secret of an OIDC user, or the robot's secret" },
    ],
}

impl Driver for Harbor {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let base = settings.required_text("registryBase")?;
        let username = settings.required_text("username")?;
        let password = settings.required_secret("password")?;
        let (endpoint, prefix) =
            Endpoint::from_base(base, settings.plain_http(), PathMeaning::RepositoryPrefix)
                .map_err(|e| Error::invalid_setting("registryBase", e))?;
        let basic = FixedHeaders::basic(&endpoint.host(), username, password)?;
        let transport = Arc::new(host.clone());
        let credentials = Credentials::Basic { username: username.to_owned(), password: password.clone() };
        let tokens = Tokens(Authenticator::new(transport.clone(), &endpoint, credentials));
        Ok(Self {
            host,
            api: Session::new(transport.clone(), endpoint.clone(), Arc::new(basic)),
            registry: Session::new(transport, endpoint, Arc::new(tokens)),
            prefix,
            accepted: Mutex::default(),
        })
    }

    async fn validate(&self) -> Result<Validation> {
        let registry = self.api.endpoint().host();
        let reached = self.reached().await?;
        self.login().await?;
        if let Err(error) = self.registry.ping().await {
            return Err(self.explained(error, "pull", "Pull Repository").await);
        }
        let detail = format!("{registry} accepts the user name and password, and issues tokens for them");
        let authenticated = Check::passed(Check::AUTHENTICATED, detail);
        let (list, first) = match self.list_from_start(1).await {
            Ok(page) if page.items.is_empty() => {
                let detail = "the list of repositories can be read; it is empty: if it should not be, make the account \
                              a member of the projects";
                (Check::passed(Check::LIST, detail), None)
            }
            Ok(page) => {
                let list = Check::passed(Check::LIST, "the list of repositories can be read");
                (list, page.items.into_iter().next())
            }
            Err(e) if e.class() == Class::Denied => (Check::denied(Check::LIST, e.message()), None),
            Err(e) => return Err(e),
        };
        let pull = self.may_pull(first).await?;
        Ok(Validation { registry, checks: vec![reached, authenticated, list, pull] })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let Some(cursor) = page.after else {
            self.ensure_known().await?;
            return self.list_from_start(page.size).await;
        };
        let place = Place::parse(&cursor.0).ok_or_else(Error::invalid_cursor)?;
        self.ensure_known().await?;
        match self.list(&place, page.size).await {
            Ok(page) => Ok(page),
            Err(error) => Err(self.explained(error, "list repositories", "List Repository").await),
        }
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let query = PageQuery { n: Some(page.size_up_to(MAX_TAG_PAGE)), after: page.after() };
        self.ensure_known().await?;
        match self.registry.tags(repository, &query).await {
            Ok(tags) => Ok(Page::new(tags.items, tags.next)),
            Err(error) => Err(self.refused_pull(error, repository).await),
        }
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        let at = Numbered::of(&page, MAX_PAGE)?;
        let url = artifact::url(self.api.endpoint(), repository)?;
        let subject = Subject::Other(format!("the artifacts of {repository}"));
        self.ensure_known().await?;
        match self.numbered::<Artifact>(url, at, &subject).await {
            Ok(list) => {
                let next = list.more.then(|| at.following().to_string());
                Ok(Page::new(list.elements.into_iter().flat_map(Artifact::into_tags).collect(), next))
            }
            Err(error) => {
                let what = format!("list the artifacts of {repository}");
                Err(self.explained(error, &what, "List Artifact and List Tag").await)
            }
        }
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let repository = access.repository;
        self.ensure_known().await?;
        let freshness = Freshness::renewed_if(access.renew);
        let authorized = match self.registry.authorization(&repository, freshness).await {
            Ok(authorized) => authorized,
            Err(error) => return Err(self.refused_pull(error, &repository).await),
        };
        if access.renew {
            // A token says nothing here: a wrong password gets one, and so does who may not pull. That the last one was
            // refused is the time to find out which it is.
            self.login().await?;
            match self.registry.tags(&repository, &PageQuery::first(1)).await {
                Err(error) if is_refusal(&error) => return Err(self.refused_pull(error, &repository).await),
                Ok(_) | Err(_) => {} // whoever reads from it will see
            }
        }
        let endpoint = self.registry.endpoint().url().clone();
        Ok(Authorization::new(endpoint, repository, &authorized.headers, authorized.expires))
    }
}

impl Harbor {
    /// Asks Harbor whether it knows the credentials. `/v2/` does so for users and robots alike, while `/users/current`
    /// refuses robots.
    async fn login(&self) -> Result<()> {
        match self.api.ping().await {
            Ok(()) => {
                *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.host.now());
                Ok(())
            }
            Err(error) if error.class() == Class::Authentication => {
                let host = self.api.endpoint().host();
                Err(Error::credentials_rejected(format!(
                    "{host} does not accept the user name and password; a robot account that is unknown, disabled or \
                     expired gets the same answer"
                )))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Harbor::login`], unless Harbor was asked a moment ago. Without it a wrong password would read public
    /// projects as a visitor.
    async fn ensure_known(&self) -> Result<()> {
        let accepted = *self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let age = accepted.and_then(|at| self.host.now().duration_since(at).ok());
        if age.is_some_and(|age| age < LOGIN_HOLDS) { Ok(()) } else { self.login().await }
    }

    /// What a refusal means, which depends on whether the credentials are good. `what` completes "the account may not".
    async fn explained(&self, error: ProtocolError, what: &str, right: &str) -> Error {
        if is_refusal(&error) {
            return match self.login().await {
                Ok(()) => Error::permission_missing(format!(
                    "the account may not {what}: grant the permission {right} to the robot account, or make the user a \
                     member of the project"
                )),
                Err(error) => error,
            };
        }
        if let ProtocolError::RealmRefused { .. } = error {
            let message = format!(
                "{error}; set the external URL in Harbor's configuration to {}",
                self.registry.endpoint().url().as_str().trim_end_matches('/')
            );
            return Error::new(error.class(), error.code(), message);
        }
        error.into()
    }

    async fn refused_pull(&self, error: ProtocolError, repository: &RepositoryName) -> Error {
        self.explained(error, &format!("pull from {repository}"), "Pull Repository").await
    }

    async fn reached(&self) -> Result<Check> {
        let url = self.api.endpoint().below(["api", "v2.0", "ping"]);
        let subject = Subject::Other("Harbor's API".to_owned());
        let answer = self.api.fetch(Request::get(url), &Scope::none(), &subject).await;
        let host = self.api.endpoint().host();
        match answer {
            Ok(response) if response.status.is_success() => {
                Ok(Check::passed(Check::REACHED, format!("{host} answers as Harbor")))
            }
            Err(e) if !is_refusal(&e) && e.class() != Class::Absent => Err(e.into()),
            Ok(_) | Err(_) => Ok(Check::failed(
                Check::REACHED,
                format!(
                    "{host} answers, but has no Harbor API: check the registryBase, and that a proxy in front of Harbor \
                     passes /api/v2.0/ on"
                ),
            )),
        }
    }

    async fn may_pull(&self, repository: Option<RepositoryName>) -> Result<Check> {
        let Some(repository) = repository else {
            return Ok(Check::skipped(Check::PULL, "there is no repository to try it with"));
        };
        match self.registry.tags(&repository, &PageQuery::first(1)).await {
            Ok(_) => Ok(Check::passed(Check::PULL, format!("the account may pull from {repository}"))),
            Err(error) if error.class() == Class::Absent => {
                Ok(Check::skipped(Check::PULL, format!("{error}; try it with another repository")))
            }
            Err(error) => match self.refused_pull(error, &repository).await {
                denied if denied.class() == Class::Denied => Ok(Check::denied(Check::PULL, denied.message())),
                other => Err(other),
            },
        }
    }

    fn is_wanted(&self, repository: &RepositoryName) -> bool {
        is_within(repository, self.prefix.as_ref())
    }
}

/// Whether it could be the credentials or their rights.
fn is_refusal(error: &ProtocolError) -> bool {
    matches!(error.class(), Class::Authentication | Class::Denied)
}
