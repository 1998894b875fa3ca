//! Listings, page by page (distribution-spec 1.1, "Listing Tags", end-8; CNCF Distribution, "Catalog").

use std::collections::HashSet;
use std::hash::Hash;
use std::str::FromStr;

use http::StatusCode;
use regent_oci::{Digest, RepositoryName, Tag};
use regent_transport::Request;
use serde_json::Value;
use url::Url;

use crate::answer::{Failure, read_bounded};
use crate::error::{Error, Subject};
use crate::link::{is_cursor, next_cursor};
use crate::scope::Scope;
use crate::session::Session;

/// Which page of a listing.
///
/// ```
/// use regent_distribution::PageQuery;
///
/// let names = "https://registry.example.com/v2/_catalog";
/// assert_eq!(PageQuery::first(100).on(names.parse()?)?.query(), Some("n=100"));
/// // The mark of a place has all that the next page needs, the size as well.
/// let query = PageQuery { n: Some(100), after: Some("n=100&last=team%2Fapp".to_owned()) };
/// assert_eq!(query.on(names.parse()?)?.query(), Some("n=100&last=team%2Fapp"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageQuery {
    /// How many items are wanted; `None` leaves it to the registry. Some truncate without notice when asked (Nexus),
    /// some refuse a number that is too large; a page may have fewer or more in any case.
    pub n: Option<u32>,
    /// [`Page::next`] of the page before; `None` for the first. It carries all state there is, so that pages can be
    /// asked for by different processes.
    pub after: Option<String>,
}

impl PageQuery {
    /// The first page, of about this size.
    pub fn first(n: u32) -> Self {
        Self { n: Some(n), after: None }
    }

    /// `url`, at this page: for listings of a registry's own API.
    ///
    /// # Errors
    /// [`Error::CursorInvalid`].
    pub fn on(&self, mut url: Url) -> Result<Url, Error> {
        match &self.after {
            // Also from an API client, so it is looked at; it stays a query on our path, whatever it is.
            Some(after) if is_cursor(after) => url.set_query(Some(after)),
            Some(_) => return Err(Error::CursorInvalid),
            None => {
                if let Some(n) = self.n {
                    url.query_pairs_mut().append_pair("n", &n.to_string());
                }
            }
        }
        Ok(url)
    }
}

/// A page of a listing, in the registry's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it, each once. May be empty although more pages follow.
    pub items: Vec<T>,
    /// Where the next page begins, opaque; `None` at the end, and that alone is the end.
    pub next: Option<String>,
    /// How many elements were left out since they are no names of the specification's grammar.
    pub skipped: usize,
}

impl Session {
    /// One page of the repositories (`GET /v2/_catalog`). `scope` is [`Scope::catalog`] with most registries and
    /// [`Scope::none`] with Quay.
    ///
    /// ```
    /// use http::header::LINK;
    /// use regent_distribution::{Credentials, Endpoint, PageQuery, Scope, Session};
    /// use regent_plugin_api::testkit::{Exchange, Script};
    ///
    /// # futures_executor::block_on(async {
    /// let page = Exchange::get("https://registry.example.com/v2/_catalog?n=1")
    ///     .answer(http::StatusCode::OK, r#"{"repositories": ["team/app"]}"#)
    ///     .answer_header(LINK, "</v2/_catalog?n=1&last=team%2Fapp>; rel=\"next\"");
    /// let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
    /// let session = Session::with_credentials(Script::new().then(page).shared(), endpoint, Credentials::Anonymous);
    /// let page = session.catalog(&PageQuery::first(1), &Scope::catalog()).await?;
    /// assert_eq!(page.items, ["team/app".parse()?]);
    /// assert_eq!(page.next.as_deref(), Some("n=1&last=team%2Fapp"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::CatalogUnsupported`] where there is no such listing; [`Error::PermissionMissing`];
    /// [`Error::CursorInvalid`]; [`Error::PagingLoop`]; else as [`Session::send`].
    pub async fn catalog(&self, query: &PageQuery, scope: &Scope) -> Result<Page<RepositoryName>, Error> {
        let url = self.endpoint().catalog();
        let page = fetch_page(self, url, query, scope, &Subject::Catalog, "repositories").await;
        page.map_err(|error| match error {
            Error::UnexpectedStatus { status, .. } if is_no_listing(status) => {
                Error::CatalogUnsupported { host: self.endpoint().host(), status }
            }
            Error::NotFound { .. } => {
                Error::CatalogUnsupported { host: self.endpoint().host(), status: StatusCode::NOT_FOUND }
            }
            other => other,
        })
    }

    /// One page of a listing of a registry's own API that has the form of the protocol's: an object with the names in the
    /// list `key`, a page's size in `n`, the next page in `Link`. ACR's `/acr/v1/_catalog` is one.
    ///
    /// # Errors
    /// As [`Session::send`]; [`Error::CursorInvalid`]; [`Error::PagingLoop`].
    pub async fn names<T: FromStr + Eq + Hash + Clone>(
        &self,
        url: Url,
        query: &PageQuery,
        scope: &Scope,
        subject: &Subject,
        key: &'static str,
    ) -> Result<Page<T>, Error> {
        fetch_page(self, url, query, scope, subject, key).await
    }

    /// One page of a repository's tags (`GET /v2/<name>/tags/list`).
    ///
    /// ```
    /// use regent_distribution::PageQuery;
    /// # use http::header::LINK;
    /// # use regent_distribution::{Credentials, Endpoint, Session};
    /// # use regent_plugin_api::testkit::{Exchange, Script};
    ///
    /// # futures_executor::block_on(async {
    /// # let at = |query: &str| Exchange::get(&format!("https://registry.example.com/v2/team/app/tags/list?{query}"));
    /// # let first = at("n=1").answer(http::StatusCode::OK, r#"{"tags": ["1.0"]}"#);
    /// # let script = Script::new()
    /// #     .then(first.answer_header(LINK, "</v2/team/app/tags/list?n=1&last=1.0>; rel=\"next\""))
    /// #     .then(at("n=1&last=1.0").answer(http::StatusCode::OK, r#"{"tags": ["latest"]}"#));
    /// # let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
    /// # let session = Session::with_credentials(script.shared(), endpoint, Credentials::Anonymous);
    /// let (repository, mut query) = ("team/app".parse()?, PageQuery::first(1));
    /// let mut tags = Vec::new();
    /// loop {
    ///     let page = session.tags(&repository, &query).await?;
    ///     tags.extend(page.items);
    ///     query.after = page.next;
    ///     if query.after.is_none() {
    ///         break;
    ///     }
    /// }
    /// assert_eq!(tags, ["1.0".parse()?, "latest".parse()?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`]: unknown, hidden, or with some registries emptied; else as [`Session::catalog`].
    pub async fn tags(&self, repository: &RepositoryName, query: &PageQuery) -> Result<Page<Tag>, Error> {
        let url = self.endpoint().tags(repository);
        let subject = Subject::Tags(repository.clone());
        fetch_page(self, url, query, &Scope::pull(repository), &subject, "tags").await
    }
}

fn is_no_listing(status: StatusCode) -> bool {
    matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

async fn fetch_page<T: FromStr + Eq + Hash + Clone>(
    session: &Session,
    url: Url,
    query: &PageQuery,
    scope: &Scope,
    subject: &Subject,
    key: &'static str,
) -> Result<Page<T>, Error> {
    let mut url = query.on(url)?;
    let mut response = session.fetch(Request::get(url.clone()), scope, subject).await?;
    if matches!(response.status, StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED) {
        let status = response.status;
        let failure = Failure::read(response.body).await;
        // Distribution above 1000 is a 400, ECR a 405; then the registry chooses.
        let too_many = failure.is("PAGINATION_NUMBER_INVALID") || status == StatusCode::METHOD_NOT_ALLOWED;
        let Some(without) = without_n(&url).filter(|_| too_many) else {
            return Err(failure.into_error(status, subject));
        };
        url = without;
        response = session.fetch(Request::get(url.clone()), scope, subject).await?;
    }
    if response.status != StatusCode::OK {
        return Err(Failure::read(response.body).await.into_error(response.status, subject));
    }
    let next = next_cursor(&response.headers, subject)?;
    if next.is_some() && next.as_deref() == query.after.as_deref() {
        return Err(Error::PagingLoop { listing: subject.to_string() });
    }
    let body = read_bounded(response.body, Request::DEFAULT_MAX_BODY_BYTES, subject).await?;
    let (items, skipped) = parse_names(&body, key, subject)?;
    Ok(Page { items, next, skipped })
}

/// The URL without its `n`; `None` if it has none.
fn without_n(url: &Url) -> Option<Url> {
    let query = url.query()?;
    let is_n = |pair: &&str| pair.split('=').next() == Some("n");
    if !query.split('&').any(|pair| is_n(&pair)) {
        return None;
    }
    let rest: Vec<&str> = query.split('&').filter(|pair| !is_n(pair)).collect();
    let mut url = url.clone();
    url.set_query((!rest.is_empty()).then(|| rest.join("&")).as_deref());
    Some(url)
}

/// The names in `key` of a listing, and how many were no names. Nexus lists `null`, Artifactory digests among tags;
/// a missing or null list is an empty one.
fn parse_names<T: FromStr + Eq + Hash + Clone>(
    body: &[u8],
    key: &'static str,
    subject: &Subject,
) -> Result<(Vec<T>, usize), Error> {
    let fail = |reason: String| Error::AnswerInvalid { subject: subject.clone(), reason };
    let listing: Value = serde_json::from_slice(body).map_err(|_| fail("it is not JSON".to_owned()))?;
    let listing = listing.as_object().ok_or_else(|| fail("it is not an object".to_owned()))?;
    if listing.contains_key("errors") {
        return Err(fail("it is an error with the status of a success".to_owned()));
    }
    let elements: &[Value] = match listing.get(key) {
        Some(Value::Array(elements)) => elements,
        Some(Value::Null) | None => &[],
        Some(_) => return Err(fail(format!("its {key} are no list"))),
    };
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(elements.len());
    let mut skipped = 0;
    for element in elements {
        match element {
            Value::Null => {}
            Value::String(text) if text.is_empty() || text.parse::<Digest>().is_ok() => {}
            Value::String(text) => match text.parse::<T>() {
                Ok(name) => {
                    if seen.insert(name.clone()) {
                        names.push(name);
                    }
                }
                Err(_) => skipped += 1,
            },
            _ => skipped += 1,
        }
    }
    Ok((names, skipped))
}
