use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use regent_oci::{Digest, MediaType};
use secrecy::SecretString;

use super::*;
use crate::connection::Connection;
use crate::drivers::fixtures::{gate, shelf};
use crate::drivers::{Drivers, DriversConfig};
use crate::http::test_server::{TestServer, answer};
use crate::http::{HttpClient, HttpConfig};

mod known;

const CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;

async fn open(registry_type: &str, base: &str) -> Arc<Registry> {
    let mut config = DriversConfig::new(Vec::new());
    config.insecure = crate::http::InsecureRegistries::all();
    let http = HttpClient::new(&HttpConfig::default()).unwrap();
    let drivers = Drivers::with_native(config, http, &[shelf::DRIVER, gate::DRIVER]);
    let fields = [("registryBase".to_owned(), SecretString::from(base))];
    drivers.open(&Connection::new(registry_type, fields)).await.unwrap()
}

/// Blobs that are open once the driver has done what it was asked to: this call is behind the closing ones.
async fn n_open(registry: &Registry, shelf: &str) -> usize {
    registry.validate().await.unwrap();
    shelf::n_open(shelf)
}

fn manifest() -> Bytes {
    let config = Descriptor::of(MediaType::OCI_CONFIG, CONFIG);
    serde_json::json!({"schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": []})
        .to_string()
        .into()
}

fn index_of(media_type: &str, content: &Bytes) -> Bytes {
    let entry = Descriptor::of(media_type, content);
    serde_json::json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [entry]})
        .to_string()
        .into()
}

fn image(text: &str) -> ImageRef {
    text.parse().unwrap()
}

/// A shelf with an image, and `n_indexes` indexes around it.
fn shelve(name: &str, n_indexes: u32) {
    let mut contents = shelf::Contents::default();
    contents.blobs.insert(Digest::sha256(CONFIG), Bytes::from_static(CONFIG));
    let (mut media_type, mut top) = (MediaType::OCI_MANIFEST, manifest());
    for _ in 0..n_indexes {
        contents.manifests.insert(Digest::sha256(&top).to_string(), (media_type, top.clone()));
        top = index_of(media_type, &top);
        media_type = MediaType::OCI_INDEX;
    }
    contents.manifests.insert("1".to_owned(), (media_type, top));
    shelf::put(name, contents);
}

#[tokio::test]
async fn every_page_is_followed_and_a_listing_without_end_is_cut() {
    let registry = open("gate", "http://127.0.0.1:1").await;
    let repositories = registry.repositories().await.unwrap();
    assert_eq!(repositories.len(), 250);
    assert_eq!(repositories.last().unwrap().as_str(), "team/app-249");
    let error = registry.tags(&"team/app-1".parse().unwrap()).await.unwrap_err();
    assert_eq!((error.code(), error.driver()), ("paging_loop", Some("gate")), "{error}");
}

#[tokio::test]
async fn indexes_are_descended_to_the_image_and_the_first_is_kept() {
    for n_indexes in 0..=4 {
        let name = format!("nested-{n_indexes}");
        shelve(&name, n_indexes);
        let registry = open("shelf", &name).await;
        let resolved = registry.resolve(&image("app:1"), None).await.unwrap();
        assert_eq!(resolved.manifest.raw, manifest());
        assert_eq!(resolved.index.is_some(), n_indexes > 0);
        assert_eq!(resolved.config.architecture.as_deref(), Some("amd64"));
        assert_eq!(n_open(&registry, &name).await, 0);
    }
    shelve("nested-5", 5);
    let error = open("shelf", "nested-5").await.resolve(&image("app:1"), None).await.unwrap_err();
    assert_eq!(error.code(), "index_too_deep");
}

#[tokio::test]
async fn content_of_a_driver_that_is_not_what_its_digest_says_is_refused() {
    let digest = Digest::sha256(b"something else");
    let mut contents = shelf::Contents::default();
    contents.manifests.insert(digest.to_string(), (MediaType::OCI_MANIFEST, manifest()));
    contents.manifests.insert("short".to_owned(), (MediaType::OCI_MANIFEST, manifest()));
    contents.blobs.insert(Digest::sha256(CONFIG), Bytes::from_static(b"{}"));
    shelf::put("liar", contents);
    let registry = open("shelf", "liar").await;
    let rows = [(format!("app@{digest}"), "digest_mismatch"), ("app:short".to_owned(), "size_mismatch")];
    for (reference, code) in rows {
        let error = registry.resolve(&image(&reference), None).await.unwrap_err();
        assert_eq!((error.code(), error.driver()), (code, Some("shelf")), "{reference}: {error}");
    }
    assert_eq!(n_open(&registry, "liar").await, 0);
}

#[tokio::test]
async fn tags_are_asked_for_one_by_one_where_the_driver_has_no_details() {
    shelve("details", 1);
    let registry = open("shelf", "details").await;
    let details = registry.tag_details(&"app".parse().unwrap()).await.unwrap();
    let index = index_of(MediaType::OCI_MANIFEST, &manifest());
    let expected = TagDetail {
        tag: "1".parse().unwrap(),
        digest: Digest::sha256(&index),
        pushed: None,
        size_bytes: None,
    };
    assert_eq!(details, [expected]);
    assert_eq!(registry.head(&image("app:1")).await.unwrap().digest, Digest::sha256(&index));
}

#[tokio::test]
async fn an_authorization_is_kept_and_renewed_when_the_registry_refuses_it() {
    let refused = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&refused);
    let server = TestServer::plain(move |parts| {
        if parts.headers.get(AUTHORIZATION) != Some(&HeaderValue::from_static("Bearer 1")) {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut response = answer(401, "");
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"http://h/t\""));
            return response;
        }
        answer(
            200,
            if parts.uri.path().contains("/blobs/") { Bytes::from_static(CONFIG) } else { manifest() },
        )
    })
    .await;
    let registry = open("gate", &server.url("")).await;
    let resolved = registry.resolve(&image("team/app:1"), None).await.unwrap();
    assert_eq!(resolved.manifest.raw, manifest());
    registry.resolve(&image("team/app:1"), None).await.unwrap();
    assert_eq!(refused.load(Ordering::SeqCst), 1, "{:?}", server.seen());
}

#[tokio::test]
async fn a_registry_that_refuses_for_good_is_told_with_its_driver() {
    let server = TestServer::plain(|_| {
        let mut response = answer(401, "");
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"x\""));
        response
    })
    .await;
    let registry = open("gate", &server.url("")).await;
    let error = registry.head(&image("team/app:1")).await.unwrap_err();
    assert_eq!((error.class(), error.driver()), (Class::Authentication, Some("gate")), "{error}");
}
