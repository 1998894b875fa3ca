//! The smallest driver: a registry that lists in plain text and takes one token.

use regent_plugin_api::http::HeaderValue;
use regent_plugin_api::http::header::AUTHORIZATION;
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::secrecy::ExposeSecret as _;
use regent_plugin_api::transport::{Class, Request, Retry, collect};
use regent_plugin_api::url::Url;
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, Page, PageRequest, Result, Settings, Validation,
};

struct Plain {
    host: Host,
    base: Url,
    token: HeaderValue,
}

regent_plugin_api::export_driver! {
    Plain,
    name: "plain",
    summary: "Registries that list in plain text",
    types: ["plain-cr"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "host of the registry" },
        { name: "token", required: true, secret: true, help: "an access token" },
    ],
}

impl Plain {
    /// A listing, one name a line.
    async fn lines(&self, path: &str) -> Result<Vec<String>> {
        let url = self.base.join(path).map_err(|_| Error::bad_answer("there is no URL of that name"))?;
        let request = Request::get(url).header(AUTHORIZATION, self.token.clone());
        let response = self.host.http(request).await?;
        match response.status.as_u16() {
            200 => {}
            401 => return Err(Error::credentials_rejected("the registry does not take the token")),
            403 => return Err(Error::permission_missing("give the token the right to read")),
            404 => return Err(Error::not_found("the registry has no such repository")),
            429 => {
                let pause = regent_distribution::retry_after(&response.headers, self.host.now());
                let error = Error::new(Class::Throttled, "throttled", "the registry asks for a pause");
                return Err(error.with_retry(pause.map_or(Retry::Backoff, Retry::After)));
            }
            500.. => return Err(Error::new(Class::Unavailable, "unavailable", "the registry is down")),
            status => return Err(Error::bad_answer(format!("the registry answers {status}"))),
        }
        let body = collect(response.body).await?;
        let text = std::str::from_utf8(&body).map_err(|_| Error::bad_answer("a listing that is no text"))?;
        if text.starts_with('<') {
            return Err(Error::bad_answer("a page of HTML where there should be a listing"));
        }
        Ok(text.lines().map(str::to_owned).collect())
    }
}

impl Driver for Plain {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let scheme = if settings.plain_http() { "http" } else { "https" };
        let base = format!("{scheme}://{}/", settings.required_text("registryBase")?);
        let base = Url::parse(&base).map_err(|_| Error::invalid_setting("registryBase", "is no host"))?;
        let token = format!("Bearer {}", settings.required_secret("token")?.expose_secret());
        let mut token = HeaderValue::from_str(&token)
            .map_err(|_| Error::invalid_setting("token", "can't stand in a header"))?;
        token.set_sensitive(true); // on every secret: it is never logged, and not sent along with redirects
        Ok(Self { host, base, token })
    }

    async fn validate(&self) -> Result<Validation> {
        self.lines("repositories").await?;
        let checks = vec![Check::passed(Check::LIST, "the list of repositories can be read")];
        Ok(Validation { registry: self.base.host_str().unwrap_or_default().to_owned(), checks })
    }

    async fn repositories(&self, _: PageRequest) -> Result<Page<RepositoryName>> {
        let lines = self.lines("repositories").await?;
        Ok(Page::only(lines.iter().filter_map(|line| line.parse().ok()).collect()))
    }

    async fn tags(&self, repository: &RepositoryName, _: PageRequest) -> Result<Page<Tag>> {
        let lines = self.lines(&format!("repositories/{repository}/tags")).await?;
        Ok(Page::only(lines.iter().filter_map(|line| line.parse().ok()).collect()))
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let headers = vec![(AUTHORIZATION, self.token.clone())];
        Ok(Authorization {
            endpoint: self.base.clone(),
            repository: access.repository,
            headers,
            expires: None,
        })
    }
}
