//! What Azure Container Registry does and no other: refresh tokens, Entra, its firewall, two listings for one.

use std::sync::Arc;
use std::time::Duration;

use regent_oci::{Digest, RepositoryName};
use regent_plugin_api::transport::Class;
use regent_plugin_api::{Check, Cursor, DynDriver, Outcome, PageRequest};
use regent_tests::vendor::acr::{Acr, AcrScene, HOST, NULL_USER};
use regent_tests::vendor::distribution;
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::scene::{Account, Fields, Scene, connect};

struct Set {
    internet: Internet,
    scene: AcrScene,
}

impl Set {
    fn new() -> Self {
        let internet = Internet::new();
        let scene = AcrScene::open(&internet);
        scene.store(|store| {
            for number in 0..3 {
                store.tag(&AcrScene::repository(number), "1.0", "an artifact");
            }
        });
        Self { internet, scene }
    }

    fn connect(&self, fields: Fields) -> Arc<dyn DynDriver> {
        connect(&self.scene, &self.internet, "acr", fields).unwrap()
    }

    fn full(&self) -> Arc<dyn DynDriver> {
        self.connect(self.scene.connection(Account::Full).unwrap())
    }

    fn password(&self, username: &str) -> Arc<dyn DynDriver> {
        self.connect(with_base([("username", username), ("password", "secret")]))
    }

    fn count(&self, operation: &str) -> usize {
        self.scene.desk().count(&[operation])
    }
}

fn with_base<const N: usize>(fields: [(&'static str, &str); N]) -> Fields {
    let base = [("registryBase", HOST)];
    base.into_iter().chain(fields).map(|(name, value)| (name, value.to_owned())).collect()
}

fn app() -> RepositoryName {
    AcrScene::repository(0).parse().unwrap()
}

const EXCHANGE: &str = "RefreshTokens_GetFromExchange";

#[tokio::test]
async fn a_refresh_token_stands_in_for_a_password() {
    let set = Set::new();
    let until = set.internet.now() + Duration::from_hours(3);
    let token = set.scene.with(|acr| acr.refresh_token("full", until));
    let driver = set.connect(with_base([("username", NULL_USER), ("password", &token)]));
    assert_eq!(driver.repositories(PageRequest::first()).await.unwrap().items.len(), 3);
    set.internet.advance(Duration::from_hours(2));
    assert_eq!(driver.tag_details(&app(), PageRequest::first()).await.unwrap().items.len(), 1);
    set.internet.advance(Duration::from_hours(2));
    let error = driver.repositories(PageRequest::first()).await.unwrap_err();
    assert_eq!(error.code(), "credentials_rejected");
    assert!(error.message().contains("refresh token"), "{error}");
}

#[tokio::test]
async fn a_token_of_entra_is_exchanged_as_often_as_is_needed_and_no_more() {
    let set = Set::new();
    set.scene.with(|acr: &mut Acr| acr.entra.insert("an Entra token".to_owned(), "full".to_owned()));
    let driver = set.connect(with_base([("aadToken", "an Entra token"), ("tenant", "contoso")]));
    for _ in 0..3 {
        assert_eq!(driver.repositories(PageRequest::first()).await.unwrap().items.len(), 3);
        assert_eq!(driver.tags(&app(), PageRequest::first()).await.unwrap().items.len(), 1);
    }
    assert_eq!(set.count(EXCHANGE), 1);
    // The refresh token has lived nine tenths of its three hours.
    set.internet.advance(Duration::from_mins(165));
    driver.repositories(PageRequest::first()).await.unwrap();
    assert_eq!(set.count(EXCHANGE), 2);
    // It is revoked, and the access tokens expire.
    set.scene.with(Acr::expire_refresh_tokens);
    set.internet.advance(Duration::from_mins(80));
    driver.repositories(PageRequest::first()).await.unwrap();
    assert_eq!(set.count(EXCHANGE), 3);

    let driver = set.connect(with_base([("aadToken", "another")]));
    let error = driver.validate().await.unwrap_err();
    assert_eq!(error.code(), "credentials_rejected");
    assert!(error.message().contains("aadToken"), "{error}");
}

#[tokio::test]
async fn with_permissions_by_attribute_the_role_of_that_kind_is_named_alone() {
    for (abac, role, other) in [
        (true, "Container Registry Repository Catalog Lister", "AcrPull"),
        (false, "AcrPull", "Catalog Lister"),
    ] {
        let set = Set::new();
        let token = set.scene.with(|acr| {
            acr.abac = abac;
            acr.entra.insert("t".to_owned(), "pull".to_owned());
            acr.refresh_token("pull", set.internet.now() + Duration::from_hours(3))
        });
        let by_refresh_token = set.connect(with_base([("username", NULL_USER), ("password", &token)]));
        let by_entra = set.connect(with_base([("aadToken", "t")]));
        for driver in [by_refresh_token, by_entra] {
            let error = driver.repositories(PageRequest::first()).await.unwrap_err();
            assert_eq!(error.code(), "permission_missing");
            assert!(error.message().contains(role) && !error.message().contains(other), "{error}");
        }
    }
}

#[tokio::test]
async fn the_firewall_is_told_from_a_right_that_is_missing() {
    let set = Set::new();
    set.scene.with(|acr| acr.shut = true);
    let error = set.full().validate().await.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Denied, "network_denied"));
    assert!(error.message().contains("firewall"), "{error}");
}

#[tokio::test]
async fn behind_a_proxy_that_hides_the_api_the_catalog_is_listed_and_the_host_asks_for_digests() {
    let set = Set::new();
    set.scene.with(|acr| acr.hides_api = true);
    let driver = set.full();
    let first = driver.repositories(PageRequest { size: 2, after: None }).await.unwrap();
    let second = driver.repositories(PageRequest { size: 2, after: first.next }).await.unwrap();
    assert_eq!(first.items.len() + second.items.len(), 3);
    assert_eq!(set.count(distribution::CATALOG), 2 + 1, "and once to be asked for a token");
    let error = driver.tag_details(&app(), PageRequest::first()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unsupported, "{error}");
    assert_eq!(driver.tags(&app(), PageRequest::first()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn without_the_right_to_metadata_the_error_names_it_and_pulling_goes_on() {
    let set = Set::new();
    let driver = set.password("content");
    let error = driver.tag_details(&app(), PageRequest::first()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unsupported, "{error}");
    let error = driver.tags(&app(), PageRequest::first()).await.unwrap_err();
    assert_eq!(error.code(), "permission_missing");
    assert!(error.message().contains("metadata/read"), "{error}");
    let validation = driver.validate().await.unwrap();
    let metadata = validation.checks.iter().find(|check| check.name == "metadata").unwrap();
    assert_eq!(metadata.outcome, Outcome::Denied, "{}", metadata.detail);
    assert!(metadata.detail.contains("metadata/read"), "{}", metadata.detail);
    let pull = validation.checks.iter().find(|check| check.name == Check::PULL).unwrap();
    assert_eq!(pull.outcome, Outcome::Skipped, "{}", pull.detail);
}

#[tokio::test]
async fn sizes_take_each_page_of_manifests_once_and_another_process_reads_them_anew() {
    let set = Set::new();
    let name: RepositoryName = "many".parse().unwrap();
    set.scene.store(|store| {
        for number in 0..2500 {
            store.tag(name.as_str(), &format!("v{number}"), &format!("artifact {number}"));
        }
    });
    let driver = set.full();
    driver.tags(&name, PageRequest::first()).await.unwrap(); // takes the token
    let mut page = driver.tag_details(&name, PageRequest { size: 1000, after: None }).await.unwrap();
    let mut details = page.items;
    let mut last: Option<Cursor> = None;
    while let Some(next) = page.next {
        last = Some(next.clone());
        page = driver.tag_details(&name, PageRequest { size: 1000, after: Some(next) }).await.unwrap();
        details.extend(page.items);
    }
    assert_eq!(details.len(), 2500);
    assert!(details.iter().all(|detail| detail.size_bytes.is_some()));
    assert_eq!((set.count("Tag_GetList"), set.count("Manifests_GetList")), (3, 3));
    let again = set.full().tag_details(&name, PageRequest { size: 1000, after: last }).await.unwrap();
    assert_eq!(again.items, details[2000..]);
}

#[tokio::test]
async fn the_size_of_one_of_many_manifests_is_sought_and_not_walked_to() {
    let set = Set::new();
    let name: RepositoryName = "many".parse().unwrap();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let last = set.scene.store(|store| {
        let push = |number: u32| {
            let content = number.to_string();
            store
                .push_manifest(
                    name.as_str(),
                    None,
                    media_type,
                    content.as_bytes(),
                    std::collections::BTreeMap::new(),
                )
                .0
        };
        let last = (0..6000).map(push).max().unwrap();
        let content =
            (0..6000u32).map(|n| n.to_string()).find(|n| Digest::sha256(n.as_bytes()) == last).unwrap();
        store.tag(name.as_str(), "only", &content);
        last
    });
    let page = set.full().tag_details(&name, PageRequest::first()).await.unwrap();
    let detail = page.items.first().unwrap();
    assert_eq!((&detail.digest, page.items.len()), (&last, 1));
    assert!(detail.size_bytes.is_some());
    assert_eq!(set.count("Manifests_GetList"), 2, "the first page and the one that it is on");
}
