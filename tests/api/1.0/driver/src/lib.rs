//! A driver that uses all that plugin API 1.0 has: every method of the trait, every service of the host.
//!
//! Its registry speaks the distribution protocol. It says what it sees rather than what is convenient, such that a
//! difference between two builds of it shows in its answers.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use regent_plugin_api::bytes::Bytes;
use regent_plugin_api::http::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use regent_plugin_api::oci::{Digest, MediaType, Reference, RepositoryName, Tag};
use regent_plugin_api::secrecy::{ExposeSecret, SecretString};
use regent_plugin_api::transport::{Class, Request, Response, Retry, Transport as _, collect};
use regent_plugin_api::url::Url;
use regent_plugin_api::{
    Access, Authorization, BlobHandle, Check, Content, Cursor, Driver, Error, Host, LogLevel, Page,
    PageRequest, Result, Settings, TagDetail, Validation,
};
use serde::Deserialize;

const DOCKER_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

struct Frozen {
    host: Host,
    base: Url,
    login: HeaderValue,
    blobs: Mutex<HashMap<u64, Bytes>>,
}

regent_plugin_api::export_driver! {
    Frozen,
    name: "frozen-1-0",
    summary: "Built with plugin API 1.0",
    types: ["frozen-1-0", "FrozenCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "host of the registry" },
        { name: "password", required: true, secret: true, help: "the whole of the Authorization header" },
    ],
    egress: ["*.frozen.example"],
    env: ["FROZEN_VARIABLE"],
    capabilities: ["later-than-1-0"],
}

#[derive(Deserialize)]
struct Catalog {
    repositories: Vec<String>,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Frozen {
    async fn get(&self, path: &str, accept: &'static str) -> Result<Response> {
        let url = self.base.join(path).map_err(|_| Error::bad_answer("there is no URL of that name"))?;
        let mut request = Request::get(url).header(AUTHORIZATION, self.login.clone());
        request.headers.insert(ACCEPT, HeaderValue::from_static(accept));
        request.timeout = Duration::from_secs(7);
        let response = self.host.http(request).await?;
        match response.status.as_u16() {
            200 => Ok(response),
            401 => Err(Error::credentials_rejected("the registry does not take the header")),
            403 => Err(Error::permission_missing("the header's owner lacks the right frozen:read")),
            404 => Err(Error::not_found("the registry has nothing of that name")
                .with_detail("path", path.to_owned())),
            429 => {
                let pause = response.header(&RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
                let error = Error::new(Class::Throttled, "throttled", "the registry asks for a pause");
                Err(error.with_retry(pause.map_or(Retry::Backoff, |s| Retry::After(Duration::from_secs(s)))))
            }
            status @ 500.. => {
                Err(Error::new(Class::Unavailable, "unavailable", format!("it answers {status}")))
            }
            status => Err(Error::bad_answer(format!("the registry answers {status}"))),
        }
    }

    async fn names<T: for<'de> Deserialize<'de>>(&self, path: &str, page: &PageRequest) -> Result<T> {
        let mut path = format!("{path}?n={}", page.size_up_to(1000));
        if let Some(last) = page.after() {
            path = format!("{path}&last={last}");
        }
        let body = collect(self.get(&path, "application/json").await?.body).await?;
        serde_json::from_slice(&body)
            .map_err(|_| Error::bad_answer("an answer that is not the JSON expected"))
    }

    async fn manifest_of(&self, repository: &RepositoryName, reference: &str) -> Result<Response> {
        let accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json";
        self.get(&format!("v2/{repository}/manifests/{reference}"), accept).await
    }

    fn blobs(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page that is full has more behind it, from the last name on.
fn page<T: std::str::FromStr>(names: Vec<String>, asked: &PageRequest) -> Page<T> {
    let full = names.len() >= asked.size_up_to(1000) as usize;
    let next = names.last().cloned().filter(|_| full);
    Page::new(names.iter().filter_map(|name| name.parse().ok()).collect(), next)
}

impl Driver for Frozen {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let base = settings.base().ok_or_else(|| Error::invalid_setting("registryBase", "is missing"))?;
        let scheme = if settings.plain_http() { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{base}/"))
            .map_err(|_| Error::invalid_setting("registryBase", "is no host"))?;
        let password: &SecretString = settings.required_secret("password")?;
        let mut login = HeaderValue::from_str(password.expose_secret())
            .map_err(|_| Error::invalid_setting("password", "can't stand in a header"))?;
        login.set_sensitive(true);
        host.log(LogLevel::Info, format_args!("a {} for {base}", settings.registry_type()));
        Ok(Self { host, base, login, blobs: Mutex::default() })
    }

    async fn validate(&self) -> Result<Validation> {
        let response = self.get("v2/", "application/json").await?;
        let version = response.header(&HeaderName::from_static("docker-distribution-api-version"));
        let reached = format!("it says {}", version.unwrap_or("nothing"));
        let variable = self.host.env("FROZEN_VARIABLE").unwrap_or_else(|| "not set".to_owned());
        let undeclared = self.host.env("HOME").is_some();
        let jitter = self.host.jitter();
        self.host.sleep(Duration::from_millis(1)).await;
        let listed = match self.repositories(PageRequest { size: 1, after: None }).await {
            Ok(page) => Check::passed(Check::LIST, format!("{} on a page of one", page.items.len())),
            Err(error) => Check::failed(Check::LIST, error.message().to_owned()),
        };
        let checks = vec![
            Check::passed(Check::REACHED, reached),
            listed,
            Check::denied("denied", "a right that nobody has"),
            Check::skipped("variable", variable),
            Check::skipped("undeclared", undeclared.to_string()),
            Check::skipped("jitter", (0.0..1.0).contains(&jitter).to_string()),
        ];
        Ok(Validation { registry: self.base.authority().to_owned(), checks })
    }

    async fn repositories(&self, asked: PageRequest) -> Result<Page<RepositoryName>> {
        let Catalog { repositories } = self.names("v2/_catalog", &asked).await?;
        Ok(page(repositories, &asked))
    }

    async fn tags(&self, repository: &RepositoryName, asked: PageRequest) -> Result<Page<Tag>> {
        let Tags { tags } = self.names(&format!("v2/{repository}/tags/list"), &asked).await?;
        Ok(page(tags.unwrap_or_default(), &asked))
    }

    async fn tag_details(&self, repository: &RepositoryName, asked: PageRequest) -> Result<Page<TagDetail>> {
        let Page { items, next } = self.tags(repository, asked).await?;
        let mut details = Vec::new();
        for tag in items {
            let response = self.manifest_of(repository, tag.as_str()).await?;
            let digest = response.header(&DOCKER_DIGEST).and_then(|digest| digest.parse::<Digest>().ok());
            let digest = digest.ok_or_else(|| Error::bad_answer("a manifest without its digest"))?;
            let size_bytes = collect(response.body).await?.len() as u64;
            let pushed = std::time::UNIX_EPOCH.checked_add(Duration::new(size_bytes, 7));
            details.push(TagDetail { tag, digest, pushed, size_bytes: Some(size_bytes) });
        }
        Ok(Page { items: details, next: next.map(|Cursor(last)| Cursor(last)) })
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        if access.renew {
            self.host.log(LogLevel::Warn, "renewed");
        }
        Ok(Authorization {
            endpoint: self.base.clone(),
            repository: access.repository,
            headers: vec![(AUTHORIZATION, self.login.clone())],
            expires: self.host.now().checked_add(Duration::from_mins(5)),
        })
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Content> {
        let response = self.manifest_of(repository, reference.as_str()).await?;
        let media_type =
            response.header(&HeaderName::from_static("content-type")).unwrap_or_default().to_owned();
        Ok(Content { media_type: MediaType::new(&media_type), bytes: collect(response.body).await? })
    }

    async fn open_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobHandle> {
        let response = self.get(&format!("v2/{repository}/blobs/{digest}"), "*/*").await?;
        let bytes = collect(response.body).await?;
        let mut blobs = self.blobs();
        let handle = blobs.len() as u64;
        blobs.insert(handle, bytes);
        Ok(BlobHandle(handle))
    }

    async fn read_blob(&self, blob: BlobHandle, max_bytes: usize) -> Result<Bytes> {
        let mut blobs = self.blobs();
        let rest = blobs.get_mut(&blob.0).ok_or_else(|| Error::not_found("the blob is not open"))?;
        let end = max_bytes.min(rest.len());
        Ok(rest.split_to(end))
    }

    async fn close_blob(&self, blob: BlobHandle) -> Result<()> {
        self.blobs().remove(&blob.0).map(|_| ()).ok_or_else(|| Error::not_found("the blob is not open"))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.host.log(LogLevel::Debug, "the session ends");
    }
}
