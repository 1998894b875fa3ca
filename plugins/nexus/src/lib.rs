//! Nexus Repository: a Docker repository at a connector, a subdomain or a path; the REST API knows when tags were
//! pushed.
//!
//! Nexus serves no list of images but the catalog, which it gives whole in one answer, so that is what lists. Without
//! `n`: older versions and groups cut a list at `n` and do not say that there is more.
//!
//! More than 400 lines, for what comes together here: addresses of four kinds (`address`), a password that has to go out
//! unasked (`authorizer`), and groups, whose members the search tells apart while `/v2/` does not (`Nexus::settled`).

#![forbid(unsafe_code)]

mod address;
mod authorizer;
mod search;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regent_distribution::{
    Credentials, Endpoint, Error as ProtocolError, Freshness, PageQuery, Scope, Session, Subject,
};
use regent_plugin_api::oci::{Reference, RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::url::form_urlencoded;
use regent_plugin_api::{
    Access, Authorization, Check, Cursor, Driver, Error, Host, LogLevel, Page, PageRequest, Result, Settings,
    TagDetail, Validation,
};

use crate::address::{Address, Rest};
use crate::authorizer::AtHome;
use crate::search::Hit;

/// The registry's own figures: digest and time of push.
const METADATA: &str = "metadata";

struct Nexus {
    host: Host,
    /// `/v2/`.
    registry: Session,
    /// The REST API, if it is known where.
    search: Option<(Session, Rest)>,
    is_anonymous: bool,
    /// Whether `/v2/` has said how it wants to be asked.
    is_known: AtomicBool,
}

regent_plugin_api::export_driver! {
    Nexus,
    name: "nexus",
    summary: "Sonatype Nexus Repository 3",
    types: ["nexus-cr", "NexusCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "a connector (host:port), a subdomain, or host[:port]/repository/<name>" },
        { name: "username", required: false, secret: false, help: "a user, or the name code of a user token; without one, what everyone may read" },
        { name: "password", required: false, secret: true, help: "the password, or the pass code of the user token" },
        { name: "restBase", required: false, secret: false, help: "host[:port][/context] of Nexus itself, where registryBase is a connector: for the times of pushes" },
        { name: "repositoryName", required: false, secret: false, help: "the repository that the connector serves, along with restBase" },
    ],
    egress: ["{restBase}"],
}

impl Driver for Nexus {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let Address { registry, rest } = Address::of(&settings)?;
        let transport = Arc::new(host.clone());
        let credentials = match settings.username_and_password()? {
            Some((username, password)) => {
                Credentials::Basic { username: username.to_owned(), password: password.clone() }
            }
            None => Credentials::Anonymous,
        };
        let session = |endpoint: Endpoint| {
            let authorizer = AtHome::new(transport.clone(), &endpoint, credentials.clone());
            Session::new(transport.clone(), endpoint, Arc::new(authorizer))
        };
        let search = rest.map(|rest| (session(rest.endpoint.clone()), rest));
        Ok(Self {
            host,
            registry: session(registry),
            search,
            is_anonymous: settings.username().is_none(),
            is_known: AtomicBool::new(false),
        })
    }

    async fn validate(&self) -> Result<Validation> {
        let registry = self.registry.endpoint().host();
        match self.registry.ping().await {
            Ok(()) => {}
            // To whom it does not know it says 401.
            Err(error) if error.class() == Class::Denied => {}
            Err(error) => return Err(self.explained(error)),
        }
        let reached = Check::passed(Check::REACHED, format!("{registry} answers at /v2/"));
        let authenticated = if self.is_anonymous {
            Check::skipped(Check::AUTHENTICATED, "the connection has no username: it reads what everyone may")
        } else {
            Check::passed(Check::AUTHENTICATED, format!("{registry} accepts the user name and password"))
        };
        let (list, first) = self.may_list().await?;
        let (pull, metadata) = if let Some(image) = &first {
            (self.may_pull(image).await?, self.may_search(image).await?)
        } else {
            let why = "there is no repository to try it with";
            (Check::skipped(Check::PULL, why), Check::skipped(METADATA, why))
        };
        Ok(Validation { registry, checks: vec![reached, authenticated, list, pull, metadata] })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let query = whole(&page)?;
        let listed = self.registry.catalog(&query, &Scope::catalog()).await;
        let listed = listed.map_err(|error| self.explained(error))?;
        Ok(Page::new(listed.items, listed.next))
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let query = whole(&page)?;
        let listed = self.registry.tags(repository, &query).await.map_err(|error| self.explained(error))?;
        Ok(Page::new(listed.items, listed.next))
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        let Some((session, rest)) = &self.search else {
            return Err(Error::unsupported("details of tags without restBase and repositoryName"));
        };
        let (before, token) = match &page.after {
            Some(cursor) => {
                cursor.way().map(|(b, t)| (Some(b), Some(t))).ok_or_else(Error::invalid_cursor)?
            }
            None => (None, None),
        };
        let found = match search::page(session, rest, repository, token).await {
            Ok(found) => found,
            Err(error) if search::is_closed(&error) && token.is_none() => {
                let why = "their digests are asked for one by one, and there are no times of pushes";
                self.host.log(LogLevel::Warn, format!("{error}; {why}: grant {}", self.rights()));
                return Err(Error::unsupported("details of tags where the REST API can't be searched"));
            }
            Err(ProtocolError::UnexpectedStatus { .. }) if token.is_some() => {
                return Err(Error::invalid_cursor());
            }
            Err(error) => return Err(self.explained(error)),
        };
        let next = found.next.clone();
        let mut hits = found.into_hits(repository);
        if token.is_none() && next.is_none() && hits.is_empty() {
            // Without the right to browse Nexus finds nothing, and nothing while it has not indexed yet.
            return Err(Error::unsupported("details of tags that the search does not find"));
        }
        hits.retain(|hit| Some(hit.detail.tag.as_str()) != before);
        let last = hits.last().map(|hit| hit.detail.tag.as_str().to_owned());
        let last = last.or(before.map(str::to_owned)).unwrap_or_default();
        let items = self.settled(repository, rest, hits, next.is_some()).await?;
        Ok(Page { items, next: next.map(|token| Cursor::on_way(&last, token)) })
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let repository = access.repository;
        // Whether it is the password or a token that Nexus wants shows when it is asked: once, and again when what it was
        // given is refused; then about the repository, which says why if neither will do.
        let asked = if access.renew {
            self.registry.tags(&repository, &PageQuery::first(1)).await.map(drop)
        } else if self.is_known.load(Ordering::Relaxed) {
            Ok(())
        } else {
            self.registry.ping().await
        };
        match asked {
            Ok(()) => self.is_known.store(true, Ordering::Relaxed),
            Err(error)
                if error.class() == Class::Authentication
                    || (access.renew && error.class() == Class::Denied) =>
            {
                return Err(self.explained(error));
            }
            Err(_) => {} // whoever reads from it will see
        }
        let freshness = Freshness::renewed_if(access.renew);
        let authorized = self.registry.authorization(&repository, freshness).await;
        let authorized = authorized.map_err(|error| self.explained(error))?;
        let endpoint = self.registry.endpoint().url().clone();
        Ok(Authorization::new(endpoint, repository, &authorized.headers, authorized.expires))
    }
}

impl Nexus {
    /// One detail for each tag. A group finds a tag once for each member that has it, in no order that tells which one
    /// the group serves; where they differ, or may go on to differ on the next page, `/v2/` knows.
    async fn settled(
        &self,
        image: &RepositoryName,
        rest: &Rest,
        hits: Vec<Hit>,
        has_more: bool,
    ) -> Result<Vec<TagDetail>> {
        let client = self.registry.client(image.clone());
        let mut items = Vec::with_capacity(hits.len());
        let mut hits = hits.into_iter().peekable();
        while let Some(Hit { detail, member }) = hits.next() {
            let mut same = vec![detail.clone()];
            while let Some(other) = hits.next_if(|other| other.detail.tag == detail.tag) {
                same.push(other.detail);
            }
            let is_cut = has_more && member != rest.repository && hits.peek().is_none();
            if !is_cut && same.iter().all(|other| other.digest == detail.digest) {
                items.push(detail);
                continue;
            }
            match client.head_manifest(&Reference::Tag(detail.tag.clone())).await {
                Ok(head) => {
                    let served = same.into_iter().find(|other| other.digest == head.digest);
                    let digest = head.digest;
                    items.push(served.unwrap_or(TagDetail { digest, pushed: None, ..detail }));
                }
                Err(error) if error.class() == Class::Absent => {} // gone in the meantime
                Err(error) => return Err(self.explained(error)),
            }
        }
        Ok(items)
    }

    /// And a repository to try the rest with.
    async fn may_list(&self) -> Result<(Check, Option<RepositoryName>)> {
        // Here `n` can do no harm: one is enough.
        let page = match self.registry.catalog(&PageQuery::first(1), &Scope::catalog()).await {
            Ok(page) => page,
            Err(error) => {
                return match self.explained(error) {
                    denied if denied.class() == Class::Denied => {
                        Ok((Check::denied(Check::LIST, denied.message()), None))
                    }
                    missing if missing.class() == Class::Unsupported => {
                        Ok((Check::failed(Check::LIST, missing.message()), None))
                    }
                    other => Err(other),
                };
            }
        };
        let first = page.items.into_iter().next();
        let detail = match first {
            Some(_) => "the list of repositories can be read".to_owned(),
            None => {
                format!("the list of repositories is empty: if it should not be, grant {}", self.rights())
            }
        };
        Ok((Check::passed(Check::LIST, detail), first))
    }

    async fn may_pull(&self, image: &RepositoryName) -> Result<Check> {
        let tags = self.registry.tags(image, &PageQuery::first(1)).await;
        let tag = match tags {
            Ok(page) => page.items.into_iter().next(),
            Err(error) => return self.pull_failed(error),
        };
        let Some(tag) = tag else {
            return Ok(Check::skipped(Check::PULL, format!("{image} has no tag to try it with")));
        };
        match self.registry.client(image.clone()).head_manifest(&Reference::Tag(tag)).await {
            Ok(_) => Ok(Check::passed(Check::PULL, format!("the account may pull from {image}"))),
            Err(error) => self.pull_failed(error),
        }
    }

    fn pull_failed(&self, error: ProtocolError) -> Result<Check> {
        match self.explained(error) {
            denied if denied.class() == Class::Denied => Ok(Check::denied(Check::PULL, denied.message())),
            gone if gone.class() == Class::Absent => Ok(Check::skipped(Check::PULL, gone.message())),
            other => Err(other),
        }
    }

    async fn may_search(&self, image: &RepositoryName) -> Result<Check> {
        let Some((session, rest)) = &self.search else {
            let why = "set restBase and repositoryName to have the times of pushes and fewer requests";
            return Ok(Check::skipped(METADATA, why));
        };
        let found = search::page(session, rest, image, None).await.map(|found| found.into_hits(image));
        Ok(match found {
            Ok(hits) if hits.is_empty() => Check::denied(
                METADATA,
                format!("the REST API finds nothing of {image}: grant {}", self.rights()),
            ),
            Ok(_) => Check::passed(METADATA, "the REST API gives digests and times of pushes"),
            Err(error) if error.class() == Class::Denied => {
                Check::denied(METADATA, format!("the REST API may not be searched: grant {}", self.rights()))
            }
            Err(error) if search::is_closed(&error) => {
                let host = session.endpoint().host();
                let why = "check restBase and repositoryName, or that a proxy passes /service/rest/ on";
                Check::failed(
                    METADATA,
                    format!("{host} does not search repository {}: {why}", rest.repository),
                )
            }
            Err(error) => return Err(self.explained(error)),
        })
    }

    /// What to grant.
    fn rights(&self) -> String {
        let repository = self.search.as_ref().map_or("<repository>", |(_, rest)| rest.repository.as_str());
        let view = format!("nx-repository-view-docker-{repository}");
        format!("{view}-browse and {view}-read")
    }

    fn explained(&self, error: ProtocolError) -> Error {
        let same = |message: String| {
            Error::new(error.class(), error.code().to_owned(), message).with_retry(error.retry())
        };
        let host = self.registry.endpoint().host();
        match &error {
            ProtocolError::PermissionMissing { subject, .. } => {
                same(format!("the account may not read {subject}: grant {}", self.rights()))
            }
            ProtocolError::CatalogUnsupported { .. } => same(format!(
                "{host} has no list of repositories there: set registryBase to a connector, a subdomain or \
                 host/repository/<name>"
            )),
            ProtocolError::NotFound { subject: Subject::Registry, .. } => same(format!(
                "{host} has no registry there: set registryBase to a connector, a subdomain or \
                 host/repository/<name>"
            )),
            ProtocolError::UnexpectedStatus { subject: Subject::Registry, status, .. } => same(format!(
                "{host} answered {status} at /v2/: check that the repository's format is docker, and the connector's \
                 port and scheme"
            )),
            ProtocolError::RateLimited { .. } => same(format!(
                "{error}; nexus says so too when a user failed to sign in some times: check the password, and wait a \
                 quarter of an hour"
            )),
            _ => error.into(),
        }
    }
}

/// Everything at once, or what an answer's link left over.
fn whole(page: &PageRequest) -> Result<PageQuery> {
    let after = page.after();
    let mut pairs = form_urlencoded::parse(after.as_deref().unwrap_or_default().as_bytes());
    if after.is_some() && !pairs.any(|(name, _)| name == "last") {
        return Err(Error::invalid_cursor());
    }
    Ok(PageQuery { n: None, after })
}
