//! What a reference costs that was followed before, and who may use what is known.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_TYPE, RETRY_AFTER};

use super::*;
use crate::disk_cache::{DiskCache, DiskCacheConfig};
use crate::http::test_server::TestBody;

/// Who may not read, and how HEAD is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Ordinary,
    /// HEAD has no header with the digest.
    NoDigest,
    /// HEAD is not allowed.
    NoHead,
    /// Nothing may be read by anyone.
    Forbidden,
    /// Nothing is answered for a day.
    Limited,
}

/// What a registry has now: manifests by reference, and the configuration.
struct Shown {
    manner: Manner,
    manifests: Vec<(String, &'static str, Bytes)>,
}

struct Scene {
    shown: Arc<Mutex<Shown>>,
    server: TestServer,
    documents: Documents,
}

fn respond(shown: &Shown, method: &Method, path: &str) -> http::Response<TestBody> {
    match shown.manner {
        Manner::Forbidden => return answer(403, ""),
        Manner::Limited => {
            let mut response = answer(429, "");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("86400"));
            return response;
        }
        Manner::NoHead if method == Method::HEAD => return answer(405, ""),
        _ => {}
    }
    if path.contains("/blobs/") {
        return answer(200, CONFIG);
    }
    let found =
        shown.manifests.iter().find(|(reference, _, _)| path.ends_with(&format!("/manifests/{reference}")));
    let Some((_, media_type, content)) = found else { return answer(404, "") };
    let mut response = answer(200, content.clone());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if shown.manner != Manner::NoDigest {
        let digest = Digest::sha256(content).to_string();
        response.headers_mut().insert("docker-content-digest", digest.parse().unwrap());
    }
    response
}

impl Scene {
    async fn set(documents: Documents) -> Self {
        let shown = Arc::new(Mutex::new(Shown { manner: Manner::Ordinary, manifests: Vec::new() }));
        let state = Arc::clone(&shown);
        let server =
            TestServer::plain(move |parts| respond(&state.lock().unwrap(), &parts.method, parts.uri.path()))
                .await;
        let scene = Self { shown, server, documents };
        scene.show("1", MediaType::OCI_MANIFEST, &manifest());
        scene
    }

    fn be(&self, manner: Manner) {
        self.shown.lock().unwrap().manner = manner;
    }

    /// A reference leads to this from now on.
    fn show(&self, reference: &str, media_type: &'static str, content: &Bytes) {
        let mut shown = self.shown.lock().unwrap();
        shown.manifests.retain(|(old, _, _)| old != reference);
        for reference in [reference.to_owned(), Digest::sha256(content).to_string()] {
            shown.manifests.push((reference, media_type, content.clone()));
        }
    }

    /// Another session, with documents of this process.
    async fn registry(&self) -> Arc<Registry> {
        self.registry_with(&self.documents).await
    }

    async fn registry_with(&self, documents: &Documents) -> Arc<Registry> {
        let mut config = DriversConfig::new(Vec::new());
        config.insecure = crate::http::InsecureRegistries::all();
        config.documents = documents.clone();
        let http = HttpClient::new(&HttpConfig::default()).unwrap();
        let drivers = Drivers::with_native(config, http, &[gate::DRIVER]);
        let fields = [("registryBase".to_owned(), SecretString::from(self.server.url("")))];
        drivers.open(&Connection::new("gate", fields)).await.unwrap()
    }

    /// What is asked for, in a word each, while an image is resolved; and its manifest's digest or the error.
    async fn resolve(&self, registry: &Registry, reference: &str) -> (Vec<String>, Result<Digest, String>) {
        let before = self.server.seen().len();
        let resolved = registry.resolve(&image(&format!("team/{reference}")), None).await;
        let seen = self.server.seen().split_off(before);
        let word = |line: String| {
            let (method, path) = line.split_once(' ').unwrap();
            let what = path.strip_prefix("/v2/team/").unwrap();
            format!("{method} {}", what.split_once("sha256:").map_or(what, |(start, _)| start))
        };
        let outcome =
            resolved.map(|resolved| resolved.manifest.digest).map_err(|error| error.code().to_owned());
        (seen.into_iter().map(word).collect(), outcome)
    }
}

fn other_manifest() -> Bytes {
    let text = String::from_utf8(manifest().to_vec()).unwrap();
    text.replace("\"layers\":[]", "\"layers\":[],\"annotations\":{\"a\":\"b\"}").into()
}

#[tokio::test]
async fn an_image_that_is_known_costs_one_head() {
    let scene = Scene::set(Documents::default()).await;
    let registry = scene.registry().await;
    let digest = Digest::sha256(&manifest());
    let first = scene.resolve(&registry, "app:1").await;
    assert_eq!(first, (vec!["GET app/manifests/1".into(), "GET app/blobs/".into()], Ok(digest.clone())));
    for registry in [registry, scene.registry().await] {
        let known = scene.resolve(&registry, "app:1").await;
        assert_eq!(known, (vec!["HEAD app/manifests/1".into()], Ok(digest.clone())));
    }
    // By digest it is the same.
    let reference = format!("app@{digest}");
    for method in ["GET", "HEAD"] {
        let by_digest = scene.resolve(&*scene.registry().await, &reference).await;
        assert_eq!(by_digest, (vec![format!("{method} app/manifests/")], Ok(digest.clone())));
    }
}

#[tokio::test]
async fn indexes_on_the_way_are_known_as_well() {
    let scene = Scene::set(Documents::default()).await;
    let index = index_of(MediaType::OCI_MANIFEST, &manifest());
    scene.show("all", MediaType::OCI_INDEX, &index);
    let registry = scene.registry().await;
    let (asked, outcome) = scene.resolve(&registry, "app:all").await;
    assert_eq!(asked, ["GET app/manifests/all", "GET app/manifests/", "GET app/blobs/"]);
    assert_eq!(outcome, Ok(Digest::sha256(&manifest())));
    let (asked, again) = scene.resolve(&registry, "app:all").await;
    assert_eq!((asked, again), (vec!["HEAD app/manifests/all".into()], outcome));
}

#[tokio::test]
async fn a_tag_that_leads_elsewhere_is_followed_and_back_again_costs_one_head() {
    let scene = Scene::set(Documents::default()).await;
    let registry = scene.registry().await;
    let (old, new) = (Digest::sha256(&manifest()), Digest::sha256(&other_manifest()));
    scene.resolve(&registry, "app:1").await.1.unwrap();
    scene.show("1", MediaType::OCI_MANIFEST, &other_manifest());
    let (asked, outcome) = scene.resolve(&registry, "app:1").await;
    assert_eq!(asked, ["HEAD app/manifests/1", "GET app/manifests/1"]);
    assert_eq!(outcome, Ok(new.clone()));
    for (content, digest) in [(manifest(), old), (other_manifest(), new)] {
        scene.show("1", MediaType::OCI_MANIFEST, &content);
        let known = scene.resolve(&registry, "app:1").await;
        assert_eq!(known, (vec!["HEAD app/manifests/1".into()], Ok(digest)));
    }
}

#[tokio::test]
async fn what_a_connection_may_not_read_it_does_not_get_though_it_is_known() {
    let scene = Scene::set(Documents::default()).await;
    scene.resolve(&*scene.registry().await, "app:1").await.1.unwrap();
    let by_digest = format!("app@{}", Digest::sha256(&manifest()));
    scene.resolve(&*scene.registry().await, &by_digest).await.1.unwrap();
    scene.be(Manner::Forbidden);
    for reference in ["app:1", by_digest.as_str()] {
        let (asked, outcome) = scene.resolve(&*scene.registry().await, reference).await;
        assert!(!asked.is_empty(), "{reference}");
        assert_eq!(outcome, Err("permission_missing".to_owned()), "{reference}");
    }
    // What is gone is gone.
    scene.be(Manner::Ordinary);
    scene.shown.lock().unwrap().manifests.clear();
    for reference in ["app:1", by_digest.as_str()] {
        let (_, outcome) = scene.resolve(&*scene.registry().await, reference).await;
        assert_eq!(outcome, Err("not_found".to_owned()), "{reference}");
    }
}

#[tokio::test]
async fn another_repository_has_nothing_of_it() {
    let scene = Scene::set(Documents::default()).await;
    let registry = scene.registry().await;
    scene.resolve(&registry, "app:1").await.1.unwrap();
    let (asked, _) = scene.resolve(&registry, "other:1").await;
    assert_eq!(asked, ["GET other/manifests/1", "GET other/blobs/"]);
}

#[tokio::test]
async fn where_a_head_does_not_tell_the_manifest_is_fetched_and_it_is_not_asked_again() {
    for manner in [Manner::NoDigest, Manner::NoHead] {
        let scene = Scene::set(Documents::default()).await;
        scene.be(manner);
        let registry = scene.registry().await;
        let expected = [
            vec!["GET app/manifests/1", "GET app/blobs/"],
            vec!["HEAD app/manifests/1", "GET app/manifests/1"],
            vec!["GET app/manifests/1"],
        ];
        for requests in expected {
            let (asked, outcome) = scene.resolve(&registry, "app:1").await;
            assert_eq!(asked, requests, "{manner:?}");
            assert_eq!(outcome, Ok(Digest::sha256(&manifest())), "{manner:?}");
        }
    }
}

#[tokio::test]
async fn a_registry_that_is_not_to_be_asked_now_is_asked_once() {
    let scene = Scene::set(Documents::default()).await;
    let registry = scene.registry().await;
    scene.resolve(&registry, "app:1").await.1.unwrap();
    scene.be(Manner::Limited);
    let (asked, outcome) = scene.resolve(&registry, "app:1").await;
    assert_eq!((asked, outcome), (vec!["HEAD app/manifests/1".into()], Err("rate_limited".to_owned())));
}

fn disk(folder: &Path) -> DiskCache {
    DiskCache::open(DiskCacheConfig {
        directory: folder.join("captures"),
        max_bytes: 1 << 20,
        max_age: Duration::from_hours(1),
        reserve_bytes: 0,
    })
}

#[tokio::test]
async fn the_next_process_knows_it_from_the_disk_and_a_damaged_file_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = disk(folder.path());
    let scene = Scene::set(Documents::kept_in(cache.clone())).await;
    let (_, outcome) = scene.resolve(&*scene.registry().await, "app:1").await;
    cache.settle().await;
    let next = scene.registry_with(&Documents::kept_in(disk(folder.path()))).await;
    let known = scene.resolve(&next, "app:1").await;
    assert_eq!(known, (vec!["HEAD app/manifests/1".into()], outcome.clone()));
    for file in std::fs::read_dir(folder.path().join("captures")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let next = scene.registry_with(&Documents::kept_in(disk(folder.path()))).await;
    let (asked, again) = scene.resolve(&next, "app:1").await;
    assert_eq!(asked, ["GET app/manifests/1", "GET app/blobs/"]);
    assert_eq!(again, outcome);
}
