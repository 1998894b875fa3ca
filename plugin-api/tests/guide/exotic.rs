//! A driver with an exotic login: each request is signed, and listings go on at opaque tokens.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use regent_plugin_api::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::secrecy::{ExposeSecret as _, SecretString};
use regent_plugin_api::transport::{Class, Request, Retry, collect};
use regent_plugin_api::url::Url;
use regent_plugin_api::{
    Access, Authorization, Check, Cursor, Driver, Error, Host, Page, PageRequest, Result, Settings,
    Validation,
};
use serde::Deserialize;

const DATE: HeaderName = HeaderName::from_static("x-vault-time");

struct Vault {
    host: Host,
    base: Url,
    key_id: String,
    key: SecretString,
}

regent_plugin_api::export_driver! {
    Vault,
    name: "vault",
    summary: "Vaults, whose requests are signed",
    types: ["vault-cr"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "host of the vault" },
        { name: "username", required: true, secret: false, help: "id of the key" },
        { name: "password", required: true, secret: true, help: "the key" },
    ],
    egress: ["login.vault.example"],
}

/// A page of names, and the vault's own mark of where the next one begins.
#[derive(Deserialize)]
struct Listed {
    names: Vec<String>,
    next: Option<String>,
}

/// A token for `/v2/`.
#[derive(Deserialize)]
struct Login {
    token: SecretString,
    seconds: u64,
}

impl Vault {
    /// The signature is over what is sent and when: a copy of it is worth nothing elsewhere or later.
    fn signed(&self, url: Url) -> Result<Request> {
        let now = self.host.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let text = format!("GET\n{}\n{}\n{now}", url.path(), url.query().unwrap_or_default());
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.key.expose_secret().as_bytes());
        let tag = ring::hmac::sign(&key, text.as_bytes());
        let mut hex = String::new();
        for byte in tag.as_ref() {
            let _ = write!(hex, "{byte:02x}");
        }
        let signed = Request::get(url).header(DATE, HeaderValue::from(now));
        signed
            .secret_header(AUTHORIZATION, &format!("VAULT1 {}:{hex}", self.key_id))
            .map_err(|_| Error::invalid_setting("username", "can't stand in a header"))
    }

    async fn json<T: for<'de> Deserialize<'de>>(&self, url: Url) -> Result<T> {
        let response = self.host.http(self.signed(url)?).await?;
        match response.status.as_u16() {
            200 => {}
            401 => {
                return Err(Error::credentials_rejected(
                    "the vault does not take the key; is the clock right?",
                ));
            }
            403 => return Err(Error::permission_missing("give the key the right vault.read")),
            404 => return Err(Error::not_found("the vault has nothing of that name")),
            429 => {
                let pause = regent_distribution::retry_after(&response.headers, self.host.now());
                let error = Error::new(Class::Throttled, "throttled", "the vault asks for a pause");
                return Err(error.with_retry(pause.map_or(Retry::Backoff, Retry::After)));
            }
            500.. => return Err(Error::new(Class::Unavailable, "unavailable", "the vault is down")),
            status => return Err(Error::bad_answer(format!("the vault answers {status}"))),
        }
        let body = collect(response.body).await?;
        serde_json::from_slice(&body)
            .map_err(|_| Error::bad_answer("an answer that is not the JSON expected"))
    }

    async fn page(&self, path: &str, page: &PageRequest) -> Result<Listed> {
        let mut url = self.base.join(path).map_err(|_| Error::bad_answer("there is no URL of that name"))?;
        url.query_pairs_mut().append_pair("limit", &page.size_up_to(100).to_string());
        if let Some(Cursor(token)) = &page.after {
            url.query_pairs_mut().append_pair("token", token); // as it came: what is in it is the vault's affair
        }
        self.json(url).await
    }
}

impl Driver for Vault {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let base = format!("https://{}/", settings.required_text("registryBase")?);
        let base = Url::parse(&base).map_err(|_| Error::invalid_setting("registryBase", "is no host"))?;
        let key_id = settings.required_text("username")?.to_owned();
        let key = settings.required_secret("password")?.clone();
        Ok(Self { host, base, key_id, key })
    }

    async fn validate(&self) -> Result<Validation> {
        self.page("api/names", &PageRequest { size: 1, after: None }).await?;
        let checks = vec![Check::passed(Check::LIST, "the vault lists its names")];
        Ok(Validation { registry: self.base.host_str().unwrap_or_default().to_owned(), checks })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let Listed { names, next } = self.page("api/names", &page).await?;
        Ok(Page::new(names.iter().filter_map(|name| name.parse().ok()).collect(), next))
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let Listed { names, next } = self.page(&format!("api/names/{repository}/tags"), &page).await?;
        Ok(Page::new(names.iter().filter_map(|name| name.parse().ok()).collect(), next))
    }

    /// The host can't sign: it gets a token, which the vault gives for a signed request at another host.
    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let url = Url::parse("https://login.vault.example/token").map_err(|_| Error::bad_answer("no URL"))?;
        let Login { token, seconds } = self.json(url).await?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| Error::bad_answer("a token that can't stand in a header"))?;
        header.set_sensitive(true);
        Ok(Authorization {
            endpoint: self.base.clone(),
            repository: access.repository,
            headers: vec![(AUTHORIZATION, header)],
            expires: self.host.now().checked_add(Duration::from_secs(seconds)),
        })
    }
}
