//! JFrog Artifactory and JFrog Container Registry.
//!
//! Two sessions with one credential: `/v2/` of a Docker repository, and the API of the server for what `/v2/` does not tell:
//! push times, and which repositories there are where the connection names a whole server. Credentials go along from the first
//! request on: where anonymous access is allowed, nobody is challenged, and a bare request is answered with what everyone may
//! see.
//!
//! Longer than most drivers for the three access methods (`place`), and since what Artifactory knows of tags has to be put
//! together from files (`details`).

#![forbid(unsafe_code)]

mod details;
mod listing;
mod place;
mod refusal;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regent_distribution::{
    Authenticator, Credentials, Error as ProtocolError, FixedHeaders, Freshness, PageQuery, RedirectPolicy,
    RetryPolicy, Scope, Session, Subject,
};
use regent_plugin_api::http::header::CONTENT_TYPE;
use regent_plugin_api::http::{HeaderMap, HeaderValue, Method, StatusCode};
use regent_plugin_api::oci::{Reference, RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault as _, Request, Transport, collect};
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, Page, PageRequest, Result, Settings, TagDetail,
    Validation,
};
use serde::de::DeserializeOwned;

use crate::details::{Details, FileList, Found};
use crate::place::Place;

/// The largest answer to a query: of an image with more tags than the host takes on a page (100 000).
const MAX_QUERY_BYTES: u64 = 48 << 20;

type Protocol<T> = std::result::Result<T, ProtocolError>;

struct Artifactory {
    host: Host,
    /// `/v2/`.
    registry: Session,
    /// `/api/`.
    api: Session,
    /// The repository key, where the base or a setting tells it.
    key: Option<String>,
    /// What listings keep to.
    prefix: Option<RepositoryName>,
    /// Whether the base is that of a whole server; `None` until it has been looked at. A std lock, as the other: held for a copy,
    /// never over an await.
    whole_server: Mutex<Option<bool>>,
    /// Whether something has been read from a repository, so that it is known how.
    has_read: Mutex<bool>,
}

regent_plugin_api::export_driver! {
    Artifactory,
    name: "artifactory",
    summary: "JFrog Artifactory and JFrog Container Registry",
    types: ["artifactory-cr", "ArtifactoryCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "host/artifactory/api/docker/<repository key>, the host[:port] of a repository with one of its own, or the host of the server" },
        { name: "username", required: false, secret: false, help: "user name" },
        { name: "password", required: false, secret: true, help: "password, API key, identity token or access token of that user" },
        { name: "token", required: false, secret: true, help: "identity or access token, in place of user name and password" },
        { name: "repositoryKey", required: false, secret: false, help: "key of the repository, where the base is a host of its own: lets push times be read" },
        { name: "apiBase", required: false, secret: false, help: "host[:port]/artifactory, where the API is not below the base's host" },
    ],
    egress: ["{apiBase}"],
}

impl Driver for Artifactory {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let place = Place::of(&settings)?;
        let credentials = credentials(&settings)?;
        let transport: Arc<dyn Transport> = Arc::new(host.clone());
        let headers = match &credentials {
            Credentials::Basic { username, password } => {
                FixedHeaders::basic(&place.api.host(), username, password)?
            }
            Credentials::Bearer(token) => FixedHeaders::bearer(&place.api.host(), token)?,
            Credentials::Anonymous | Credentials::IdentityToken(_) => FixedHeaders::new(place.api.host(), []),
        };
        let authenticator =
            Authenticator::new(transport.clone(), &place.registry, credentials).with_basic_first();
        // A redirect of what is read here means another address, or an instance that has been switched off.
        let nowhere = RedirectPolicy { max_hops: 0, ..RedirectPolicy::default() };
        let registry = Session::new(transport.clone(), place.registry, Arc::new(authenticator));
        let api = Session::new(transport, place.api, Arc::new(headers));
        Ok(Self {
            host,
            registry: registry.with_redirects(nowhere),
            api: api.with_redirects(nowhere),
            key: place.key,
            prefix: place.prefix,
            whole_server: Mutex::default(),
            has_read: Mutex::default(),
        })
    }

    async fn validate(&self) -> Result<Validation> {
        let registry = self.registry.endpoint().host();
        let reached = self.reached().await?;
        let authenticated = format!("{registry} accepts the connection's credentials");
        let (list, first) = match self.list_from_start(1000).await {
            Ok(page) => match page.items.into_iter().next() {
                Some(first) => {
                    (Check::passed(Check::LIST, "the list of repositories can be read"), Some(first))
                }
                None => (Check::passed(Check::LIST, refusal::EMPTY_LIST), None),
            },
            Err(error) => match self.explained(error, "list repositories") {
                error if error.class() == Class::Denied => {
                    (Check::denied(Check::LIST, error.message()), None)
                }
                error if error.class() == Class::Unsupported => {
                    (Check::skipped(Check::LIST, error.message()), None)
                }
                error => return Err(error),
            },
        };
        let mut checks = vec![reached, Check::passed(Check::AUTHENTICATED, authenticated), list];
        match first {
            Some(repository) => checks.extend(self.try_out(&repository).await?),
            None => checks.push(Check::skipped(Check::PULL, "there is no repository to try it with")),
        }
        Ok(Validation { registry, checks })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let listed = match &page.after {
            None => self.list_from_start(page.size).await,
            Some(cursor) => self.list_from(cursor, page.size).await,
        };
        listed.map_err(|error| self.explained(error, "list repositories"))
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        // Without a size all come at once; with one, some versions' links to the next page go astray.
        let query = PageQuery { n: None, after: page.after() };
        let listed = self.registry.tags(repository, &query).await;
        let page =
            listed.map_err(|error| self.explained(error, &format!("list the tags of {repository}")))?;
        Ok(Page::new(page.items, page.next))
    }

    async fn tag_details(&self, repository: &RepositoryName, _: PageRequest) -> Result<Page<TagDetail>> {
        let unsupported = || Error::unsupported(format!("details of the tags of {repository}"));
        match self.details(repository).await {
            Ok(Some(details)) if !details.is_empty() => Ok(Page::only(details.into_items())),
            Ok(_) => Err(unsupported()),
            Err(error) if is_closed(&error) => Err(unsupported()),
            Err(error) => Err(self.explained(error, &format!("read the details of {repository}"))),
        }
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let repository = access.repository;
        let explained = |error| self.explained(error, &format!("pull from {repository}"));
        // Once, since it may be tokens that are wanted and not the password; and when something was refused, which a password
        // that is given again would be again.
        if access.renew || !*lock(&self.has_read) {
            match self.registry.tags(&repository, &PageQuery::first(1)).await {
                Ok(_) => *lock(&self.has_read) = true,
                Err(error) if matches!(error.class(), Class::Authentication | Class::Denied) => {
                    return Err(explained(error));
                }
                Err(_) => {} // whoever reads from it will see
            }
        }
        let freshness = Freshness::renewed_if(access.renew);
        let authorized = self.registry.authorization(&repository, freshness).await.map_err(explained)?;
        let endpoint = self.registry.endpoint().url().clone();
        Ok(Authorization::new(endpoint, repository, &authorized.headers, authorized.expires))
    }
}

impl Artifactory {
    async fn reached(&self) -> Result<Check> {
        let host = self.registry.endpoint().host();
        let (url, subject) = (self.registry.endpoint().ping(), Subject::Registry);
        let answer = self.registry.fetch(Request::get(url), &Scope::none(), &subject).await;
        let answer = answer.map_err(|error| self.explained(error, "use the registry"))?;
        match answer.status {
            StatusCode::OK if is_artifactory(&answer.headers) => {
                Ok(Check::passed(Check::REACHED, format!("{host} answers as Artifactory")))
            }
            StatusCode::OK => Ok(Check::passed(
                Check::REACHED,
                format!("{host} answers, but does not say that it is Artifactory: a proxy may hide it"),
            )),
            // A server with its repositories below it may have nothing here.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST if self.key.is_none() => Ok(Check::passed(
                Check::REACHED,
                format!("{host} answers, with no repository at /v2/ itself"),
            )),
            status => {
                let error = ProtocolError::UnexpectedStatus { subject, status, registry_code: None };
                Err(self.explained(error, "use the registry"))
            }
        }
    }

    /// The tags of a repository, all at once, by a query; by a listing of files where that is closed to the account.
    /// `None` if it can't be told for certain.
    async fn details(&self, repository: &RepositoryName) -> Protocol<Option<Details>> {
        let Some((key, image)) = self.place_of(repository).await? else { return Ok(None) };
        let details = match self.query(&key, &image, None).await {
            Ok(found) => found.into_details(&key, &image),
            Err(error) if is_closed(&error) => self.files(&key, &image).await?.into_details(),
            Err(error) => return Err(error),
        };
        match details {
            Some(details) if !details.of_one_repository && !details.is_empty() => {
                Ok(details.only(self.all_tags(repository).await?))
            }
            other => Ok(other),
        }
    }

    /// The repository key of a name, and the name within it.
    async fn place_of(&self, name: &RepositoryName) -> Protocol<Option<(String, RepositoryName)>> {
        if let Some(key) = &self.key {
            return Ok(Some((key.clone(), name.clone())));
        }
        if !self.is_whole_server().await? {
            return Ok(None);
        }
        let parts = name.as_str().split_once('/');
        Ok(parts.and_then(|(key, image)| Some((key.to_owned(), image.parse().ok()?))))
    }

    /// Asks in Artifactory's query language, AQL.
    async fn query(&self, key: &str, image: &RepositoryName, limit: Option<u32>) -> Protocol<Found> {
        let mut request = Request::new(Method::POST, self.api.endpoint().below(["api", "search", "aql"]))
            .header(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        request.body = details::query(key, image, limit).into();
        request.max_body_bytes = MAX_QUERY_BYTES;
        self.read(request, image).await
    }

    async fn files(&self, key: &str, image: &RepositoryName) -> Protocol<FileList> {
        let path = ["api", "storage", key].into_iter().chain(image.as_str().split('/'));
        let mut url = self.api.endpoint().below(path);
        url.set_query(Some("list&deep=1&depth=2"));
        let mut request = Request::get(url);
        request.max_body_bytes = MAX_QUERY_BYTES;
        self.read(request, image).await
    }

    async fn read<T: DeserializeOwned>(&self, request: Request, image: &RepositoryName) -> Protocol<T> {
        let (scope, subject) = (Scope::none(), Subject::Tags(image.clone()));
        // A query changes nothing, so it may be tried again although it is a POST.
        let retry = match request.method {
            Method::POST => RetryPolicy::default(),
            _ => RetryPolicy::never(),
        };
        let send = |_| self.api.fetch(request.clone(), &scope, &subject);
        let answer = retry.run(self.api.transport(), send).await?;
        if answer.status != StatusCode::OK {
            return Err(ProtocolError::UnexpectedStatus {
                subject,
                status: answer.status,
                registry_code: None,
            });
        }
        let body = collect(answer.body).await?;
        serde_json::from_slice(&body).map_err(|e| ProtocolError::AnswerInvalid {
            subject,
            reason: format!("it is not the JSON expected, at line {} column {}", e.line(), e.column()),
        })
    }

    async fn all_tags(&self, repository: &RepositoryName) -> Protocol<Vec<Tag>> {
        let (mut tags, mut query) = (Vec::new(), PageQuery::default());
        for _ in 0..listing::MAX_REQUESTS {
            let page = self.registry.tags(repository, &query).await?;
            tags.extend(page.items);
            query.after = page.next;
            if query.after.is_none() {
                return Ok(tags);
            }
        }
        let listing = format!("the tags of {repository}");
        Err(ProtocolError::PagingLimit { listing, limit: listing::MAX_REQUESTS, unit: "pages" })
    }

    /// Looks whether details of a repository's tags can be read, and one of its tags pulled.
    async fn try_out(&self, repository: &RepositoryName) -> Result<Vec<Check>> {
        let metadata = match self.place_of(repository).await {
            Ok(None) => Check::skipped(
                "metadata",
                "tags are listed without push times: set repositoryKey to the key of the repository behind this host",
            ),
            Ok(Some((key, image))) => match self.query(&key, &image, Some(1)).await {
                Ok(_) => Check::passed("metadata", "push times of tags can be read (AQL)"),
                Err(error) if is_closed(&error) => Check::denied(
                    "metadata",
                    format!("{error}; push times are listed if the account may use /api/search/aql"),
                ),
                Err(error) => return Err(self.explained(error, "query")),
            },
            Err(error) => return Err(self.explained(error, "query")),
        };
        let tags = self.registry.tags(repository, &PageQuery::first(1)).await;
        let pull = match tags.map(|page| page.items.into_iter().next()) {
            Ok(Some(tag)) => self.try_pull(repository, tag).await?,
            Ok(None) => Check::skipped(Check::PULL, format!("{repository} has no tag to try it with")),
            Err(error) => self.pull_failed(error, repository.as_str())?,
        };
        Ok(vec![metadata, pull])
    }

    async fn try_pull(&self, repository: &RepositoryName, tag: Tag) -> Result<Check> {
        let image = format!("{repository}:{tag}");
        match self.registry.client(repository.clone()).head_manifest(&Reference::Tag(tag)).await {
            Ok(_) => Ok(Check::passed(Check::PULL, format!("{image} can be pulled"))),
            Err(error) => self.pull_failed(error, &image),
        }
    }

    fn pull_failed(&self, error: ProtocolError, what: &str) -> Result<Check> {
        match error.class() {
            Class::Absent => Ok(Check::skipped(Check::PULL, format!("{error}; try it with another image"))),
            Class::Denied | Class::Authentication => {
                let denied = self.explained(error, &format!("pull {what}"));
                Ok(Check::denied(Check::PULL, denied.message()))
            }
            _ => Err(self.explained(error, &format!("pull {what}"))),
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this way is closed to the account or not there; others may be open.
fn is_closed(error: &ProtocolError) -> bool {
    match error {
        ProtocolError::UnexpectedStatus { status, .. } => {
            status.is_client_error() || status.is_server_error()
        }
        ProtocolError::TooLarge { .. } | ProtocolError::PagingLimit { .. } => true,
        other => matches!(
            other.class(),
            Class::Authentication | Class::Denied | Class::Absent | Class::Unsupported | Class::Refused
        ),
    }
}

fn is_artifactory(headers: &HeaderMap) -> bool {
    ["x-jfrog-version", "x-artifactory-id"].iter().any(|name| headers.contains_key(*name))
}

fn credentials(settings: &Settings) -> Result<Credentials> {
    Ok(match (settings.username_and_password()?, settings.secret("token")) {
        (Some((username, password)), _) => {
            Credentials::Basic { username: username.to_owned(), password: password.clone() }
        }
        (None, Some(token)) => Credentials::Bearer(token.clone()),
        (None, None) => Credentials::Anonymous,
    })
}
