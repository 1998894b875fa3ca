//! What only Quay does: two doors, tokens that make visitors, a server with another name, a history of tags.

use std::sync::Arc;

use regent_plugin_api::transport::Class;
use regent_plugin_api::{Check, DynDriver, Outcome, PageRequest};
use regent_tests::vendor::distribution;
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::listing::repository_names;
use regent_tests::vendor::quay::{QuayScene, connection};
use regent_tests::vendor::scene::{Fields, Scene, connect};
use regent_tests::vendor::suite::check;

const OAUTH: &str = "$oauthtoken";

struct Server {
    internet: Internet,
    scene: QuayScene,
}

impl Server {
    fn with(repositories: &[&str]) -> Self {
        let internet = Internet::new();
        let scene = QuayScene::open(&internet);
        scene.store(|store| {
            for name in repositories {
                store.tag(name, "1.0", name);
            }
        });
        Self { internet, scene }
    }

    fn connect(&self, fields: Fields) -> Arc<dyn DynDriver> {
        connect(&self.scene, &self.internet, "quay-cr", fields).unwrap()
    }

    fn robot(&self) -> Arc<dyn DynDriver> {
        self.connect(connection("quay.example.com", "acme+scan", "robot"))
    }

    fn oauth(&self, base: &str, token: &str) -> Arc<dyn DynDriver> {
        self.connect(connection(base, OAUTH, token))
    }

    fn catalogs(&self) -> usize {
        self.scene.desk().count(&[distribution::CATALOG])
    }

    fn publish(&self, name: &str) {
        self.scene.vendor(|vendor| vendor.public.insert(name.to_owned()));
    }
}

async fn listed(driver: &dyn DynDriver) -> Vec<String> {
    repository_names(driver, 1000).await.unwrap()
}

#[tokio::test]
async fn a_robot_lists_by_the_catalogs_own_marks_and_has_no_details() {
    let names: Vec<String> = (0..250).map(|i| format!("acme/app-{i:03}")).collect();
    let server = Server::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let robot = server.robot();
    assert_eq!(listed(&*robot).await, names);
    assert_eq!(server.catalogs(), 3);
    let app = names[0].parse().unwrap();
    let error = robot.tag_details(&app, PageRequest::first()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unsupported, "{error}");
    assert_eq!(robot.tags(&app, PageRequest::first()).await.unwrap().items.len(), 1);
    assert_eq!(server.scene.desk().count(&["listRepos", "listRepoTags"]), 0);
}

#[tokio::test]
async fn a_server_under_another_name_is_trusted_if_the_connection_names_it() {
    let names: Vec<String> = (0..150).map(|i| format!("acme/app-{i:03}")).collect();
    let server = Server::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    server.scene.vendor(regent_tests::vendor::quay::Quay::rename);
    let error = server.robot().repositories(PageRequest::first()).await.unwrap_err();
    assert_eq!(error.code(), "realm_refused", "{error}");
    assert!(error.message().contains("tokenService"), "{error}");
    let mut fields = connection("quay.example.com", "acme+scan", "robot");
    fields.push(("tokenService", "other.example.com, registry.quay.example.com".to_owned()));
    assert_eq!(listed(&*server.connect(fields)).await, names);
}

#[tokio::test]
async fn a_token_that_quay_takes_for_a_visitors_is_rejected() {
    let server = Server::with(&["acme/open"]);
    server.publish("acme/open");
    let driver = server.oauth("quay.example.com/acme", "oauth-revoked");
    let app = "acme/open".parse().unwrap();
    let errors = [
        driver.repositories(PageRequest::first()).await.unwrap_err(),
        driver.tag_details(&app, PageRequest::first()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), "credentials_rejected", "{error}");
    }
}

#[tokio::test]
async fn a_token_without_user_read_lists_a_named_namespace_by_the_api_and_the_rest_by_the_catalog() {
    let server = Server::with(&["acme/app", "sam/tool"]);
    let named = server.oauth("quay.example.com/acme", "oauth-nouser");
    assert_eq!(listed(&*named).await, ["acme/app"]);
    assert_eq!(server.catalogs(), 0);
    let all = server.oauth("quay.example.com", "oauth-nouser");
    assert_eq!(listed(&*all).await, ["acme/app", "sam/tool"]);
    assert_eq!(server.catalogs(), 1);
    let validation = all.validate().await.unwrap();
    let list = check(&validation, Check::LIST);
    assert_eq!(list.outcome, Outcome::Passed);
    assert!(list.detail.contains("user:read"), "{}", list.detail);
}

#[tokio::test]
async fn a_visitor_reads_what_is_public_in_a_named_namespace() {
    let server = Server::with(&["acme/open", "acme/secret"]);
    server.publish("acme/open");
    let driver = server.connect(vec![("registryBase", "quay.example.com/acme".to_owned())]);
    assert_eq!(listed(&*driver).await, ["acme/open"]);
    let details = driver.tag_details(&"acme/open".parse().unwrap(), PageRequest::first()).await.unwrap();
    assert_eq!(details.items.len(), 1);
    let error = driver.tags(&"acme/secret".parse().unwrap(), PageRequest::first()).await.unwrap_err();
    assert_eq!(error.code(), "permission_missing", "{error}");
    let validation = driver.validate().await.unwrap();
    assert_eq!(check(&validation, Check::AUTHENTICATED).outcome, Outcome::Skipped);
    assert_eq!(check(&validation, Check::PULL).outcome, Outcome::Passed);
    let nowhere = server.connect(vec![("registryBase", "quay.example.com".to_owned())]);
    let error = nowhere.repositories(PageRequest::first()).await.unwrap_err();
    assert_eq!(error.code(), "catalog_unsupported", "{error}");
}

#[tokio::test]
async fn a_disabled_namespace_and_a_missing_right_are_told_apart() {
    let server = Server::with(&["acme/app", "globex/app"]);
    let robot = server.robot();
    let error = robot.tags(&"globex/app".parse().unwrap(), PageRequest::first()).await.unwrap_err();
    assert_eq!(error.code(), "permission_missing", "{error}");
    assert!(error.message().contains("permission Read"), "{error}");
    server.scene.vendor(|vendor| vendor.disabled = Some("acme".to_owned()));
    let error = robot.tags(&"acme/app".parse().unwrap(), PageRequest::first()).await.unwrap_err();
    assert_eq!(error.code(), "permission_missing", "{error}");
    assert!(error.message().contains("disabled"), "{error}");
}

#[tokio::test]
async fn the_history_of_tags_is_not_listed() {
    let server = Server::with(&["acme/app"]);
    let driver = server.oauth("quay.example.com", "oauth-full");
    let details = driver.tag_details(&"acme/app".parse().unwrap(), PageRequest::first()).await.unwrap();
    let tags: Vec<_> = details.items.iter().map(|detail| detail.tag.as_str()).collect();
    assert_eq!(tags, ["1.0"]);
}

#[test]
fn a_token_beside_a_user_name_is_refused() {
    let server = Server::with(&[]);
    let mut fields = connection("quay.example.com", "acme+scan", "robot");
    fields.push(("token", "oauth-full".to_owned()));
    let error = connect(&server.scene, &server.internet, "QuayCR", fields).err().expect("it is taken");
    assert_eq!(error.code(), "setting_invalid", "{error}");
}
