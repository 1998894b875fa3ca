//! Any registry that speaks the OCI distribution protocol and has no API of its own worth using: CNCF Distribution,
//! Zot, Gitea and Forgejo, Cloudflare, and others.
//!
//! Nothing here is special, which makes this the driver to copy: credentials come from the settings, challenges, tokens
//! and paging from `regent-distribution`.

#![forbid(unsafe_code)]

use std::sync::Arc;

use regent_distribution::{
    Authenticator, Credentials, Endpoint, Freshness, PageQuery, PathMeaning, Scope, Session,
};
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, Page, PageRequest, Result, Settings, Validation,
};

/// Distribution answers 400 to a catalog page of more than 1000 entries; 100 is taken by all.
const MAX_CATALOG_PAGE: u32 = 100;
/// Distribution 3.1 answers 400 to more than 1000 tags a page.
const MAX_TAG_PAGE: u32 = 1000;

struct Oci {
    session: Session,
}

regent_plugin_api::export_driver! {
    Oci,
    name: "oci",
    summary: "Any registry that speaks the OCI distribution protocol",
    types: ["oci-cr"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "host[:port][/prefix] in front of /v2/" },
        { name: "username", required: false, secret: false, help: "user name, if the registry wants one" },
        { name: "password", required: false, secret: true, help: "password or token that goes with the user name" },
        { name: "token", required: false, secret: true, help: "bearer token that the registry takes as it is" },
        { name: "tokenService", required: false, secret: false, help: "hosts of token services other than the registry" },
    ],
    egress: ["{tokenService}"],
}

impl Driver for Oci {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let base = settings.required_text("registryBase")?;
        let (endpoint, _) = Endpoint::from_base(base, settings.plain_http(), PathMeaning::ApiPrefix)
            .map_err(|e| Error::invalid_setting("registryBase", e))?;
        let transport = Arc::new(host);
        let mut authenticator = Authenticator::new(transport.clone(), &endpoint, credentials(&settings)?);
        // A password goes to a token service on another host only where someone has named that host.
        let services = settings.text("tokenService").unwrap_or_default().split(',').map(str::trim);
        for service in services.filter(|s| !s.is_empty()) {
            authenticator = authenticator.with_realm_host(service);
        }
        Ok(Self { session: Session::new(transport, endpoint, Arc::new(authenticator)) })
    }

    async fn validate(&self) -> Result<Validation> {
        self.session.ping().await?;
        let registry = self.session.endpoint().host();
        let list = match self.session.catalog(&PageQuery::first(1), &Scope::catalog()).await {
            Ok(_) => Check::passed(Check::LIST, "the list of repositories can be read"),
            Err(error) => match error.class() {
                Class::Denied | Class::Authentication => Check::denied(
                    Check::LIST,
                    format!("{error}; grant the scope registry:catalog:*, or name repositories one by one"),
                ),
                Class::Unsupported => Check::skipped(Check::LIST, error.to_string()),
                _ => return Err(error.into()),
            },
        };
        let checks = vec![
            Check::passed(Check::REACHED, format!("{registry} answers at /v2/")),
            Check::passed(Check::AUTHENTICATED, format!("{registry} accepts the connection's credentials")),
            list,
            Check::skipped(Check::PULL, "the right to pull is granted repository by repository"),
        ];
        Ok(Validation { registry, checks })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let query = PageQuery { n: Some(page.size_up_to(MAX_CATALOG_PAGE)), after: page.after() };
        let listed = self.session.catalog(&query, &Scope::catalog()).await?;
        Ok(Page::new(listed.items, listed.next))
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let query = PageQuery { n: Some(page.size_up_to(MAX_TAG_PAGE)), after: page.after() };
        let listed = self.session.tags(repository, &query).await?;
        Ok(Page::new(listed.items, listed.next))
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let freshness = Freshness::renewed_if(access.renew);
        let authorized = self.session.authorization(&access.repository, freshness).await?;
        let endpoint = self.session.endpoint().url().clone();
        Ok(Authorization::new(endpoint, access.repository, &authorized.headers, authorized.expires))
    }
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
