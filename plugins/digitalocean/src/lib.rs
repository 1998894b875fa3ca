//! DigitalOcean: registries of an account, listed by its API; one token for that and for `/v2/`.
//!
//! An account has up to ten registries, and the first part of a repository's name says which one it is in. A connection
//! without a registry in its base sees all of them.

#![forbid(unsafe_code)]

mod listing;

use std::sync::Arc;

use regent_distribution::{
    Authenticator, Credentials, Endpoint, Error as ProtocolError, FixedHeaders, Freshness, PageQuery,
    PathMeaning, Scope, Session, Subject, is_within,
};
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::secrecy::ExposeSecret;
use regent_plugin_api::transport::{Class, Fault};
use regent_plugin_api::{
    Access, Authorization, Check, Cursor, Driver, Error, Host, Namespaces, Numbered, Page, PageRequest,
    Result, Settings, TagDetail, Validation,
};

use crate::listing::{MAX_PAGE, Place, RegistryList, RepositoryList, TagList};

const API: &str = "api.digitalocean.com";
const REGISTRY: &str = "registry.digitalocean.com";

struct DigitalOcean {
    /// `/v2/registries`, with the token as bearer.
    api: Session,
    /// `/v2/`, with tokens of the API's token service.
    registry: Session,
    /// A registry, or the beginning of a repository's name, that listings keep to.
    prefix: Option<RepositoryName>,
}

regent_plugin_api::export_driver! {
    DigitalOcean,
    name: "digitalocean",
    summary: "DigitalOcean Container Registry",
    types: ["digitalocean-cr"],
    settings: [
        { name: "registryBase", required: false, secret: false, help: "registry.digitalocean.com[/registry]; without it all registries of the account" },
        { name: "token", required: false, secret: true, help: "a personal access token with the scope registry:read" },
        { name: "username", required: false, secret: true, help: "the token once more, as the Broker Client sends it" },
        { name: "password", required: false, secret: true, help: "the token, if the field token is not there" },
    ],
    egress: ["api.digitalocean.com", "registry.digitalocean.com"],
}

impl Driver for DigitalOcean {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let token = match settings.secret("token") {
            Some(token) => token,
            None => settings.password().ok_or_else(|| {
                Error::invalid_setting("token", "is missing: set CR_TOKEN to a personal access token")
            })?,
        };
        let (endpoint, prefix) = Endpoint::from_base(
            settings.base().unwrap_or(REGISTRY),
            settings.plain_http(),
            PathMeaning::RepositoryPrefix,
        )
        .map_err(|e| Error::invalid_setting("registryBase", e))?;
        let (api, _) = Endpoint::from_base(API, false, PathMeaning::ApiPrefix)?;
        let bearer = FixedHeaders::bearer(API, token)?;
        let transport = Arc::new(host);
        // The token is the user name as well as the password.
        let basic =
            Credentials::Basic { username: token.expose_secret().to_owned(), password: token.clone() };
        let tokens = Authenticator::new(transport.clone(), &endpoint, basic).with_realm_host(API);
        Ok(Self {
            api: Session::new(transport.clone(), api, Arc::new(bearer)),
            registry: Session::new(transport, endpoint, Arc::new(tokens)),
            prefix,
        })
    }

    async fn validate(&self) -> Result<Validation> {
        let registry = self.registry.endpoint().host();
        self.registry.ping().await?;
        let reached = Check::passed(Check::REACHED, format!("{registry} answers at /v2/"));
        let authenticated =
            Check::passed(Check::AUTHENTICATED, "the token is taken by the registry's token service");
        let listed = self.list_from_start(1).await;
        let (list, pull) = match listed {
            Ok(page) => {
                let pull = match page.items.first() {
                    Some(repository) => self.may_pull(repository).await?,
                    None => Check::skipped(Check::PULL, "there is no repository to try it on"),
                };
                (Check::passed(Check::LIST, "the registry's repositories can be listed"), pull)
            }
            Err(error) if error.class() == Class::Denied => {
                let pull = Check::skipped(Check::PULL, "no repository is known to try it on");
                (Check::denied(Check::LIST, error.message()), pull)
            }
            Err(error) => return Err(error),
        };
        Ok(Validation { registry, checks: vec![reached, authenticated, list, pull] })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        match page.after.as_ref().map(Cursor::way) {
            None => {}
            Some(Some(("api", place))) => {
                let place = Place::parse(place).ok_or_else(Error::invalid_cursor)?;
                return self.list_page(place, page.size).await;
            }
            Some(Some(("catalog", query))) => return self.catalog(Some(query.to_owned()), page.size).await,
            Some(_) => return Err(Error::invalid_cursor()),
        }
        match self.list_from_start(page.size).await {
            Err(denied) if denied.class() == Class::Denied => {
                // What the API's refusal says is what to mend, whatever the catalog has to say.
                self.catalog(None, page.size).await.map_err(|_| denied)
            }
            other => other,
        }
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let details = self.tag_details(repository, page).await?;
        Ok(Page { items: details.items.into_iter().map(|detail| detail.tag).collect(), next: details.next })
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        let at = Numbered::of(&page, MAX_PAGE)?;
        let (registry, name) = repository.as_str().split_once('/').ok_or_else(|| {
            Error::not_found(format!("can't find {repository}: repositories here are called registry/name"))
        })?;
        // A `/` of the name is sent as %2F: it is one segment.
        let mut url = self.api.endpoint().below(["v2", "registries", registry, "repositories", name, "tags"]);
        let numbers = [("per_page", at.size.to_string()), ("page", at.page.to_string())];
        url.query_pairs_mut().extend_pairs(numbers);
        let subject = Subject::Tags(repository.clone());
        let listed: TagList = match self.api.fetch_json(url, &Scope::none(), &subject).await {
            Ok((listed, _)) => listed,
            Err(error) => return Err(explained(error)),
        };
        let next = at.is_before_end(listed.meta.total).then(|| at.following().to_string());
        Ok(Page::new(listed.tags.into_iter().filter_map(listing::Tagged::into_detail).collect(), next))
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let freshness = Freshness::renewed_if(access.renew);
        let authorized = self.registry.authorization(&access.repository, freshness).await?;
        let endpoint = self.registry.endpoint().url().clone();
        Ok(Authorization::new(endpoint, access.repository, &authorized.headers, authorized.expires))
    }
}

impl DigitalOcean {
    /// The registry that the base names, or all of the account, by the API.
    async fn list_from_start(&self, size: u32) -> Result<Page<RepositoryName>> {
        match self.registries().await? {
            Some(registries) => self.list_page(Place::start(registries), size).await,
            None => Ok(Page::only(Vec::new())),
        }
    }

    async fn registries(&self) -> Result<Option<Namespaces>> {
        let url = self.api.endpoint().below(["v2", "registries"]);
        let subject = Subject::Other("the account's registries".to_owned());
        let listed = self.api.fetch_json::<RegistryList>(url, &Scope::none(), &subject).await;
        let (list, _) = listed.map_err(explained)?;
        let names: Vec<String> = list.registries.into_iter().map(|registry| registry.name).collect();
        let Some(wanted) = self.prefix.as_ref().and_then(|prefix| prefix.as_str().split('/').next()) else {
            return Ok(Namespaces::new(names));
        };
        if !names.iter().any(|name| name == wanted) {
            return Err(Error::not_found(format!(
                "the token's account has no registry {wanted}: set the base to {REGISTRY}/ and one of its registries"
            )));
        }
        Ok(Namespaces::new([wanted]))
    }

    /// A page of one registry's repositories, and where the next begins: there, or in the next registry.
    async fn list_page(&self, place: Place, size: u32) -> Result<Page<RepositoryName>> {
        let registry = place.registries.current().as_str();
        let mut url = self.api.endpoint().below(["v2", "registries", registry, "repositoriesV2"]);
        match &place.query {
            Some(query) => url.set_query(Some(query)),
            None => url.set_query(Some(&format!("per_page={}", size.clamp(1, MAX_PAGE)))),
        }
        let listed = self.api.fetch_json::<RepositoryList>(url, &Scope::none(), &Subject::Catalog).await;
        let (listed, _) = listed.map_err(explained)?;
        let next = match listed.next_query() {
            Some(query) if place.query.as_ref() == Some(&query) => {
                return Err(ProtocolError::PagingLoop { listing: Subject::Catalog.to_string() }.into());
            }
            Some(query) => Some(Place { registries: place.registries.clone(), query: Some(query) }),
            None => place.registries.following().map(Place::start),
        };
        let names = listed.names(registry).into_iter().filter(|name| is_within(name, self.prefix.as_ref()));
        Ok(Page { items: names.collect(), next: next.map(|place| Cursor::on_way("api", place)) })
    }

    /// What is left without the right to use the API.
    async fn catalog(&self, after: Option<String>, size: u32) -> Result<Page<RepositoryName>> {
        let query = PageQuery { n: Some(size.clamp(1, 100)), after };
        let listed = self.registry.catalog(&query, &Scope::catalog()).await?;
        let names = listed.items.into_iter().filter(|name| is_within(name, self.prefix.as_ref()));
        Ok(Page { items: names.collect(), next: listed.next.map(|query| Cursor::on_way("catalog", query)) })
    }

    async fn may_pull(&self, repository: &RepositoryName) -> Result<Check> {
        match self.registry.tags(repository, &PageQuery::first(1)).await {
            Ok(_) => Ok(Check::passed(Check::PULL, format!("{repository} can be read"))),
            Err(error) if matches!(error.class(), Class::Denied | Class::Authentication | Class::Absent) => {
                Ok(Check::denied(Check::PULL, format!("{error}; give the token the scope registry:read")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The API's refusals, with what to grant.
fn explained(error: ProtocolError) -> Error {
    match error.class() {
        Class::Denied => {
            Error::permission_missing(format!("{error}: give the token the scope registry:read"))
        }
        Class::Authentication => Error::credentials_rejected(
            "api.digitalocean.com does not know the token: it is wrong, expired or revoked; make a new one with the scope \
             registry:read",
        ),
        _ => error.into(),
    }
}
