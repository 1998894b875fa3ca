//! Azure Container Registry: the admin user, service principals, repository-scoped tokens, refresh tokens, tokens of Microsoft
//! Entra.
//!
//! Everything is at the registry's own host: `/oauth2/` issues tokens, `/acr/v1/` lists what `/v2/` serves, with the same
//! rights. Tokens are asked for repository by repository: a registry whose permissions are granted by attributes (ABAC) grants
//! nothing for a wildcard, and does not say so.
//!
//! Longer than most drivers for the three kinds of credentials (`entra`), and since what is known of a tag has to be put
//! together from two listings that have no order in common (`sizes`).

#![forbid(unsafe_code)]

mod attributes;
mod entra;
mod rights;
mod sizes;

use std::sync::Arc;

use regent_distribution::{
    Authenticator, Credentials, Endpoint, Error as ProtocolError, Freshness, PageQuery, PathMeaning, Scope,
    Session, Subject, is_within, next_cursor,
};
use regent_plugin_api::http::StatusCode;
use regent_plugin_api::oci::{Reference, RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::url::Url;
use regent_plugin_api::{
    Access, Authorization, Check, Cursor, Driver, Error, Host, LogLevel, Page, PageRequest, Result, Settings,
    TagDetail, Validation,
};

use crate::attributes::TagList;
use crate::entra::{Entra, RefreshClaims};
use crate::rights::Proof;
use crate::sizes::Sizes;

/// The service sends no more on a page of tags, whatever is asked for (Azure/acr#749).
const MAX_PAGE: u32 = 1000;
/// The user name that says that the password is a refresh token (Azure/acr, `docs/AAD-OAuth.md`).
const NULL_USER: &str = "00000000-0000-0000-0000-000000000000";
/// The ways to list repositories, in a cursor.
const NATIVE: &str = "acr";
const CATALOG: &str = "v2";
/// Behind a way: nothing so far has been below the prefix.
const NONE_YET: &str = "-";

type Protocol<T> = std::result::Result<T, ProtocolError>;

struct Acr {
    host: Host,
    session: Session,
    /// What listings keep to: the path in the base.
    prefix: Option<RepositoryName>,
    proof: Proof,
    sizes: Sizes,
}

regent_plugin_api::export_driver! {
    Acr,
    name: "acr",
    summary: "Azure Container Registry",
    types: ["acr", "AzureCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "login server, such as name.azurecr.io, with a /prefix to list only what is below it" },
        { name: "username", required: false, secret: false, help: "the admin user, a service principal's application id, a token's name, or 00000000-0000-0000-0000-000000000000 for a refresh token" },
        { name: "password", required: false, secret: true, help: "the password, the service principal's secret, or the refresh token" },
        { name: "aadToken", required: false, secret: true, help: "an access token of Microsoft Entra for Azure Resource Manager or containerregistry.azure.net, in place of user name and password" },
        { name: "tenant", required: false, secret: false, help: "the Entra tenant that issued the aadToken" },
    ],
}

impl Driver for Acr {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let base = settings.required_text("registryBase")?;
        let (endpoint, prefix) =
            Endpoint::from_base(base, settings.plain_http(), PathMeaning::RepositoryPrefix)
                .map_err(|e| Error::invalid_setting("registryBase", e))?;
        let transport = Arc::new(host.clone());
        let (session, proof) = if let Some(token) = settings.secret("aadToken") {
            let tenant = settings.text("tenant").map(str::to_owned);
            let entra = Arc::new(Entra::new(transport.clone(), &endpoint, token.clone(), tenant));
            (Session::new(transport, endpoint, entra.clone()), Proof::Entra(entra))
        } else {
            let credentials = credentials(&settings)?;
            let proof = match &credentials {
                Credentials::IdentityToken(token) => {
                    Proof::Refresh(RefreshClaims::of(token).map(|claims| claims.is_abac()))
                }
                Credentials::Basic { .. } => Proof::Password,
                Credentials::Anonymous | Credentials::Bearer(_) => Proof::None,
            };
            let authenticator = Authenticator::new(transport.clone(), &endpoint, credentials);
            (Session::new(transport, endpoint, Arc::new(authenticator)), proof)
        };
        Ok(Self { host, session, prefix, proof, sizes: Sizes::default() })
    }

    async fn validate(&self) -> Result<Validation> {
        let registry = self.session.endpoint().host();
        // The first page takes a token too, so one request tells whether the registry is there, knows the credentials, and
        // lets them list.
        let (list, first) = match self.list_from_start(MAX_PAGE).await {
            Ok(page) if page.items.is_empty() => (Check::passed(Check::LIST, rights::EMPTY_LIST), None),
            Ok(page) => {
                let detail = "the list of repositories can be read";
                (Check::passed(Check::LIST, detail), page.items.into_iter().next())
            }
            Err(error) => match self.explained(error, "list repositories", &rights::LIST).await {
                error if error.code() == "permission_missing" => {
                    (Check::denied(Check::LIST, error.message()), None)
                }
                error => return Err(error),
            },
        };
        let mut checks = vec![
            Check::passed(Check::REACHED, format!("{registry} answers")),
            Check::passed(Check::AUTHENTICATED, format!("{registry} issues tokens for the credentials")),
            list,
        ];
        match first {
            Some(repository) => checks.extend(self.try_out(&repository).await?),
            None => checks.push(Check::skipped(Check::PULL, "there is no repository to try it with")),
        }
        Ok(Validation { registry, checks })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let listed = match &page.after {
            None => self.list_from_start(page.size).await,
            Some(cursor) => {
                let (way, query) = cursor.way().ok_or_else(Error::invalid_cursor)?;
                self.list(way, page.size, Some(query.to_owned())).await
            }
        };
        match listed {
            Ok(page) => Ok(page),
            Err(error) => Err(self.explained(error, "list repositories", &rights::LIST).await),
        }
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        match self.tag_page(repository, page.size_up_to(MAX_PAGE), page.after()).await {
            Ok(page) => Ok(page),
            Err(error) => {
                let what = format!("list the tags of {repository}");
                Err(self.explained(error, &what, &rights::METADATA).await)
            }
        }
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        match self.detail_page(repository, page.size_up_to(MAX_PAGE), page.after()).await {
            Ok(page) => Ok(page),
            // The host lists the tags and asks for each; without the right to that it will say which one.
            Err(error)
                if is_no_api(&error, &Subject::Tags(repository.clone()))
                    || error.class() == Class::Denied =>
            {
                Err(Error::unsupported(format!("details of tags here ({error})")))
            }
            Err(error) => Err(self.explained(error, "read", &rights::METADATA).await),
        }
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let freshness = Freshness::renewed_if(access.renew);
        match self.session.authorization(&access.repository, freshness).await {
            Ok(authorized) => {
                let endpoint = self.session.endpoint().url().clone();
                Ok(Authorization::new(endpoint, access.repository, &authorized.headers, authorized.expires))
            }
            Err(error) => {
                let what = format!("pull from {}", access.repository);
                Err(self.explained(error, &what, &rights::PULL).await)
            }
        }
    }
}

impl Acr {
    /// The first page, from the catalog where something in front of the registry lets only `/v2/` through. A missing right is
    /// no reason to: it is the same for both.
    async fn list_from_start(&self, size: u32) -> Protocol<Page<RepositoryName>> {
        match self.list(NATIVE, size, None).await {
            Err(error) if is_no_api(&error, &Subject::Catalog) => self.list(CATALOG, size, None).await,
            listed => listed,
        }
    }

    async fn list(&self, way: &str, size: u32, after: Option<String>) -> Protocol<Page<RepositoryName>> {
        let (way, none_yet) = way.strip_suffix(NONE_YET).map_or((way, after.is_none()), |way| (way, true));
        let query = PageQuery { n: Some(size.clamp(1, MAX_PAGE)), after };
        let scope = Scope::catalog();
        let listed = match way {
            NATIVE => {
                let url = self.session.endpoint().below(["acr", "v1", "_catalog"]);
                self.session.names(url, &query, &scope, &Subject::Catalog, "repositories").await?
            }
            CATALOG => self.session.catalog(&query, &scope).await?,
            _ => return Err(ProtocolError::CursorInvalid),
        };
        let is_wanted = |name: &RepositoryName| is_within(name, self.prefix.as_ref());
        let items: Vec<_> = listed.items.into_iter().filter(is_wanted).collect();
        let none_yet = none_yet && items.is_empty();
        match (listed.next, &self.prefix) {
            // A prefix that no name begins with is a mistake, not an empty registry.
            (None, Some(prefix)) if none_yet => {
                let subject = Subject::Other(format!("any repository at or below {prefix}"));
                Err(ProtocolError::NotFound { subject, registry_code: None })
            }
            (None, _) => Ok(Page::only(items)),
            (Some(query), _) => {
                let mark = if none_yet { NONE_YET } else { "" };
                Ok(Page { items, next: Some(Cursor::on_way(&format!("{way}{mark}"), query)) })
            }
        }
    }

    async fn tag_page(&self, name: &RepositoryName, n: u32, after: Option<String>) -> Protocol<Page<Tag>> {
        let url = self.session.endpoint().tags(name);
        let (query, subject) = (PageQuery { n: Some(n), after }, Subject::Tags(name.clone()));
        let listed = self.session.names(url, &query, &scope(name), &subject, "tags").await?;
        Ok(Page::new(listed.items, listed.next))
    }

    /// A page of `_tags`, each with the size of its manifest. The other way round would be fewer requests where there are
    /// few tags for many manifests, but a manifest's list of tags may be cut, and has no times.
    async fn detail_page(
        &self,
        name: &RepositoryName,
        n: u32,
        after: Option<String>,
    ) -> Protocol<Page<TagDetail>> {
        let mut url = below(self.session.endpoint(), name, "_tags");
        match &after {
            Some(query) => url.set_query(Some(query)),
            None => drop(url.query_pairs_mut().append_pair("n", &n.to_string())),
        }
        let (scope, subject) = (scope(name), Subject::Tags(name.clone()));
        let (list, headers): (TagList, _) = self.session.fetch_json(url, &scope, &subject).await?;
        let next = next_cursor(&headers, &subject)?;
        if next.is_some() && next == after {
            return Err(ProtocolError::PagingLoop { listing: subject.to_string() });
        }
        let mut details = list.into_details();
        if !self.sizes.complete(&self.session, name, &scope, &mut details).await? {
            let text = format!("{name} has very many manifests: some tags are listed without size");
            self.host.log(LogLevel::Warn, text);
        }
        Ok(Page::new(details, next))
    }

    /// Looks whether a repository's tags can be listed with what is known of them, and one of them pulled.
    async fn try_out(&self, repository: &RepositoryName) -> Result<Vec<Check>> {
        let (metadata, tags) = match self.detail_page(repository, 1, None).await {
            Ok(page) => {
                let detail = format!("tags of {repository} can be listed with digest, push time and size");
                let tags = page.items.into_iter().map(|detail| detail.tag).collect();
                (Check::passed("metadata", detail), Ok(tags))
            }
            Err(error) if is_refusal(&error) || is_no_api(&error, &Subject::Tags(repository.clone())) => {
                let lacks = self.lacks(&format!("read the metadata of {repository}"), &rights::METADATA);
                let tags = self.tag_page(repository, 1, None).await.map(|page| page.items);
                (Check::denied("metadata", lacks.message()), tags)
            }
            Err(error) => return Err(error.into()),
        };
        let pull = match tags.map(|tags: Vec<Tag>| tags.into_iter().next()) {
            Ok(Some(tag)) => self.try_pull(repository, tag).await?,
            Ok(None) => Check::skipped(Check::PULL, format!("{repository} has no tag to try it with")),
            Err(error) if is_refusal(&error) => {
                Check::skipped(Check::PULL, format!("{error}, so there is nothing to try it with"))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(vec![metadata, pull])
    }

    async fn try_pull(&self, repository: &RepositoryName, tag: Tag) -> Result<Check> {
        let image = format!("{repository}:{tag}");
        match self.session.client(repository.clone()).head_manifest(&Reference::Tag(tag)).await {
            Ok(_) => Ok(Check::passed(Check::PULL, format!("{image} can be pulled"))),
            Err(error) if is_refusal(&error) => {
                let lacks = self.lacks(&format!("pull {image}"), &rights::PULL);
                Ok(Check::denied(Check::PULL, lacks.message()))
            }
            Err(error) if error.class() == Class::Absent => {
                Ok(Check::skipped(Check::PULL, format!("{error}; try it with another image")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// `/acr/v1/<name>/<listing>`.
fn below(endpoint: &Endpoint, name: &RepositoryName, listing: &str) -> Url {
    endpoint.below(["acr", "v1"].into_iter().chain(name.as_str().split('/')).chain([listing]))
}

/// What all that is done with a repository needs, so that one token will do.
fn scope(name: &RepositoryName) -> Scope {
    Scope::of([format!("repository:{name}:metadata_read,pull")])
}

/// Whether it could be the credentials or their rights.
fn is_refusal(error: &ProtocolError) -> bool {
    matches!(error.class(), Class::Authentication | Class::Denied)
}

/// Whether there seems to be no `/acr/v1/`, by what came for this listing. A repository that does not exist is another
/// thing, and has a code.
fn is_no_api(error: &ProtocolError, listing: &Subject) -> bool {
    match error {
        ProtocolError::NotFound { subject, registry_code } => registry_code.is_none() && subject == listing,
        ProtocolError::UnexpectedStatus { status, .. } => {
            matches!(*status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
        }
        _ => false,
    }
}

fn credentials(settings: &Settings) -> Result<Credentials> {
    Ok(match settings.username_and_password()? {
        Some((NULL_USER, token)) => Credentials::IdentityToken(token.clone()),
        Some((username, password)) => {
            Credentials::Basic { username: username.to_owned(), password: password.clone() }
        }
        None => Credentials::Anonymous,
    })
}
