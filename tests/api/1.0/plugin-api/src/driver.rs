//! The trait that a driver implements, and the values it deals in.

use std::fmt;
use std::future::Future;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use regent_oci::{Digest, MediaType, Reference, RepositoryName, Tag};
use url::Url;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::settings::Settings;

/// How many pages are looked at for a first repository, behind the one at hand.
const MAX_LOOKS: usize = 5;

/// One session with one registry.
///
/// The host calls [`Driver::connect`] once per connection and keeps what it returns, so tokens live in `self` behind
/// a lock. Methods may be called side by side, all on one thread of the driver's own; a method that blocks that thread
/// blocks the driver (and only the driver). Each call has a deadline: at its end the future is dropped, which must
/// be safe at every `await`. A panic is an error of that call.
pub trait Driver: Send + Sync + Sized + 'static {
    /// Checks the settings and keeps what is needed of them. No I/O.
    ///
    /// # Errors
    /// [`Error::invalid_setting`] for a setting that is missing or unusable.
    fn connect(settings: Settings, host: Host) -> Result<Self>;

    /// Tests the connection, check by check, such that an operator can act on each outcome: reached, authenticated,
    /// may list, may pull.
    ///
    /// # Errors
    /// When the registry can't be reached or does not take the credentials. A missing right is a [`Check`] with
    /// [`Outcome::Denied`], not an error.
    fn validate(&self) -> impl Future<Output = Result<Validation>> + Send;

    /// One page of the repositories that the connection may see.
    ///
    /// # Errors
    /// Code `catalog_unsupported` (class unsupported) where the registry has no way to list.
    fn repositories(&self, page: PageRequest) -> impl Future<Output = Result<Page<RepositoryName>>> + Send;

    /// One page of a repository's tags.
    fn tags(
        &self,
        repository: &RepositoryName,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Tag>>> + Send;

    /// One page of a repository's tags with what the registry itself knows of each. Without an implementation the
    /// host asks for the tags and then for each tag's digest.
    fn tag_details(
        &self,
        repository: &RepositoryName,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<TagDetail>>> + Send {
        let _ = (repository, page);
        async { Err(Error::unsupported("tag details")) }
    }

    /// Where and with which headers the host may read from a repository over the distribution protocol. Called
    /// anew before [`Authorization::expires`], and once more when the registry answers 401.
    ///
    /// # Errors
    /// Unsupported by a driver with the capability `content`.
    fn authorize(&self, access: Access) -> impl Future<Output = Result<Authorization>> + Send;

    /// A manifest or index, from a driver with the capability `content`. The host verifies the digest.
    fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> impl Future<Output = Result<Content>> + Send {
        let _ = (repository, reference);
        async { Err(Error::unsupported("serving manifests")) }
    }

    /// Opens a blob, from a driver with the capability `content`. The host verifies the digest as it reads.
    fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> impl Future<Output = Result<BlobHandle>> + Send {
        let _ = (repository, digest);
        async { Err(Error::unsupported("serving blobs")) }
    }

    /// The next bytes of an open blob, at most `max_bytes`; none at its end.
    fn read_blob(&self, blob: BlobHandle, max_bytes: usize) -> impl Future<Output = Result<Bytes>> + Send {
        let _ = (blob, max_bytes);
        async { Err(Error::unsupported("serving blobs")) }
    }

    /// Gives an open blob back. Called once for each that was opened, also after an error.
    fn close_blob(&self, blob: BlobHandle) -> impl Future<Output = Result<()>> + Send {
        let _ = blob;
        async { Ok(()) }
    }
}

/// A repository that something can be tried with, such as to pull: the first of `page` or of some pages behind it, since an
/// owner or a namespace may be empty. `None` too where a later page can't be had: that is no reason to fail a test of
/// the connection.
pub async fn first_repository<D: Driver>(
    driver: &D,
    mut page: Page<RepositoryName>,
) -> Option<RepositoryName> {
    for _ in 0..MAX_LOOKS {
        if let Some(repository) = page.items.into_iter().next() {
            return Some(repository);
        }
        page = driver
            .repositories(PageRequest { after: Some(page.next?), ..PageRequest::first() })
            .await
            .ok()?;
    }
    page.items.into_iter().next()
}

/// Which page of a listing.
///
/// ```
/// use regent_plugin_api::url::Url;
/// use regent_plugin_api::{Cursor, PageRequest};
///
/// let page = PageRequest { size: 1000, after: Some(Cursor("b2Zmc2V0".to_owned())) };
/// let mut url = Url::parse("https://registry.example.com/api/repositories")?;
/// url.query_pairs_mut().append_pair("limit", &page.size_up_to(100).to_string());
/// if let Some(token) = page.after() {
///     url.query_pairs_mut().append_pair("token", &token);
/// }
/// assert_eq!(url.query(), Some("limit=100&token=b2Zmc2V0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items are wanted. A driver may return fewer or more; it maps this to what its registry takes.
    pub size: u32,
    /// Where the page before ended; `None` for the first.
    pub after: Option<Cursor>,
}

impl PageRequest {
    /// The first page, of the size that suits most registries.
    pub fn first() -> Self {
        Self { size: 100, after: None }
    }

    /// The size wanted, where the registry takes 1 to `max`.
    pub fn size_up_to(&self, max: u32) -> u32 {
        self.size.clamp(1, max.max(1))
    }

    /// The text of the cursor, for registries whose own mark is one.
    pub fn after(&self) -> Option<String> {
        self.after.as_ref().map(|Cursor(text)| text.clone())
    }
}

/// The driver's own mark of a place in a listing. Opaque to everyone else; it holds no secret, since API clients see
/// it.
///
/// ```
/// use regent_plugin_api::Cursor;
///
/// // The registry's own mark, as it came; or a place of the driver's on one of two ways.
/// let mark = Cursor("last=team%2Fapp&n=100".to_owned());
/// assert_eq!(mark.way(), None);
/// let place = Cursor::on_way("catalog", "last=team%2Fapp");
/// assert_eq!(place.way(), Some(("catalog", "last=team%2Fapp")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

impl Cursor {
    /// A place on one of several ways to list the same thing, such as a native API and the catalog it falls back to.
    pub fn on_way(way: &str, place: impl fmt::Display) -> Self {
        Self(format!("{way}/{place}"))
    }

    /// The way and the place of [`Cursor::on_way`]; `None` for a text that it did not make.
    pub fn way(&self) -> Option<(&str, &str)> {
        self.0.split_once('/')
    }
}

/// A page of a listing, in the registry's order.
///
/// ```
/// use regent_plugin_api::oci::RepositoryName;
/// use regent_plugin_api::{Cursor, Page};
///
/// let (names, next) = (["team/app", "Not A Name", "team/base"], Some("2/100".to_owned()));
/// // What the distribution protocol can't say is left out, and is no error of the whole page.
/// let items: Vec<RepositoryName> = names.iter().filter_map(|name| name.parse().ok()).collect();
/// let page = Page::new(items, next);
/// assert_eq!(page.items.len(), 2);
/// assert_eq!(page.next, Some(Cursor("2/100".to_owned())));
/// assert_eq!(Page::only(page.items).next, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it. May be empty although more pages follow.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end, and that alone is the end.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page, and the registry's own mark of where the next one begins.
    pub fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next: next.map(Cursor) }
    }

    /// A listing of one page.
    pub fn only(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// What the registry itself knows of a tag: never computed, never guessed.
///
/// ```
/// use regent_plugin_api::TagDetail;
///
/// // `parse_rfc3339` has `None` for the year 1, by which many registries say "never".
/// let detail = TagDetail {
///     tag: "1.0".parse()?,
///     digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse()?,
///     pushed: regent_distribution::parse_rfc3339("2026-01-01T00:00:00Z"),
///     size_bytes: None, // this registry keeps none
/// };
/// assert!(detail.pushed.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagDetail {
    /// The tag.
    pub tag: Tag,
    /// What it resolves to: the index, if it is one.
    pub digest: Digest,
    /// When it was last pushed.
    pub pushed: Option<SystemTime>,
    /// The registry's own figure, in bytes.
    pub size_bytes: Option<u64>,
}

/// What [`Driver::authorize`] is asked for: to pull from a repository.
///
/// ```
/// use regent_plugin_api::Access;
/// use regent_plugin_api::http::HeaderValue;
///
/// let kept = Some(HeaderValue::from_static("Bearer of-the-last-login"));
/// let access = Access { repository: "team/app".parse()?, renew: true };
/// assert_eq!(kept.filter(|_| !access.renew), None); // so the driver logs in again
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The repository, by a name that the driver listed.
    pub repository: RepositoryName,
    /// The registry refused the authorization given before: do not answer from a cache.
    pub renew: bool,
}

/// Leave to read from one repository at one endpoint.
///
/// ```
/// use regent_plugin_api::http::{HeaderValue, header::AUTHORIZATION};
/// use regent_plugin_api::{Authorization, url::Url};
///
/// let mut token = HeaderValue::from_static("Bearer s3cr3t");
/// token.set_sensitive(true); // on each secret
/// let authorization = Authorization {
///     endpoint: Url::parse("https://registry.example.com/")?,
///     repository: "team/app".parse()?,
///     headers: vec![(AUTHORIZATION, token)],
///     expires: None,
/// };
/// assert!(!format!("{authorization:?}").contains("s3cr3t"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Authorization {
    /// What stands in front of `/v2/`, e.g. `https://harbor.example.com/`. The headers go nowhere else.
    pub endpoint: Url,
    /// The repository's name in the paths of that endpoint.
    pub repository: RepositoryName,
    /// Headers to send, with secrets marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// When they stop to work; `None` if never.
    pub expires: Option<SystemTime>,
}

impl Authorization {
    /// Leave to send these headers to `endpoint`, as `regent-distribution` gives them.
    ///
    /// ```
    /// use regent_distribution::{Freshness, Session};
    /// use regent_plugin_api::{Access, Authorization, Result};
    ///
    /// async fn authorize(session: &Session, access: Access) -> Result<Authorization> {
    ///     let freshness = Freshness::renewed_if(access.renew);
    ///     let authorized = session.authorization(&access.repository, freshness).await?;
    ///     let endpoint = session.endpoint().url().clone();
    ///     Ok(Authorization::new(endpoint, access.repository, &authorized.headers, authorized.expires))
    /// }
    /// # use regent_distribution::{Endpoint, FixedHeaders};
    /// # let transport = regent_plugin_api::testkit::Script::new().shared();
    /// # let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
    /// # let headers = FixedHeaders::bearer("registry.example.com", &"s3cr3t".into())?;
    /// # let session = Session::new(transport, endpoint, std::sync::Arc::new(headers));
    /// # let access = Access { repository: "team/app".parse()?, renew: false };
    /// # let authorization = futures_executor::block_on(authorize(&session, access)).unwrap();
    /// # assert!(authorization.headers.iter().all(|(_, value)| value == "Bearer s3cr3t" && value.is_sensitive()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        endpoint: Url,
        repository: RepositoryName,
        headers: &HeaderMap,
        expires: Option<SystemTime>,
    ) -> Self {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { endpoint, repository, headers, expires }
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("endpoint", &self.endpoint.as_str())
            .field("repository", &self.repository)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("expires", &self.expires)
            .finish()
    }
}

/// A manifest as it is stored.
///
/// ```
/// use regent_plugin_api::Content;
/// use regent_plugin_api::bytes::Bytes;
/// use regent_plugin_api::oci::MediaType;
///
/// // As they are stored: parsed and written anew, they would have another digest.
/// let bytes = Bytes::from_static(br#"{"schemaVersion": 2, "config": {}, "layers": []}"#);
/// let content = Content { media_type: MediaType::new(MediaType::OCI_MANIFEST), bytes };
/// assert!(content.media_type.is_manifest());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What it is.
    pub media_type: MediaType,
    /// Its bytes, at most [`MAX_MANIFEST_BYTES`](regent_oci::MAX_MANIFEST_BYTES).
    pub bytes: Bytes,
}

/// An open blob, by a number of the driver's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobHandle(pub u64);

/// The outcome of [`Driver::validate`].
///
/// ```
/// use regent_plugin_api::{Check, Validation};
///
/// let checks = vec![
///     Check::passed(Check::REACHED, "registry.example.com answers at /v2/"),
///     Check::passed(Check::AUTHENTICATED, "it accepts the token"),
///     Check::denied(Check::LIST, "the token may not list: give it the role Reader"),
///     Check::skipped(Check::PULL, "there is no repository to try it with"),
/// ];
/// let validation = Validation { registry: "registry.example.com".to_owned(), checks };
/// # assert_eq!(validation.checks[2].outcome, regent_plugin_api::Outcome::Denied);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// The registry as the driver understood it, e.g. `harbor.example.com`.
    pub registry: String,
    /// What was looked at, in order.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
///
/// A right that is missing is a check; what else goes wrong is the error of the whole validation:
///
/// ```
/// use regent_plugin_api::transport::Class;
/// use regent_plugin_api::{Check, Outcome, Result};
///
/// fn list<T>(listed: Result<T>) -> Result<Check> {
///     match listed {
///         Ok(_) => Ok(Check::passed(Check::LIST, "the list of repositories can be read")),
///         Err(error) if error.class() == Class::Denied => Ok(Check::denied(Check::LIST, error.message())),
///         Err(error) => Err(error),
///     }
/// }
/// # use regent_plugin_api::Error;
/// assert_eq!(list(Ok(()))?.outcome, Outcome::Passed);
/// assert_eq!(list::<()>(Err(Error::permission_missing("give it the role Reader")))?.outcome, Outcome::Denied);
/// assert!(list::<()>(Err(Error::credentials_rejected("the token is unknown"))).is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `reached`, `authenticated`, `list`, `pull`, or a name of the driver's own.
    pub name: String,
    /// How it went.
    pub outcome: Outcome,
    /// One sentence: what was seen, and for anything but `passed` what to do.
    pub detail: String,
}

impl Check {
    /// The registry answers.
    pub const REACHED: &str = "reached";
    /// It takes the credentials.
    pub const AUTHENTICATED: &str = "authenticated";
    /// They may list repositories.
    pub const LIST: &str = "list";
    /// They may pull.
    pub const PULL: &str = "pull";

    /// As it should be.
    pub fn passed(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome: Outcome::Passed, detail: detail.into() }
    }

    /// The credentials lack the right that `detail` names.
    pub fn denied(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome: Outcome::Denied, detail: detail.into() }
    }

    /// It did not work.
    pub fn failed(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome: Outcome::Failed, detail: detail.into() }
    }

    /// Not looked at, for the reason in `detail`.
    pub fn skipped(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome: Outcome::Skipped, detail: detail.into() }
    }
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// The credentials lack the right.
    Denied,
    /// It did not work.
    Failed,
    /// Not looked at; the detail says why.
    Skipped,
}
