//! Quay, as quay.io and on premises.
//!
//! Two doors with different keys: `/v2/` takes robot accounts, users and OAuth tokens; the API, which knows times and
//! sizes, takes OAuth tokens only. The API takes whoever it does not know for a visitor and answers with what is public, so
//! the token service, which says no, is asked first and now and then (`login`). Requests for lists go one by one:
//! Quay's own proxy allows no more (`nginx`, zones for the catalog and for tags).

#![forbid(unsafe_code)]

mod account;
mod listing;
mod place;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::lock::Mutex as AsyncMutex;
use regent_distribution::{
    Ask, Authenticator, Authorizer as _, Credentials, Endpoint, Error as ProtocolError, FixedHeaders,
    Freshness, PageQuery, PathMeaning, Scope, Session,
};
use regent_oci::{RepositoryName, Tag};
use regent_plugin_api::http::StatusCode;
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, LogLevel, Numbered, Page, PageRequest, Result,
    Settings, TagDetail, Validation, first_repository,
};

use crate::account::{Account, Kind};
use crate::listing::{Listed, MAX_PAGE, MAX_V2_PAGE};
use crate::place::Place;

/// For so long Quay is taken to know the credentials that it has just accepted.
const LOGIN_HOLDS: Duration = Duration::from_mins(5);

pub(crate) type Protocol<T> = std::result::Result<T, ProtocolError>;

struct Quay {
    host: Host,
    account: Account,
    /// `/api/v1/`.
    api: Session,
    /// `/v2/`.
    registry: Session,
    tokens: Arc<Authenticator>,
    /// A namespace, or the beginning of a repository's name, that listings keep to.
    prefix: Option<RepositoryName>,
    /// Held over a request for a list.
    turn: AsyncMutex<()>,
    /// When Quay last accepted the credentials. A std lock: held for a copy, never over an await.
    accepted: Mutex<Option<SystemTime>>,
}

regent_plugin_api::export_driver! {
    Quay,
    name: "quay",
    summary: "Quay: quay.io and Red Hat Quay",
    types: ["quay-cr", "QuayCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "quay.io[/namespace], or the host of your own Quay" },
        { name: "username", required: false, secret: false, help: "robot account (namespace+robot), $oauthtoken, or a user" },
        { name: "password", required: false, secret: true, help: "what goes with the user name: robot token, OAuth token, password" },
        { name: "token", required: false, secret: true, help: "OAuth access token, instead of a user name and password" },
        { name: "tokenService", required: false, secret: false, help: "Quay's SERVER_HOSTNAME where it differs from the base" },
    ],
    egress: ["{tokenService}"],
}

impl Driver for Quay {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let base = settings.required_text("registryBase")?;
        let (endpoint, prefix) =
            Endpoint::from_base(base, settings.plain_http(), PathMeaning::RepositoryPrefix)
                .map_err(|e| Error::invalid_setting("registryBase", e))?;
        let account = Account::of(&settings)?;
        let transport = Arc::new(host.clone());
        let mut tokens = Authenticator::new(transport.clone(), &endpoint, account.credentials.clone());
        // A password goes to a token service on another host only where someone has named that host.
        let services = settings.text("tokenService").unwrap_or_default().split(',').map(str::trim);
        for service in services.filter(|s| !s.is_empty()) {
            tokens = tokens.with_realm_host(service);
        }
        let tokens = Arc::new(tokens);
        let api = match &account.oauth {
            Some(token) => {
                let bearer = FixedHeaders::bearer(&endpoint.host(), token)?;
                Session::new(transport.clone(), endpoint.clone(), Arc::new(bearer))
            }
            None => Session::with_credentials(transport.clone(), endpoint.clone(), Credentials::Anonymous),
        };
        let registry = Session::new(transport, endpoint, tokens.clone());
        let (turn, accepted) = (AsyncMutex::new(()), Mutex::default());
        Ok(Self { host, account, api, registry, tokens, prefix, turn, accepted })
    }

    async fn validate(&self) -> Result<Validation> {
        let registry = self.registry.endpoint().host();
        let authenticated = if self.account.kind == Kind::Visitor {
            self.reach().await?;
            Check::skipped(
                Check::AUTHENTICATED,
                "there are no credentials: only public repositories can be read",
            )
        } else {
            self.login().await?;
            let detail = format!("{registry} accepts {}", self.account.kind.name());
            Check::passed(Check::AUTHENTICATED, detail)
        };
        let (list, first) = match self.list_from_start(MAX_PAGE).await {
            Ok(listed) => (self.list_check(&listed), first_repository(self, listed.into()).await),
            Err(error) => match error.class() {
                Class::Denied => (Check::denied(Check::LIST, error.message()), None),
                Class::Absent => (Check::failed(Check::LIST, error.message()), None),
                Class::Unsupported => (Check::skipped(Check::LIST, error.message()), None),
                _ => return Err(error),
            },
        };
        let pull = self.pull_check(first).await?;
        let reached = Check::passed(Check::REACHED, format!("{registry} answers at /v2/"));
        Ok(Validation { registry, checks: vec![reached, authenticated, list, pull] })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let listed = match &page.after {
            None => self.list_from_start(page.size).await?,
            Some(cursor) => {
                let place = Place::parse(cursor).ok_or_else(Error::invalid_cursor)?;
                self.ensure_known().await?;
                self.list(&place, page.size).await.map_err(|error| self.explained(error))?
            }
        };
        Ok(listed.into())
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let query = PageQuery { n: Some(page.size_up_to(MAX_V2_PAGE)), after: page.after() };
        self.v2_tags(repository, &query).await.map_err(|error| self.refused(error, repository))
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        if !self.account.may_use_api() {
            return Err(Error::unsupported("tag details without an OAuth token"));
        }
        let at = Numbered::of(&page, MAX_PAGE)?;
        self.ensure_known().await?;
        match self.tag_page(repository, at).await {
            Ok(page) => Ok(page),
            // A repository that is not there, or a scope that the token lacks: /v2/ tells.
            Err(error) if page.after.is_none() && is_refusal(&error) => {
                self.host.log(LogLevel::Info, format!("{error}: /v2/ is asked tag by tag"));
                Err(Error::unsupported(format!("tag details of {repository} with this token")))
            }
            Err(error) => Err(self.refused(error, repository)),
        }
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let repository = access.repository;
        let freshness = Freshness::renewed_if(access.renew);
        let authorized = match self.registry.authorization(&repository, freshness).await {
            Ok(authorized) => authorized,
            Err(error) => return Err(self.refused(error, &repository)),
        };
        if access.renew {
            // A token is issued whatever it permits. That the last one was refused is the time to look.
            match self.v2_tags(&repository, &PageQuery::first(1)).await {
                Err(error) if is_refusal(&error) => return Err(self.refused(error, &repository)),
                Ok(_) | Err(_) => {} // whoever reads from it will see
            }
        }
        let endpoint = self.registry.endpoint().url().clone();
        Ok(Authorization::new(endpoint, repository, &authorized.headers, authorized.expires))
    }
}

impl Quay {
    /// Asks the token service whether it knows the credentials.
    async fn login(&self) -> Result<()> {
        let known = self.tokens.authorize(&Scope::none(), Ask::Anew).await;
        let outcome = match known {
            // Nothing is known of the token service yet.
            Ok(authorized) if authorized.headers.is_empty() => self.registry.ping().await,
            other => other.map(drop),
        };
        outcome.map_err(|error| self.explained(error))?;
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.host.now());
        Ok(())
    }

    /// As [`Quay::login`], unless Quay was asked a moment ago. Without it a token that has been revoked would list what is
    /// public, and nothing would be said; and the catalog, which challenges no one, would be a visitor's: empty.
    pub(crate) async fn ensure_known(&self) -> Result<()> {
        if self.account.kind == Kind::Visitor {
            return Ok(());
        }
        let accepted = *self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let age = accepted.and_then(|at| self.host.now().duration_since(at).ok());
        if age.is_some_and(|age| age < LOGIN_HOLDS) { Ok(()) } else { self.login().await }
    }

    /// Whether there is a registry. A visitor gets no further than the challenge.
    async fn reach(&self) -> Result<()> {
        match self.registry.ping().await {
            Ok(()) | Err(ProtocolError::CredentialsMissing { .. }) => Ok(()),
            Err(error) => Err(self.explained(error)),
        }
    }

    fn list_check(&self, listed: &Listed) -> Check {
        let who = self.account.kind.name();
        let detail = if listed.repositories.is_empty() && listed.next.is_none() {
            format!(
                "the list can be read; it is empty: if it should not be, {}",
                self.account.kind.right_to_read()
            )
        } else if listed.is_from_api {
            format!("{who} may list repositories by quay's API")
        } else if self.account.oauth.is_some() {
            "repositories are listed by /v2/_catalog: give the OAuth token the scope Read User Information (user:read) \
             to list by the API"
                .to_owned()
        } else {
            format!("what {who} may read is listed by /v2/_catalog; push times and sizes need an OAuth token")
        };
        Check::passed(Check::LIST, detail)
    }

    async fn pull_check(&self, repository: Option<RepositoryName>) -> Result<Check> {
        let Some(repository) = repository else {
            return Ok(Check::skipped(Check::PULL, "there is no repository to try it with"));
        };
        match self.v2_tags(&repository, &PageQuery::first(1)).await {
            Ok(_) => Ok(Check::passed(Check::PULL, format!("{repository} may be pulled from"))),
            Err(error) => match self.refused(error, &repository) {
                error if error.class() == Class::Denied => Ok(Check::denied(Check::PULL, error.message())),
                error if error.class() == Class::Absent => Ok(Check::skipped(Check::PULL, error.message())),
                error => Err(error),
            },
        }
    }

    /// What a refusal to read from a repository means. Quay answers 401 for a missing right too, and for what is not there.
    fn refused(&self, error: ProtocolError, repository: &RepositoryName) -> Error {
        let host = self.registry.endpoint().host();
        match &error {
            ProtocolError::PermissionMissing { .. } => {
                let (who, right) = (self.account.kind.name(), self.account.kind.right_to_read());
                let what = format!("{who} may not read {repository}, or there is no such repository");
                Error::permission_missing(format!("{what}: {right}"))
            }
            ProtocolError::UnexpectedStatus {
                status: StatusCode::METHOD_NOT_ALLOWED, registry_code, ..
            } => match registry_code.as_ref().map(regent_distribution::RegistryCode::as_str) {
                Some("DENIED") => Error::permission_missing(format!(
                    "the namespace of {repository} is disabled at {host}: ask its administrator to enable it"
                )),
                Some("UNSUPPORTED") => Error::unsupported(format!("{repository}, which holds no images")),
                _ => error.into(),
            },
            _ => self.explained(error),
        }
    }

    /// What an error means at Quay.
    pub(crate) fn explained(&self, error: ProtocolError) -> Error {
        let host = self.registry.endpoint().host();
        match &error {
            ProtocolError::CredentialsRejected { .. } => {
                let advice = match self.account.kind {
                    Kind::OAuth => {
                        "check that the OAuth token is complete and has not expired or been revoked"
                    }
                    Kind::Robot => "check the robot's full name, namespace+robot, and its token",
                    Kind::User | Kind::Visitor => {
                        "check the password; where quay logs in by single sign-on, use a robot account"
                    }
                };
                let who = self.account.kind.name();
                Error::credentials_rejected(format!("{host} does not accept {who}: {advice}"))
            }
            ProtocolError::RealmRefused { .. } => {
                let advice =
                    "if that host is quay's SERVER_HOSTNAME, name it in the connection's tokenService";
                Error::new(error.class(), error.code(), format!("{error}; {advice}"))
            }
            _ => error.into(),
        }
    }
}

/// Whether it could be a missing right.
pub(crate) fn is_refusal(error: &ProtocolError) -> bool {
    matches!(error.class(), Class::Denied | Class::Absent)
}
