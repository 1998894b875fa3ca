//! Harbor's own ways: kinds of accounts, fallbacks, and strangers that it takes for visitors.

use std::collections::BTreeSet;
use std::sync::Arc;

use regent_oci::RepositoryName;
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::testkit::contract;
use regent_plugin_api::transport::Class;
use regent_plugin_api::{Access, DynDriver, Outcome, PageRequest, Settings};
use regent_tests::vendor::emulator::Emulator;
use regent_tests::vendor::harbor::{Account, HOST, Harbor, Right};
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::listing::repositories;
use regent_tests::vendor::suite::image;

struct World {
    internet: Internet,
    harbor: Emulator<Harbor>,
}

impl World {
    fn of(harbor: Harbor) -> Self {
        let (internet, harbor) = (Internet::new(), Emulator::new(harbor));
        internet.add(harbor.clone());
        Self { internet, harbor }
    }

    /// `private-1`, `private-2` (with a hundred repositories each) and `public` (with sixty), and an account of each kind.
    fn filled() -> Self {
        let mut harbor = Harbor::default();
        for (project, repositories) in [("private-1", 100), ("private-2", 100), ("public", 60)] {
            for i in 0..repositories {
                harbor.store.tag(&format!("{project}/group/app-{i}"), "1.0", &format!("{project} {i}"));
            }
        }
        harbor.public = ["public", "void"].map(str::to_owned).into();
        let accounts = [
            ("admin", Account::Admin),
            ("mary", Account::User(vec!["private-1".to_owned()])),
            ("robot$all", Account::robot(None, &Right::ALL)),
            ("robot$private-1+scan", Account::robot(Some("private-1"), &Right::ALL)),
        ];
        harbor.accounts = accounts.map(|(name, account)| (name.to_owned(), account)).into();
        Self::of(harbor)
    }

    fn connect(&self, path: &str, username: &str, password: &str) -> Arc<dyn DynDriver> {
        let driver = &regent_driver_harbor::DRIVER;
        let services = self.internet.services(&driver.description(), &[HOST.to_owned()], &[]);
        let base = format!("{HOST}{path}");
        let values = [("registryBase", base.as_str()), ("username", username), ("password", password)];
        let values = values.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
        driver.connect(Settings::new("HarborCR", values, false), services).unwrap()
    }

    fn asked(&self, part: &str) -> bool {
        self.harbor.desk().requests().iter().any(|request| request.line.contains(part))
    }
}

#[tokio::test]
async fn every_kind_of_account_lists_each_of_its_repositories_once() {
    let world = World::filled();
    // Also where robots are shown nothing private by the list of all repositories.
    world.harbor.with(|harbor| harbor.robots_see_public_only = true);
    let rows = [
        ("admin", "", [100, 100, 60]),
        ("mary", "", [100, 0, 60]),
        ("robot$all", "", [100, 100, 60]),
        ("robot$private-1+scan", "", [100, 0, 60]),
        ("robot$private-1+scan", "/private-1", [100, 0, 0]),
        ("admin", "/private-2/group", [0, 100, 0]),
    ];
    for (account, path, expected) in rows {
        let driver = world.connect(path, account, "s3cr3t");
        for size in [7, 100, 1000] {
            let all = repositories(&*driver, size).await.unwrap();
            let distinct: BTreeSet<_> = all.iter().collect();
            assert_eq!(distinct.len(), all.len(), "{account}{path} by {size}");
            let of = |project: &str| all.iter().filter(|name| name.as_str().starts_with(project)).count();
            assert_eq!(
                ["private-1/", "private-2/", "public/"].map(of),
                expected,
                "{account}{path} by {size}"
            );
        }
    }
}

#[tokio::test]
async fn a_robot_without_the_right_to_list_falls_back_and_then_says_what_it_lacks() {
    let mut harbor = Harbor::default();
    harbor.store.tag("team/app", "1.0", "text");
    harbor.accounts.insert("robot$pull".to_owned(), Account::robot(Some("team"), &[Right::PullRepository]));
    let world = World::of(harbor);
    let driver = world.connect("", "robot$pull", "s3cr3t");
    // Newer versions list all repositories to robots whatever their rights are.
    assert_eq!(repositories(&*driver, 100).await.unwrap(), ["team/app".parse().unwrap()]);

    world.harbor.with(|harbor| harbor.robots_see_public_only = true);
    let error = repositories(&*driver, 100).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("permission_missing", Class::Denied));
    assert!(error.message().contains("List Repository"), "{error}");
    assert!(world.asked("/v2/_catalog"));

    let validation = driver.validate().await.unwrap();
    let outcomes: Vec<_> = validation.checks.iter().map(|c| (c.name.as_str(), c.outcome)).collect();
    let expected = [
        ("reached", Outcome::Passed),
        ("authenticated", Outcome::Passed),
        ("list", Outcome::Denied),
        ("pull", Outcome::Skipped),
    ];
    assert_eq!(outcomes, expected);
}

#[tokio::test]
async fn an_administrator_behind_a_proxy_without_the_api_lists_by_the_catalog() {
    let world = World::filled();
    world.harbor.with(|harbor| harbor.blocked = Some("/api/"));
    let driver = world.connect("", "admin", "s3cr3t");
    assert_eq!(repositories(&*driver, 100).await.unwrap().len(), 260);
    let validation = driver.validate().await.unwrap();
    assert_eq!(validation.checks[0].outcome, Outcome::Failed);
    assert_eq!(validation.checks[2].outcome, Outcome::Passed);
}

#[tokio::test]
async fn a_wrong_password_is_never_an_empty_or_public_registry() {
    let world = World::filled();
    let public: RepositoryName = "public/group/app-1".parse().unwrap();
    for (username, password) in [("admin", "wrong"), ("robot$expired", "s3cr3t")] {
        let driver = world.connect("", username, password);
        let errors = [
            repositories(&*driver, 100).await.unwrap_err(),
            driver.tags(&public, PageRequest::first()).await.unwrap_err(),
            driver.tag_details(&public, PageRequest::first()).await.unwrap_err(),
            driver.authorize(Access { repository: public.clone(), renew: false }).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.code(), "credentials_rejected", "{error}");
        }
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_told_from_a_repository_that_is() {
    let world = World::filled();
    let driver = world.connect("", "robot$private-1+scan", "s3cr3t");
    let rows = [
        ("private-2/group/app-1", "permission_missing"),
        ("private-1/nothing", "not_found"),
        ("nowhere/app", "not_found"),
    ];
    for _ in 0..2 {
        for (repository, code) in rows {
            let error = driver.tags(&repository.parse().unwrap(), PageRequest::first()).await.unwrap_err();
            assert_eq!(error.code(), code, "{repository}: {error}");
        }
    }
    let renewed = Access { repository: rows[0].0.parse().unwrap(), renew: true };
    assert_eq!(driver.authorize(renewed).await.unwrap_err().code(), "permission_missing");
}

#[tokio::test]
async fn a_token_that_expired_is_replaced_and_the_password_stays_out_of_the_registry() {
    let world = World::filled();
    let repository: RepositoryName = "private-1/group/app-1".parse().unwrap();
    let driver = world.connect("", "robot$private-1+scan", "s3cr3t");
    let access = |renew| Access { repository: repository.clone(), renew };
    let stale = driver.authorize(access(false)).await.unwrap();
    world.harbor.with(Harbor::expire_tokens);
    let fresh = driver.authorize(access(true)).await.unwrap();
    assert_ne!(stale.headers[0].1, fresh.headers[0].1);
    for authorization in [stale, fresh] {
        assert!(authorization.headers[0].1.as_bytes().starts_with(b"Bearer "));
    }
}

#[tokio::test]
async fn a_realm_with_another_scheme_is_refused_before_the_password_leaves() {
    let world = World::filled();
    world.harbor.with(|harbor| harbor.names_plain_http = true);
    let error = world.connect("", "admin", "s3cr3t").validate().await.unwrap_err();
    assert_eq!(error.code(), "realm_refused", "{error}");
    assert!(error.message().contains("external URL"), "{error}");
    assert!(!world.asked("/service/token"));
}

#[tokio::test]
async fn it_keeps_the_contract_of_drivers_for_users_too() {
    let mut harbor = Harbor::default();
    for (repository, tag) in
        [("team/app", "1.0"), ("team/app", "latest"), ("team/sub/web", "1.0"), ("other/x", "1")]
    {
        harbor.store.push(repository, tag, &image());
    }
    harbor.store.tag("team/app", "2.0", "another artifact");
    harbor.store.repositories.entry("team/void".to_owned()).or_default();
    let mary = Account::User(vec!["team".to_owned(), "other".to_owned()]);
    harbor.accounts.insert("mary".to_owned(), mary);
    let world = World::of(harbor);
    let driver = world.connect("", "mary", "s3cr3t");
    let breaches = contract(&*driver, &regent_driver_harbor::DRIVER.description()).await;
    assert!(breaches.is_empty(), "{breaches:#?}");
    let validation = driver.validate().await.unwrap();
    assert!(validation.checks.iter().all(|c| c.outcome == Outcome::Passed), "{validation:#?}");
}
