//! What only Docker Hub does: official images, silent lists, digests that are not known, and limits of pulls.

use std::sync::Arc;
use std::time::Duration;

use regent_plugin_api::transport::{Class, Retry};
use regent_plugin_api::{Access, Check, Cursor, DynDriver, Outcome, PageRequest};
use regent_tests::vendor::distribution;
use regent_tests::vendor::docker_hub::{DockerHubScene, connection};
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::listing::repository_names;
use regent_tests::vendor::scene::{Fields, Scene, connect};
use regent_tests::vendor::suite::check;

const USER: (&str, &str) = ("sam", "dckr_pat_full");

struct Hub {
    internet: Internet,
    scene: DockerHubScene,
}

impl Hub {
    /// With these repositories, each with the tags `1.0` and `latest`.
    fn with(repositories: &[&str]) -> Self {
        let internet = Internet::new();
        let scene = DockerHubScene::open(&internet);
        scene.store(|store| {
            for name in repositories {
                for tag in ["1.0", "latest"] {
                    store.tag(name, tag, &format!("{name}:{tag}"));
                }
            }
        });
        Self { internet, scene }
    }

    fn connect(&self, fields: Fields) -> Arc<dyn DynDriver> {
        connect(&self.scene, &self.internet, "docker-hub", fields).unwrap()
    }

    fn user(&self, base: &str) -> Arc<dyn DynDriver> {
        self.connect(connection(base, USER.0, USER.1))
    }
}

async fn listed(driver: &dyn DynDriver) -> Vec<String> {
    repository_names(driver, 1000).await.unwrap()
}

#[tokio::test]
async fn a_name_without_a_namespace_is_an_official_image() {
    let hub = Hub::with(&["library/redis"]);
    let driver = hub.user("");
    let redis = "redis".parse().unwrap();
    let tags = driver.tags(&redis, PageRequest::first()).await.unwrap();
    assert_eq!(tags.items.len(), 2);
    let details = driver.tag_details(&redis, PageRequest::first()).await.unwrap();
    assert_eq!(details.items.len(), 2);
    let authorization = driver.authorize(Access { repository: redis, renew: true }).await.unwrap();
    assert_eq!(authorization.repository.as_str(), "library/redis");
    assert_eq!(authorization.endpoint.as_str(), "https://registry-1.docker.io/");
    assert_eq!(listed(&*hub.user("docker.io/library")).await, ["library/redis"]);
}

#[tokio::test]
async fn all_namespaces_of_a_user_are_listed_without_plugins_and_one_closed_to_it() {
    let hub = Hub::with(&["acme/app", "acme/plugin-net", "acme/old", "sam/tool"]);
    assert_eq!(listed(&*hub.user("")).await, ["sam/tool", "acme/app", "acme/old"]);
    assert_eq!(listed(&*hub.user("docker.io/acme/app")).await, ["acme/app"]);
    hub.scene.vendor(|vendor| vendor.closed.insert("acme".to_owned()));
    assert_eq!(listed(&*hub.user("")).await, ["sam/tool"]);
    let driver = hub.user("docker.io/acme");
    let error = driver.repositories(PageRequest::first()).await.unwrap_err();
    assert_eq!(error.code(), "permission_missing", "{error}");
    let validation = driver.validate().await.unwrap();
    assert_eq!(check(&validation, Check::LIST).outcome, Outcome::Denied);
}

#[tokio::test]
async fn a_list_that_may_lack_private_repositories_is_told_as_such() {
    let hub = Hub::with(&["acme/open", "acme/secret"]);
    hub.scene.vendor(|vendor| vendor.private.insert("acme/secret".to_owned()));
    let all = hub.connect(connection("", "acme", "dckr_oat_full"));
    assert_eq!(listed(&*all).await, ["acme/open", "acme/secret"]);
    let validation = all.validate().await.unwrap();
    assert_eq!(check(&validation, Check::LIST).outcome, Outcome::Passed);
    let public = hub.connect(connection("", "acme", "dckr_oat_nolist"));
    assert_eq!(listed(&*public).await, ["acme/open"]);
    let validation = public.validate().await.unwrap();
    let list = check(&validation, Check::LIST);
    assert_eq!(list.outcome, Outcome::Skipped);
    assert!(list.detail.contains("scope-repository-list"), "{}", list.detail);
}

#[tokio::test]
async fn without_credentials_the_public_half_of_a_namespace_is_read() {
    let hub = Hub::with(&["acme/open", "acme/secret"]);
    hub.scene.vendor(|vendor| vendor.private.insert("acme/secret".to_owned()));
    let driver = hub.connect(connection("docker.io/acme", "", ""));
    assert_eq!(listed(&*driver).await, ["acme/open"]);
    let details = driver.tag_details(&"acme/open".parse().unwrap(), PageRequest::first()).await.unwrap();
    assert_eq!(details.items.len(), 2);
    let error = driver.tags(&"acme/secret".parse().unwrap(), PageRequest::first()).await.unwrap_err();
    assert_eq!(error.code(), "permission_missing", "{error}");
    let validation = driver.validate().await.unwrap();
    assert_eq!(check(&validation, Check::AUTHENTICATED).outcome, Outcome::Skipped);
    assert_eq!(check(&validation, Check::PULL).outcome, Outcome::Passed);
    let nothing = hub.connect(connection("", "", ""));
    let error = nothing.repositories(PageRequest::first()).await.unwrap_err();
    assert_eq!(error.code(), "catalog_unsupported", "{error}");
    assert_eq!(check(&nothing.validate().await.unwrap(), Check::LIST).outcome, Outcome::Skipped);
}

#[tokio::test]
async fn digests_that_the_api_does_not_know_come_by_heads_which_are_no_pulls() {
    let hub = Hub::with(&["acme/app"]);
    let digest = hub.scene.store(|store| store.tag("acme/app", "old", "old").0);
    hub.scene.vendor(|vendor| vendor.without_digest.insert("acme/app:old".to_owned()));
    let driver = hub.user("");
    let page = driver.tag_details(&"acme/app".parse().unwrap(), PageRequest::first()).await.unwrap();
    let old = page.items.iter().find(|detail| detail.tag.as_str() == "old").unwrap();
    assert_eq!(old.digest, digest);
    assert_eq!(hub.scene.desk().count(&[distribution::MANIFEST]), 2, "one of them was challenged");
    assert_eq!(hub.scene.vendor(|vendor| vendor.pulls), 200);
}

#[tokio::test]
async fn a_token_without_the_right_to_the_apis_tags_leaves_them_to_the_registry() {
    let hub = Hub::with(&["acme/app"]);
    hub.scene.vendor(|vendor| vendor.private.insert("acme/app".to_owned()));
    let driver = hub.connect(connection("", "acme", "dckr_oat_notags"));
    let app = "acme/app".parse().unwrap();
    let error = driver.tag_details(&app, PageRequest::first()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unsupported, "{error}");
    assert_eq!(driver.tags(&app, PageRequest::first()).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn what_remains_of_the_pulls_is_a_check() {
    let hub = Hub::with(&["sam/app"]);
    let driver = hub.user("");
    let rows = [(150, Outcome::Passed, "150 of 200"), (0, Outcome::Failed, "no pulls are left")];
    for (pulls, outcome, said) in rows {
        hub.scene.vendor(|vendor| vendor.pulls = pulls);
        let validation = driver.validate().await.unwrap();
        let limit = check(&validation, "rate-limit");
        assert_eq!(limit.outcome, outcome, "{}", limit.detail);
        assert!(limit.detail.contains(said), "{}", limit.detail);
        assert_eq!(hub.scene.vendor(|vendor| vendor.pulls), pulls, "looking is no pull");
    }
}

#[tokio::test]
async fn the_wait_that_the_api_wants_is_a_time_and_not_a_number_of_seconds() {
    let hub = Hub::with(&["sam/app"]);
    let driver = hub.user("docker.io/sam");
    hub.scene.desk().limit(usize::MAX);
    let error = driver.repositories(PageRequest::first()).await.unwrap_err();
    let Retry::After(wait) = error.retry() else { panic!("{:?}", error.retry()) };
    assert!(wait <= Duration::from_secs(2), "{wait:?}");
}

#[tokio::test]
async fn a_cursor_goes_on_in_another_process() {
    let hub = Hub::with(&["sam/app", "acme/app"]);
    let first = hub.user("").repositories(PageRequest::first()).await.unwrap();
    let after: Option<Cursor> = first.next;
    let second = hub.user("").repositories(PageRequest { size: 100, after }).await.unwrap();
    assert_eq!(second.items.iter().map(ToString::to_string).collect::<Vec<_>>(), ["acme/app"]);
    assert_eq!(second.next, None);
    assert_eq!(hub.scene.desk().count(&["organizations"]), 1);
}

#[test]
fn registries_that_are_not_docker_hub_are_refused() {
    let hub = Hub::with(&[]);
    for base in ["registry.example.com", "https://docker.io.example.com/acme", "http://docker.io"] {
        let error = connect(&hub.scene, &hub.internet, "DockerHub", connection(base, "sam", "x"));
        let error = error.err().unwrap_or_else(|| panic!("{base} is taken"));
        assert_eq!(error.code(), "setting_invalid", "{error}");
    }
}
