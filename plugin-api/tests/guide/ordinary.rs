//! An ordinary driver: the registry speaks the distribution protocol, and lists by an API of its own.

use std::sync::Arc;

use regent_distribution::{
    Authenticator, Credentials, Endpoint, Freshness, PageQuery, PathMeaning, Scope, Session, Subject,
};
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, Numbered, Page, PageRequest, Result, Settings,
    Validation,
};

/// The most that the registry puts on a page.
const MAX_PAGE: u32 = 100;

struct Ordinary {
    session: Session,
}

regent_plugin_api::export_driver! {
    Ordinary,
    name: "ordinary",
    summary: "Registries with an API beside /v2/",
    types: ["ordinary-cr"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "host[:port] of the registry" },
        { name: "username", required: true, secret: false, help: "a user" },
        { name: "password", required: true, secret: true, help: "the user's password" },
    ],
    // Where credentials may go besides the registry itself: its token service.
    egress: ["auth.ordinary.example"],
}

impl Driver for Ordinary {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let base = settings.required_text("registryBase")?;
        let (endpoint, _) = Endpoint::from_base(base, settings.plain_http(), PathMeaning::ApiPrefix)
            .map_err(|error| Error::invalid_setting("registryBase", error))?;
        let username = settings.required_text("username")?.to_owned();
        let password = settings.required_secret("password")?.clone();
        let transport = Arc::new(host);
        let credentials = Credentials::Basic { username, password };
        let authenticator = Authenticator::new(transport.clone(), &endpoint, credentials)
            .with_realm_host("auth.ordinary.example");
        Ok(Self { session: Session::new(transport, endpoint, Arc::new(authenticator)) })
    }

    async fn validate(&self) -> Result<Validation> {
        self.session.ping().await?;
        let registry = self.session.endpoint().host();
        let list = match self.repositories(PageRequest { size: 1, after: None }).await {
            Ok(_) => Check::passed(Check::LIST, "the list of repositories can be read"),
            Err(error) if error.class() == Class::Denied => Check::denied(Check::LIST, error.message()),
            Err(error) => return Err(error),
        };
        let checks = vec![
            Check::passed(Check::REACHED, format!("{registry} answers at /v2/")),
            Check::passed(Check::AUTHENTICATED, "it accepts the user name and password"),
            list,
        ];
        Ok(Validation { registry, checks })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        // `GET /api/repositories?page=1&per_page=100` → `["team/app", …]`, and a short page at the end.
        let at = Numbered::of(&page, MAX_PAGE)?;
        let mut url = self.session.endpoint().below(["api", "repositories"]);
        url.set_query(Some(&format!("page={}&per_page={}", at.page, at.size)));
        let subject = Subject::Other("the list of repositories".to_owned());
        let (names, _): (Vec<String>, _) =
            self.session.fetch_json(url, &Scope::none(), &subject).await.map_err(explained)?;
        let next = (names.len() == at.size as usize).then(|| at.following().to_string());
        // A name that the distribution protocol can't say is left out, and no error of the whole page.
        Ok(Page::new(names.iter().filter_map(|name| name.parse().ok()).collect(), next))
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

/// A missing right, with the name that the registry's own documents have for it.
fn explained(error: regent_distribution::Error) -> Error {
    match error.class() {
        Class::Denied => Error::permission_missing("give the user the role Reader"),
        _ => error.into(),
    }
}
