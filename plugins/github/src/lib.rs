//! GitHub's Container registry: ghcr.io, `containers.<tenant>.ghe.com`, and GitHub Enterprise Server.
//!
//! Two services with one token: the registry takes it at its token service, the packages API (on another host) as a
//! bearer token. The registry lists no repositories and knows no times; the API lists packages, and a package's versions
//! with their digests, tags and times, but no sizes.
//!
//! The token service answers 403 to a wrong token, to one without `read:packages`, and for a package that the account
//! may not see or that is not there. Which of them it is, the API's `/user` tells.
//!
//! More than 400 lines, since packages are at three places (of organizations, of users, of the account itself), nothing says at
//! which, and an account without a named owner has all of its organizations besides.

#![forbid(unsafe_code)]

mod account;
mod listing;
mod owner;
mod place;
mod version;

use std::sync::Arc;

use regent_distribution::{
    Authenticator, Credentials, Endpoint, Error as ProtocolError, Freshness, PageQuery, PathMeaning, Session,
};
use regent_plugin_api::http::StatusCode;
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, Numbered, Page, PageRequest, Result, Settings,
    TagDetail, Validation, first_repository,
};

use crate::owner::Owners;
use crate::place::{MAX_PAGE, Place};
use crate::version::Version;

/// Tags a page; GitHub documents no limit, and a page may be shorter in any case.
const MAX_TAG_PAGE: u32 = 1000;
/// What the token service is told where the connection has no user name: it looks at the token alone.
const ANY_USER: &str = "token";

struct Github {
    host: Host,
    /// `/v2/`.
    registry: Session,
    /// The packages API; none for an Enterprise Server whose `apiBase` is not set.
    api: Option<Session>,
    /// An owner, or the beginning of a repository's name behind it, that listings keep to.
    prefix: Option<RepositoryName>,
    username: Option<String>,
    owners: Owners,
}

regent_plugin_api::export_driver! {
    Github,
    name: "github",
    summary: "GitHub Container registry (ghcr.io, GitHub Enterprise)",
    types: ["github-cr", "GithubCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "ghcr.io[/OWNER], or containers.HOST[/OWNER] of GitHub Enterprise" },
        { name: "username", required: false, secret: false, help: "the account that the token belongs to" },
        { name: "password", required: true, secret: true, help: "a classic personal access token with the scope read:packages" },
        { name: "apiBase", required: false, secret: false, help: "host[:port] of GitHub Enterprise Server, whose API lists the packages" },
    ],
    egress: ["api.github.com", "*.ghe.com", "{apiBase}"],
}

impl Driver for Github {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        // Owners are written in upper case too, names of repositories never are.
        let base = settings.required_text("registryBase")?.to_ascii_lowercase();
        let token = settings.required_secret("password")?;
        let username = settings.username().map(str::to_owned);
        let (endpoint, prefix) =
            Endpoint::from_base(&base, settings.plain_http(), PathMeaning::RepositoryPrefix)
                .map_err(|e| Error::invalid_setting("registryBase", e))?;
        let transport = Arc::new(host.clone());
        let api = account::api(&endpoint, settings.text("apiBase"), token, transport.clone())?;
        let user = username.clone().unwrap_or_else(|| ANY_USER.to_owned());
        let credentials = Credentials::Basic { username: user, password: token.clone() };
        let tokens = Authenticator::new(transport.clone(), &endpoint, credentials).with_own_scopes();
        Ok(Self {
            host,
            registry: Session::new(transport, endpoint, Arc::new(tokens)),
            api,
            prefix,
            username,
            owners: Owners::default(),
        })
    }

    async fn validate(&self) -> Result<Validation> {
        let registry = self.registry.endpoint().host();
        let ping = self.registry.ping().await;
        let known = match self.api {
            Some(_) => self.authenticated().await?,
            None => match &ping {
                Ok(()) => format!("{registry} issues tokens for the connection's token"),
                Err(error) if is_refusal(error) => return Err(account::rejected(&registry)),
                Err(error) => return Err(error.clone().into()),
            },
        };
        match ping {
            Err(error) if !is_refusal(&error) => return Err(error.into()),
            Ok(()) | Err(_) => {} // the token is good, as the API says, and may lack the right to pull: that is seen below
        }
        let (list, first) = self.may_list().await?;
        let checks = vec![
            Check::passed(Check::REACHED, format!("{registry} answers at /v2/")),
            Check::passed(Check::AUTHENTICATED, known),
            list,
            self.may_pull(first).await?,
        ];
        Ok(Validation { registry, checks })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        match &page.after {
            None => self.list_from_start(page.size).await,
            Some(cursor) => self.list(Place::parse(cursor).ok_or_else(Error::invalid_cursor)?).await,
        }
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let query = PageQuery { n: Some(page.size_up_to(MAX_TAG_PAGE)), after: page.after() };
        match self.registry.tags(repository, &query).await {
            Ok(listed) => Ok(Page::new(listed.items, listed.next)),
            Err(error) => Err(self.explained(error, &format!("pull from {repository}")).await),
        }
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        // Without the API, or the right to it, the host asks for each tag's digest.
        let Some(api) = &self.api else { return Err(Error::unsupported("tag details without apiBase")) };
        let named = repository.as_str().split_once('/').ok_or_else(|| {
            Error::not_found(format!("can't find {repository}: repositories of GitHub are called owner/name"))
        })?;
        let (at, listed) = match &page.after {
            None => {
                let at = Numbered::first(page.size, MAX_PAGE);
                (at, self.at_owner(named.0, |kind| version::list(api, kind, named, at)).await)
            }
            Some(cursor) => match Place::parse(cursor) {
                Some(Place::Of(kind, at)) => {
                    (at, version::list(api, kind, named, at).await.map(|listed| (kind, listed)))
                }
                _ => return Err(Error::invalid_cursor()),
            },
        };
        match listed {
            Ok((kind, listed)) => {
                let next = listed.more.then(|| Place::Of(kind, at.following()).cursor());
                Ok(Page { items: listed.elements.into_iter().flat_map(Version::into_tags).collect(), next })
            }
            Err(error) => {
                let error = self.explained(error, &format!("read the versions of {repository}")).await;
                let closed = error.class() == Class::Denied && page.after.is_none();
                Err(if closed { Error::unsupported("tag details with this token") } else { error })
            }
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
            Err(error) => Err(self.explained(error, &format!("pull from {repository}")).await),
        }
    }
}

impl Github {
    async fn may_list(&self) -> Result<(Check, Option<RepositoryName>)> {
        if self.api.is_none() {
            let why = format!("packages can't be listed: {}", account::no_api().message());
            return Ok((Check::skipped(Check::LIST, why), None));
        }
        let page = match self.list_from_start(MAX_PAGE).await {
            Ok(page) => page,
            Err(error) if matches!(error.class(), Class::Denied | Class::Absent) => {
                return Ok((Check::denied(Check::LIST, error.message()), None));
            }
            Err(error) => return Err(error),
        };
        let orgs = match (&self.api, &self.prefix) {
            (Some(api), None) => self.orgs(api).await.err(),
            _ => None,
        };
        let first = first_repository(self, page).await;
        let list = match (orgs, first.is_none()) {
            (Some(error), _) if is_refusal(&error) => Check::denied(
                Check::LIST,
                "the account's own packages can be listed, but not its organizations: grant the token the scope read:org, \
                 or name one owner in registryBase",
            ),
            (Some(error), _) => return Err(error.into()),
            (None, false) => Check::passed(Check::LIST, "the list of packages can be read"),
            (None, true) => Check::passed(
                Check::LIST,
                "the list of packages can be read; it begins empty: if it should not be, give the account read \
                 access to the packages",
            ),
        };
        Ok((list, first))
    }

    async fn may_pull(&self, repository: Option<RepositoryName>) -> Result<Check> {
        let Some(repository) = repository else {
            return Ok(Check::skipped(Check::PULL, "there is no package at hand to try it with"));
        };
        let error = match self.registry.tags(&repository, &PageQuery::first(1)).await {
            Ok(_) => return Ok(Check::passed(Check::PULL, format!("the token may pull from {repository}"))),
            Err(error) => self.explained(error, &format!("pull from {repository}")).await,
        };
        match error.class() {
            Class::Denied => Ok(Check::denied(Check::PULL, error.message())),
            Class::Absent => Ok(Check::skipped(Check::PULL, error.message())),
            _ => Err(error),
        }
    }
}

/// Whether it could be the token or its rights: also 400, which lists of packages answer to tokens of an app's
/// installation.
fn is_refusal(error: &ProtocolError) -> bool {
    matches!(error.class(), Class::Authentication | Class::Denied)
        || matches!(error, ProtocolError::UnexpectedStatus { status: StatusCode::BAD_REQUEST, .. })
}
