//! A driver with its own data plane: the registry serves images, but not by the distribution protocol.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use regent_plugin_api::bytes::Bytes;
use regent_plugin_api::http::header::{HeaderValue, RANGE};
use regent_plugin_api::oci::{Digest, MediaType, Reference, RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Request, Retry, collect};
use regent_plugin_api::url::Url;
use regent_plugin_api::{
    Access, Authorization, BlobHandle, Check, Content, Driver, Error, Host, Page, PageRequest, Result,
    Settings, Validation,
};

struct Depot {
    host: Host,
    base: Url,
    /// Where each open blob has got to. A lock of std: held for a moment, never over an `await`.
    open: Mutex<HashMap<u64, (Url, u64)>>,
    opened: AtomicU64,
}

regent_plugin_api::export_driver! {
    Depot,
    name: "depot",
    summary: "Depots, which keep images as plain files",
    types: ["depot-cr"],
    settings: [{ name: "registryBase", required: true, secret: false, help: "host of the depot" }],
    capabilities: ["content"],
}

impl Depot {
    fn url(&self, path: &str) -> Result<Url> {
        self.base.join(path).map_err(|_| Error::bad_answer("there is no URL of that name"))
    }

    /// A file, or the part of it that `range` names.
    async fn file(&self, url: Url, range: Option<String>) -> Result<Bytes> {
        let mut request = Request::get(url);
        if let Some(range) = range {
            let range = HeaderValue::try_from(range).map_err(|_| Error::bad_answer("no range"))?;
            request = request.header(RANGE, range);
        }
        let response = self.host.http(request).await?;
        match response.status.as_u16() {
            200 | 206 => Ok(collect(response.body).await?),
            416 => Ok(Bytes::new()), // behind the end
            401 => Err(Error::credentials_rejected("the depot asks for a login, and this driver has none")),
            403 => Err(Error::permission_missing("make the depot public")),
            404 => Err(Error::not_found("the depot has no such file")),
            429 => {
                let pause = regent_distribution::retry_after(&response.headers, self.host.now());
                let error = Error::new(Class::Throttled, "throttled", "the depot asks for a pause");
                Err(error.with_retry(pause.map_or(Retry::Backoff, Retry::After)))
            }
            500.. => Err(Error::new(Class::Unavailable, "unavailable", "the depot is down")),
            status => Err(Error::bad_answer(format!("the depot answers {status}"))),
        }
    }

    async fn lines(&self, path: &str) -> Result<Vec<String>> {
        let bytes = self.file(self.url(path)?, None).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Error::bad_answer("a listing that is no text"))?;
        if text.starts_with('<') {
            return Err(Error::bad_answer("a page of HTML where there should be a listing"));
        }
        Ok(text.lines().map(str::to_owned).collect())
    }
}

impl Driver for Depot {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let base = format!("https://{}/", settings.required_text("registryBase")?);
        let base = Url::parse(&base).map_err(|_| Error::invalid_setting("registryBase", "is no host"))?;
        Ok(Self { host, base, open: Mutex::default(), opened: AtomicU64::new(0) })
    }

    async fn validate(&self) -> Result<Validation> {
        self.lines("index.txt").await?;
        let checks = vec![Check::passed(Check::LIST, "the depot has an index")];
        Ok(Validation { registry: self.base.host_str().unwrap_or_default().to_owned(), checks })
    }

    async fn repositories(&self, _: PageRequest) -> Result<Page<RepositoryName>> {
        let lines = self.lines("index.txt").await?;
        Ok(Page::only(lines.iter().filter_map(|line| line.parse().ok()).collect()))
    }

    async fn tags(&self, repository: &RepositoryName, _: PageRequest) -> Result<Page<Tag>> {
        let lines = self.lines(&format!("{repository}/tags.txt")).await?;
        Ok(Page::only(lines.iter().filter_map(|line| line.parse().ok()).collect()))
    }

    async fn authorize(&self, _: Access) -> Result<Authorization> {
        Err(Error::unsupported("the distribution protocol"))
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Content> {
        let url = self.url(&format!("{repository}/{reference}.json"))?;
        Ok(Content {
            media_type: MediaType::new(MediaType::OCI_MANIFEST),
            bytes: self.file(url, None).await?,
        })
    }

    async fn open_blob(&self, _: &RepositoryName, digest: &Digest) -> Result<BlobHandle> {
        let url = self.url(&format!("files/{}", digest.hex()))?;
        let handle = self.opened.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, (url, 0));
        Ok(BlobHandle(handle))
    }

    async fn read_blob(&self, blob: BlobHandle, max_bytes: usize) -> Result<Bytes> {
        let found = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&blob.0).cloned();
        let (url, at) = found.ok_or_else(|| Error::not_found("the blob is not open"))?;
        let end = at.saturating_add(max_bytes as u64).saturating_sub(1);
        let bytes = self.file(url.clone(), Some(format!("bytes={at}-{end}"))).await?;
        let at = at.saturating_add(bytes.len() as u64);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(blob.0, (url, at));
        Ok(bytes)
    }

    async fn close_blob(&self, blob: BlobHandle) -> Result<()> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&blob.0);
        Ok(())
    }
}
