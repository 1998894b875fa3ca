//! The driver for {{driver}}.
//!
//! As it stands it is one for any registry that speaks the OCI distribution protocol: change what is different.

#![forbid(unsafe_code)]

use std::sync::Arc;

use regent_distribution::{Credentials, Endpoint, Freshness, PageQuery, PathMeaning, Scope, Session};
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, Page, PageRequest, Result, Settings, Validation,
};

/// The most that the registry puts on one page.
const MAX_PAGE: u32 = 100;

struct Registry {
    session: Session,
}

regent_plugin_api::export_driver! {
    Registry,
    name: "{{driver}}",
    summary: "The {{driver}} registry",
    types: ["{{driver}}-cr"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "host[:port][/prefix] in front of /v2/" },
        { name: "username", required: false, secret: false, help: "user name, if the registry wants one" },
        { name: "password", required: false, secret: true, help: "password or token that goes with the user name" },
    ],
}

impl Driver for Registry {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let base = settings.required_text("registryBase")?;
        let (endpoint, _) = Endpoint::from_base(base, settings.plain_http(), PathMeaning::ApiPrefix)
            .map_err(|error| Error::invalid_setting("registryBase", error))?;
        let credentials = match settings.username_and_password()? {
            Some((username, password)) => {
                Credentials::Basic { username: username.to_owned(), password: password.clone() }
            }
            None => Credentials::Anonymous,
        };
        Ok(Self { session: Session::with_credentials(Arc::new(host), endpoint, credentials) })
    }

    async fn validate(&self) -> Result<Validation> {
        self.session.ping().await?;
        let registry = self.session.endpoint().host();
        let list = match self.session.catalog(&PageQuery::first(1), &Scope::catalog()).await {
            Ok(_) => Check::passed(Check::LIST, "the list of repositories can be read"),
            Err(error) if error.class() == Class::Denied => Check::denied(Check::LIST, error.to_string()),
            Err(error) if error.class() == Class::Unsupported => Check::skipped(Check::LIST, error.to_string()),
            Err(error) => return Err(error.into()),
        };
        let checks = vec![
            Check::passed(Check::REACHED, format!("{registry} answers at /v2/")),
            Check::passed(Check::AUTHENTICATED, format!("{registry} accepts the connection's credentials")),
            list,
        ];
        Ok(Validation { registry, checks })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let query = PageQuery { n: Some(page.size_up_to(MAX_PAGE)), after: page.after() };
        let listed = self.session.catalog(&query, &Scope::catalog()).await?;
        Ok(Page::new(listed.items, listed.next))
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let query = PageQuery { n: Some(page.size_up_to(MAX_PAGE)), after: page.after() };
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
