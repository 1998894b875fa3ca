//! Sends requests to one registry: authorization, redirects, trying again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, Method, StatusCode};
use regent_oci::RepositoryName;
use regent_transport::{Body, Request, Response, RetryPolicy, Transport};
use serde::de::DeserializeOwned;
use url::Url;

use crate::answer::{Failure, MAX_ERROR_BYTES, read_bounded, success, transient};
use crate::authenticator::Authenticator;
use crate::authorize::{Ask, Authorized, Authorizer, Credentials, Proof, Refusal};
use crate::challenge::Challenge;
use crate::client::Client;
use crate::endpoint::{Endpoint, host_and_port};
use crate::error::{Error, Subject};
use crate::redirect::{RedirectPolicy, is_redirect, origin_text, same_origin};
use crate::scope::Scope;

/// "Wait for at least one minute before retrying", says GitHub of a 403 that names a rate limit and no time.
const UNSPECIFIED_WAIT: Duration = Duration::from_mins(1);

/// A registry and the right to read from it. Cheap to clone; clones share their authorization.
///
/// ```
/// use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
/// use regent_distribution::{Credentials, Endpoint, Session};
/// use regent_plugin_api::testkit::{Exchange, Script};
///
/// # futures_executor::block_on(async {
/// let ping = Exchange::get("https://registry.example.com/v2/");
/// let bare = ping.clone().without_header(AUTHORIZATION).answer(http::StatusCode::UNAUTHORIZED, "{}");
/// let script = Script::new() // a driver has a `Host` in its place
///     .then(bare.answer_header(WWW_AUTHENTICATE, "Basic realm=\"acme\""))
///     .then(ping.with_secret_header(AUTHORIZATION, "Basic cm9ib3Q6czNjcjN0")?)
///     .shared();
/// let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
/// let credentials = Credentials::Basic { username: "robot".to_owned(), password: "s3cr3t".into() };
/// Session::with_credentials(script.clone(), endpoint, credentials).ping().await?;
/// script.assert_finished();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Session {
    transport: Arc<dyn Transport>,
    endpoint: Endpoint,
    authorizer: Arc<dyn Authorizer>,
    retry: RetryPolicy,
    redirects: RedirectPolicy,
}

/// Whether [`Session::authorization`] may answer from a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It may.
    Cached,
    /// The registry refused what it gave before.
    Renewed,
}

impl Freshness {
    /// [`Freshness::Renewed`] if the registry refused what it was given before.
    pub fn renewed_if(refused: bool) -> Self {
        if refused { Self::Renewed } else { Self::Cached }
    }
}

impl Session {
    /// A session at this endpoint. No request is made.
    pub fn new(transport: Arc<dyn Transport>, endpoint: Endpoint, authorizer: Arc<dyn Authorizer>) -> Self {
        Self {
            transport,
            endpoint,
            authorizer,
            retry: RetryPolicy::default(),
            redirects: RedirectPolicy::default(),
        }
    }

    /// A session that answers challenges with these credentials, at token services of the registry's own host. For
    /// others see [`Authenticator::with_realm_host`].
    pub fn with_credentials(
        transport: Arc<dyn Transport>,
        endpoint: Endpoint,
        credentials: Credentials,
    ) -> Self {
        let authenticator = Authenticator::new(Arc::clone(&transport), &endpoint, credentials);
        Self::new(transport, endpoint, Arc::new(authenticator))
    }

    /// Tries again by this policy.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Follows redirects by this policy.
    #[must_use]
    pub fn with_redirects(mut self, redirects: RedirectPolicy) -> Self {
        self.redirects = redirects;
        self
    }

    /// Where it sends to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it sends over.
    pub fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    pub(crate) fn retry_policy(&self) -> RetryPolicy {
        self.retry
    }

    /// Reads from one repository.
    pub fn client(&self, repository: RepositoryName) -> Client {
        Client::new(self.clone(), repository)
    }

    /// `GET /v2/`: whether there is a registry, and whether it takes the credentials if it asks for any. A registry
    /// that serves some repositories to everyone may not ask here.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no registry, or a wrong path. Else as [`Session::send`].
    pub async fn ping(&self) -> Result<(), Error> {
        let request = Request::get(self.endpoint.ping());
        let response = self.fetch(request, &Scope::none(), &Subject::Registry).await?;
        success(response, Request::DEFAULT_MAX_BODY_BYTES, &Subject::Registry).await.map(drop)
    }

    /// Sends a request for `url` and parses the JSON of a 200, whatever its `Content-Type` says: ECR sends tags as
    /// `text/plain`. The headers are there for paging: see [`next_cursor`](crate::next_cursor).
    ///
    /// ```
    /// # use regent_distribution::{Credentials, Endpoint, Scope, Session, Subject};
    /// # use regent_plugin_api::testkit::{Exchange, Script};
    /// #[derive(serde::Deserialize)]
    /// struct Project {
    ///     name: String,
    /// }
    ///
    /// # futures_executor::block_on(async {
    /// # let answer = Exchange::get("https://registry.example.com/api/v1/projects");
    /// # let script = Script::new().then(answer.answer(http::StatusCode::OK, r#"[{"name": "team", "id": 7}]"#)).shared();
    /// # let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
    /// # let session = Session::with_credentials(script, endpoint, Credentials::Anonymous);
    /// let url = session.endpoint().below(["api", "v1", "projects"]);
    /// let subject = Subject::Other("the list of projects".to_owned());
    /// let (projects, _headers): (Vec<Project>, _) = session.fetch_json(url, &Scope::none(), &subject).await?;
    /// assert_eq!(projects[0].name, "team");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Session::send`], and for any other status than 200.
    pub async fn fetch_json<T: DeserializeOwned>(
        &self,
        url: Url,
        scope: &Scope,
        subject: &Subject,
    ) -> Result<(T, HeaderMap), Error> {
        let (body, headers) = self.fetch_whole(url, scope, subject).await?;
        let value = serde_json::from_slice(&body).map_err(|e| Error::AnswerInvalid {
            subject: subject.clone(),
            reason: format!("it is not the JSON expected, at line {} column {}", e.line(), e.column()),
        })?;
        Ok((value, headers))
    }

    /// The part of [`Session::fetch_json`] that is the same for all types: once in a library, not once for each.
    async fn fetch_whole(
        &self,
        url: Url,
        scope: &Scope,
        subject: &Subject,
    ) -> Result<(Bytes, HeaderMap), Error> {
        let response = self.fetch(Request::get(url), scope, subject).await?;
        let headers = response.headers.clone();
        let body = success(response, Request::DEFAULT_MAX_BODY_BYTES, subject).await?;
        Ok((body, headers))
    }

    /// Sends a request with its authorization and returns the answer that stands in the end: GET and HEAD are
    /// redirected and tried again, a challenge is answered once. The URL must be on the endpoint's origin.
    ///
    /// The answer may have any status but 401, 403, 408, 429 and 5xx. Dropping the future cancels the request.
    ///
    /// # Errors
    /// Those of the statuses above: [`Error::CredentialsRejected`], [`Error::PermissionMissing`],
    /// [`Error::NotFound`] (Harbor's way to say so is an empty challenge), [`Error::RateLimited`],
    /// [`Error::Unavailable`]; of redirects and of the transport.
    pub async fn send(&self, request: Request, scope: &Scope, subject: &Subject) -> Result<Response, Error> {
        self.exchange(request, scope, subject, Reading::Head).await
    }

    /// As [`Session::send`], with the body read whole, up to [`Request::max_body_bytes`]: a connection that breaks
    /// within it is a reason to try again too.
    ///
    /// # Errors
    /// As [`Session::send`]; [`Error::TooLarge`].
    pub async fn fetch(&self, request: Request, scope: &Scope, subject: &Subject) -> Result<Response, Error> {
        self.exchange(request, scope, subject, Reading::Whole).await
    }

    async fn exchange(
        &self,
        request: Request,
        scope: &Scope,
        subject: &Subject,
        reading: Reading,
    ) -> Result<Response, Error> {
        if !same_origin(&request.url, self.endpoint.url()) {
            let reason = format!("{} is not where this session's requests go", origin_text(&request.url));
            return Err(Error::Endpoint { reason });
        }
        let first = self.authorizer.authorize(scope, Ask::Cached).await?;
        let response = self.dispatch(&request, &first.headers, subject, reading).await?;
        let (refusal, failure) = match self.sift(response, subject, first.headers).await? {
            Sifted::Answer(response) => return Ok(response),
            Sifted::Refused(refusal, failure) => (refusal, failure),
        };
        let second = self.authorizer.authorize(scope, Ask::Refused(&refusal)).await;
        let second = second.map_err(|error| explained(error, &failure, subject))?;
        let proof = second.proof;
        let response = self.dispatch(&request, &second.headers, subject, reading).await?;
        match self.sift(response, subject, second.headers).await? {
            Sifted::Answer(response) => Ok(response),
            Sifted::Refused(refusal, failure) => Err(self.final_refusal(&refusal, failure, proof, subject)),
        }
    }

    /// Headers for reading from a repository, for whoever sends the requests: a driver's `authorize`.
    ///
    /// If nothing is known of the registry yet, `/v2/` is asked for its challenge, and if that needs none, the
    /// repository's tags are: Artifactory, for one, serves the former to everyone.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use regent_distribution::{Endpoint, FixedHeaders, Freshness, Session};
    ///
    /// # futures_executor::block_on(async {
    /// # let host = regent_plugin_api::Host::new(regent_plugin_api::testkit::Script::new().shared());
    /// let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
    /// let headers = FixedHeaders::bearer("registry.example.com", &"s3cr3t".into())?;
    /// let session = Session::new(Arc::new(host), endpoint, Arc::new(headers));
    /// let authorized = session.authorization(&"team/app".parse()?, Freshness::Cached).await?;
    /// assert_eq!(authorized.headers["authorization"], "Bearer s3cr3t");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Session::send`].
    pub async fn authorization(
        &self,
        repository: &RepositoryName,
        freshness: Freshness,
    ) -> Result<Authorized, Error> {
        let scope = Scope::pull(repository);
        let ask = match freshness {
            Freshness::Cached => Ask::Cached,
            Freshness::Renewed => Ask::Anew,
        };
        let known = self.authorizer.authorize(&scope, ask).await?;
        if !known.headers.is_empty() {
            return Ok(known);
        }
        let mut tags = self.endpoint.tags(repository);
        tags.set_query(Some("n=1"));
        let probes = [(self.endpoint.ping(), Subject::Registry), (tags, Subject::Tags(repository.clone()))];
        for (url, subject) in probes {
            self.send(Request::get(url), &scope, &subject).await?;
            let learned = self.authorizer.authorize(&scope, Ask::Cached).await?;
            if !learned.headers.is_empty() {
                return Ok(learned);
            }
        }
        Ok(Authorized::nothing())
    }

    /// One request with its redirects, tried again where that makes sense.
    async fn dispatch(
        &self,
        request: &Request,
        authorization: &HeaderMap,
        subject: &Subject,
        reading: Reading,
    ) -> Result<Response, Error> {
        let mut request = request.clone();
        for (name, value) in authorization {
            request.headers.insert(name.clone(), value.clone());
        }
        let idempotent = matches!(request.method, Method::GET | Method::HEAD);
        let policy = if idempotent { self.retry } else { RetryPolicy::never() };
        policy.run(&*self.transport, |_| self.follow(request.clone(), subject, reading)).await
    }

    async fn follow(
        &self,
        mut request: Request,
        subject: &Subject,
        reading: Reading,
    ) -> Result<Response, Error> {
        let registry = self.endpoint.url();
        for _ in 0..=self.redirects.max_hops {
            let response = self.transport.send(request.clone()).await?;
            let host = host_and_port(&request.url);
            if let Some(error) = transient(&host, response.status, &response.headers, &*self.transport) {
                return Err(error);
            }
            if !same_origin(&request.url, registry)
                && matches!(response.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            {
                // Not the registry's challenge: its password has no business there. A signed URL may have expired,
                // which is why this is tried again, from the registry's URL.
                return Err(Error::RedirectTarget {
                    host,
                    subject: subject.clone(),
                    status: response.status,
                });
            }
            if !is_redirect(&request.method, response.status) {
                return match reading {
                    Reading::Head => Ok(response),
                    Reading::Whole => read_whole(response, request.max_body_bytes, subject).await,
                };
            }
            request = self.redirects.follow(&request, &response.headers, registry, subject)?;
        }
        let (target, reason) = (origin_text(&request.url), "there are too many redirects");
        Err(Error::RedirectRefused { subject: subject.clone(), target, reason })
    }

    /// Looks at an answer for what it says of the authorization.
    async fn sift(&self, response: Response, subject: &Subject, sent: HeaderMap) -> Result<Sifted, Error> {
        match response.status {
            StatusCode::UNAUTHORIZED => {
                let challenges = Challenge::parse(&response.headers);
                let mut values = response.headers.get_all(WWW_AUTHENTICATE).iter().peekable();
                let empty = values.peek().is_some() && values.all(|v| v.as_bytes().trim_ascii().is_empty());
                let status = response.status;
                let failure = Failure::read(response.body).await;
                if empty {
                    return Err(Error::NotFound { subject: subject.clone(), registry_code: failure.code });
                }
                Ok(Sifted::Refused(Refusal { status, challenges, sent }, failure))
            }
            StatusCode::FORBIDDEN => {
                let status = response.status;
                let failure = Failure::read(response.body).await;
                if failure.says_limited {
                    return Err(Error::RateLimited {
                        host: self.endpoint.host(),
                        after: Some(UNSPECIFIED_WAIT),
                    });
                }
                if failure.says_expired && !sent.is_empty() {
                    return Ok(Sifted::Refused(Refusal { status, challenges: Vec::new(), sent }, failure));
                }
                Err(failure.into_error(status, subject))
            }
            // public.ecr.aws answers an expired token with 400 and no challenge.
            StatusCode::BAD_REQUEST if !sent.is_empty() => {
                let Response { status, headers, body } = response;
                let bytes = read_bounded(body, MAX_ERROR_BYTES, subject).await.unwrap_or_default();
                let failure = Failure::of(&bytes);
                if failure.says_expired {
                    return Ok(Sifted::Refused(Refusal { status, challenges: Vec::new(), sent }, failure));
                }
                Ok(Sifted::Answer(Response { status, headers, body: Body::whole(bytes) }))
            }
            _ => Ok(Sifted::Answer(response)),
        }
    }

    /// What the refusal of a renewed authorization means: whoever issued a token has taken the credentials, so they
    /// lack a right.
    fn final_refusal(&self, refusal: &Refusal, failure: Failure, proof: Proof, subject: &Subject) -> Error {
        let insufficient = |c: &Challenge| matches!(c, Challenge::Bearer { error: Some(error), .. } if error == "insufficient_scope");
        let lacks_a_right = proof == Proof::TokenIssued
            || refusal.status == StatusCode::FORBIDDEN
            || failure.is("DENIED")
            || refusal.challenges.iter().any(insufficient);
        if lacks_a_right {
            return Error::PermissionMissing { subject: subject.clone(), registry_code: failure.code };
        }
        if refusal.sent.is_empty() {
            return Error::CredentialsMissing { host: self.endpoint.host(), subject: subject.clone() };
        }
        Error::CredentialsRejected { host: self.endpoint.host(), registry_code: failure.code }
    }
}

/// How much of an answer is part of the attempt.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// Status and headers; the body is for the caller to read.
    Head,
    /// All of it.
    Whole,
}

async fn read_whole(response: Response, limit_bytes: u64, subject: &Subject) -> Result<Response, Error> {
    let Response { status, headers, body } = response;
    let body = Body::whole(read_bounded(body, limit_bytes, subject).await?);
    Ok(Response { status, headers, body })
}

/// An authorizer's error with what it can't know: the object, and what the registry said.
fn explained(error: Error, failure: &Failure, subject: &Subject) -> Error {
    match error {
        Error::CredentialsMissing { host, .. } => {
            Error::CredentialsMissing { host, subject: subject.clone() }
        }
        Error::CredentialsRejected { .. } if failure.is("DENIED") => {
            Error::PermissionMissing { subject: subject.clone(), registry_code: failure.code.clone() }
        }
        Error::CredentialsRejected { host, registry_code: None } => {
            Error::CredentialsRejected { host, registry_code: failure.code.clone() }
        }
        other => other,
    }
}

/// An answer, looked at for what it says of the authorization.
enum Sifted {
    Answer(Response),
    Refused(Refusal, Failure),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("endpoint", &self.endpoint)
            .field("retry", &self.retry)
            .field("redirects", &self.redirects)
            .finish_non_exhaustive()
    }
}
