//! Drivers for tests: what a library says of itself, and two that are linked in: one that serves an image itself, one that
//! authorizes at a test's server.

use std::sync::atomic::{AtomicUsize, Ordering};

use regent_oci::RepositoryName;
use regent_plugin_api::{Cursor, Description, Page, PageRequest, Validation};

/// What a library of this driver says of itself.
pub(crate) fn described(name: &str, version: &str, types: &[&str]) -> Description {
    Description {
        format: 1,
        name: name.to_owned(),
        version: version.parse().unwrap(),
        api: "1.0.0".parse().unwrap(),
        requires_api: "1.0.0".parse().unwrap(),
        target: String::new(),
        rustc: String::new(),
        abi_stable: String::new(),
        layouts: std::collections::BTreeMap::new(),
        types: types.iter().map(|t| (*t).to_owned()).collect(),
        summary: String::new(),
        settings: Vec::new(),
        egress: Vec::new(),
        env: Vec::new(),
        capabilities: Vec::new(),
    }
}

/// Serves images from memory; the setting `registryBase` names which.
pub(crate) mod shelf {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex};

    use bytes::Bytes;
    use regent_oci::{Digest, MediaType, Reference, RepositoryName, Tag};
    use regent_plugin_api::{
        Access, Authorization, BlobHandle, Content, Driver, Error, Host, Page, PageRequest, Result, Settings,
        Validation,
    };

    use super::validation;

    /// What a shelf holds: manifests by reference, blobs by digest.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Contents {
        pub(crate) manifests: HashMap<String, (&'static str, Bytes)>,
        pub(crate) blobs: HashMap<Digest, Bytes>,
        /// Blobs whose end never comes.
        pub(crate) endless: Vec<Digest>,
    }

    /// All shelves, by the `registryBase` that names them.
    static SHELVES: LazyLock<Mutex<HashMap<String, Contents>>> = LazyLock::new(Mutex::default);
    /// Blobs that are open, of all shelves.
    pub(crate) static OPEN: LazyLock<Mutex<HashMap<u64, (String, Bytes)>>> = LazyLock::new(Mutex::default);

    pub(crate) fn put(name: &str, contents: Contents) {
        SHELVES.lock().unwrap().insert(name.to_owned(), contents);
    }

    pub(crate) fn get(name: &str) -> Contents {
        SHELVES.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    /// How many blobs of a shelf are open.
    pub(crate) fn n_open(name: &str) -> usize {
        OPEN.lock().unwrap().values().filter(|(shelf, _)| shelf == name).count()
    }

    struct Shelf {
        name: String,
        contents: Contents,
        /// Open blobs whose end never comes.
        endless: Mutex<Vec<u64>>,
    }

    regent_plugin_api::export_driver! {
        Shelf,
        name: "shelf",
        summary: "serves images from memory",
        types: ["shelf", "other-shelf"],
        capabilities: ["content"],
    }

    impl Driver for Shelf {
        fn connect(settings: Settings, _: Host) -> Result<Self> {
            let name = settings.base().ok_or_else(|| Error::invalid_setting("registryBase", "is missing"))?;
            let contents = SHELVES.lock().unwrap().get(name).cloned().unwrap_or_default();
            Ok(Self { name: name.to_owned(), contents, endless: Mutex::default() })
        }

        async fn validate(&self) -> Result<Validation> {
            Ok(validation(&self.name))
        }

        async fn repositories(&self, _: PageRequest) -> Result<Page<RepositoryName>> {
            Ok(Page::only(vec!["app".parse().expect("a name")]))
        }

        async fn tags(&self, _: &RepositoryName, _: PageRequest) -> Result<Page<Tag>> {
            let mut tags: Vec<Tag> = self.contents.manifests.keys().filter_map(|k| k.parse().ok()).collect();
            tags.sort();
            Ok(Page::only(tags))
        }

        async fn authorize(&self, _: Access) -> Result<Authorization> {
            Err(Error::unsupported("the distribution protocol"))
        }

        async fn manifest(&self, _: &RepositoryName, reference: &Reference) -> Result<Content> {
            let found = self.contents.manifests.get(reference.as_str());
            let (media_type, bytes) = found.ok_or_else(|| Error::not_found("no such manifest"))?;
            Ok(Content { media_type: MediaType::new(media_type), bytes: bytes.clone() })
        }

        async fn open_blob(&self, _: &RepositoryName, digest: &Digest) -> Result<BlobHandle> {
            let blob = self.contents.blobs.get(digest).ok_or_else(|| Error::not_found("no such blob"))?;
            let mut open = OPEN.lock().unwrap();
            let handle = open.keys().max().map_or(0, |last| last + 1);
            open.insert(handle, (self.name.clone(), blob.clone()));
            if self.contents.endless.contains(digest) {
                self.endless.lock().unwrap().push(handle);
            }
            Ok(BlobHandle(handle))
        }

        async fn read_blob(&self, blob: BlobHandle, max_bytes: usize) -> Result<Bytes> {
            let bytes = {
                let mut open = OPEN.lock().unwrap();
                let (_, rest) = open.get_mut(&blob.0).ok_or_else(|| Error::not_found("not open"))?;
                rest.split_to(rest.len().min(max_bytes))
            };
            if bytes.is_empty() && self.endless.lock().unwrap().contains(&blob.0) {
                std::future::pending::<()>().await;
            }
            Ok(bytes)
        }

        async fn close_blob(&self, blob: BlobHandle) -> Result<()> {
            OPEN.lock().unwrap().remove(&blob.0);
            Ok(())
        }
    }
}

/// Authorizes with `Bearer <n>`, counting up with each renewal; lists what tests of paging need.
pub(crate) mod gate {
    use http::header::AUTHORIZATION;
    use regent_oci::{RepositoryName, Tag};
    use regent_plugin_api::{
        Access, Authorization, Cursor, Driver, Error, Host, Page, PageRequest, Result, Settings, Validation,
    };

    use super::{AtomicUsize, Ordering, counted_page, validation};

    struct Gate {
        endpoint: String,
        issued: AtomicUsize,
        host: Host,
    }

    regent_plugin_api::export_driver! {
        Gate,
        name: "gate",
        summary: "authorizes at a server of the test",
        types: ["gate", "other-shelf"],
        settings: [],
        egress: [],
        env: ["GATE_DECLARED"],
    }

    impl Driver for Gate {
        fn connect(settings: Settings, host: Host) -> Result<Self> {
            let base = settings.base().ok_or_else(|| Error::invalid_setting("registryBase", "is missing"))?;
            Ok(Self { endpoint: base.to_owned(), issued: AtomicUsize::new(0), host })
        }

        async fn validate(&self) -> Result<Validation> {
            let url = format!("{}/v2/", self.endpoint).parse().map_err(|_| Error::bad_answer("no URL"))?;
            let answer = self.host.http(regent_plugin_api::transport::Request::get(url)).await?;
            let seen = (self.host.env("GATE_DECLARED"), self.host.env("GATE_SECRET"));
            Ok(validation(&format!("{} {seen:?}", answer.status.as_u16())))
        }

        /// 250 repositories in pages of 100.
        async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
            Ok(counted_page(page, 250, |i| format!("team/app-{i}")))
        }

        /// A listing without end.
        async fn tags(&self, _: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
            let tag = "always".parse().expect("a tag");
            Ok(Page { items: vec![tag], next: Some(Cursor(format!("{page:?}").len().to_string())) })
        }

        async fn authorize(&self, access: Access) -> Result<Authorization> {
            let n = if access.renew { self.issued.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
            Ok(Authorization {
                endpoint: self.endpoint.parse().map_err(|_| Error::bad_answer("no URL"))?,
                repository: access.repository,
                headers: vec![(
                    AUTHORIZATION,
                    format!("Bearer {n}").parse().map_err(|_| Error::bad_answer("no header"))?,
                )],
                expires: None,
            })
        }
    }
}

fn validation(registry: &str) -> Validation {
    Validation { registry: registry.to_owned(), checks: Vec::new() }
}

fn counted_page(page: PageRequest, n: usize, name: impl Fn(usize) -> String) -> Page<RepositoryName> {
    let start: usize = page.after.and_then(|Cursor(c)| c.parse().ok()).unwrap_or(0);
    let end = (start + page.size as usize).min(n);
    let items = (start..end).map(|i| name(i).parse().expect("a name")).collect();
    Page { items, next: (end < n).then(|| Cursor(end.to_string())) }
}
