//! The Harbor driver, linked in, against the emulator: sizes, rights and failures that a script would be long for.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regent_driver_harbor::DRIVER;
use regent_oci::RepositoryName;
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::testkit::contract;
use regent_plugin_api::transport::Class;
use regent_plugin_api::{Access, DynDriver, Error, Outcome, PageRequest, Settings};
use regent_tests::harbor::{Account, Harbor, Right};
use regent_tests::image::{Compression, Flavor, ImageBuilder, Layer};
use regent_tests::services::Services;

const ALL: [Right; 3] = [Right::ListRepository, Right::ListArtifact, Right::PullRepository];

fn connect(harbor: &Harbor, path: &str, username: &str, password: &str) -> Arc<dyn DynDriver> {
    let base = format!("{}{path}", harbor.authority());
    let values = [("registryBase", base.as_str()), ("username", username), ("password", password)];
    let values = values.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
    DRIVER.connect(Settings::new("HarborCR", values, true), Arc::new(Services::default())).unwrap()
}

/// `private-1`, `private-2` (with a hundred repositories each) and `public` (with sixty), and an account of each kind.
async fn filled() -> Harbor {
    let harbor = Harbor::start().await;
    for (project, public, repositories) in
        [("private-1", false, 100), ("private-2", false, 100), ("public", true, 60)]
    {
        harbor.add_project(project, public);
        for i in 0..repositories {
            harbor.tag(&format!("{project}/group/app-{i}"), "1.0", &format!("{project} {i}"));
        }
    }
    harbor.add_project("void", true);
    let robot = |projects: Option<&str>, rights: &[Right]| {
        Account::Robot(projects.map(|p| vec![p.to_owned()]), rights.iter().copied().collect())
    };
    harbor.add_account("admin", "secret", Account::Admin);
    harbor.add_account("mary", "secret", Account::User(vec!["private-1".to_owned()]));
    harbor.add_account("robot$all", "secret", robot(None, &ALL));
    harbor.add_account("robot$private-1+scan", "secret", robot(Some("private-1"), &ALL));
    harbor.add_account("robot$pull", "secret", robot(Some("private-1"), &[Right::PullRepository]));
    harbor
}

async fn repositories(driver: &dyn DynDriver, size: u32) -> Result<Vec<RepositoryName>, Error> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = driver.repositories(PageRequest { size, after }).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

fn of_project(all: &[RepositoryName], project: &str) -> usize {
    all.iter().filter(|name| name.as_str().starts_with(&format!("{project}/"))).count()
}

#[tokio::test]
async fn every_kind_of_account_lists_each_of_its_repositories_once() {
    let harbor = filled().await;
    // Also where robots are shown nothing private by the list of all repositories.
    harbor.robots_see_public_only();
    let rows = [
        ("admin", "", [100, 100, 60]),
        ("mary", "", [100, 0, 60]),
        ("robot$all", "", [100, 100, 60]),
        ("robot$private-1+scan", "", [100, 0, 60]),
        ("robot$private-1+scan", "/private-1", [100, 0, 0]),
        ("admin", "/private-2/group", [0, 100, 0]),
    ];
    for (account, path, expected) in rows {
        let driver = connect(&harbor, path, account, "secret");
        for size in [7, 100, 1000] {
            let all = repositories(&*driver, size).await.unwrap();
            let distinct: BTreeSet<_> = all.iter().collect();
            assert_eq!(distinct.len(), all.len(), "{account}{path} by {size}");
            let counts = ["private-1", "private-2", "public"].map(|project| of_project(&all, project));
            assert_eq!(counts, expected, "{account}{path} by {size}");
        }
    }
}

#[tokio::test]
async fn three_thousand_tags_come_with_digests_and_times() {
    let harbor = filled().await;
    let repository: RepositoryName = "private-1/deep/er/app".parse().unwrap();
    let mut pushed = BTreeMap::new();
    for i in 0..3000 {
        // Two tags for an artifact now and then, and tags that have moved.
        let text = format!("artifact {}", i - i % 10 % 2);
        pushed.insert(format!("v{i}"), harbor.tag(repository.as_str(), &format!("v{i}"), &text));
    }
    for i in 0..20 {
        pushed.insert(format!("v{i}"), harbor.tag(repository.as_str(), &format!("v{i}"), "moved"));
    }
    let driver = connect(&harbor, "", "robot$private-1+scan", "secret");
    let before = harbor.requests().len();
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let page = driver.tag_details(&repository, PageRequest { size: 100, after }).await.unwrap();
        for detail in page.items {
            assert!(detail.size_bytes.is_some());
            let known = (detail.digest, detail.pushed.unwrap());
            assert!(found.insert(detail.tag.as_str().to_owned(), known).is_none(), "{} twice", detail.tag);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, pushed);
    assert!(harbor.requests().len() - before <= 30, "a request for each hundred artifacts");

    let (mut names, mut after) = (BTreeSet::new(), None);
    loop {
        let page = driver.tags(&repository, PageRequest { size: 1000, after }).await.unwrap();
        names.extend(page.items.into_iter().map(|tag| tag.as_str().to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, pushed.into_keys().collect());
}

#[tokio::test]
async fn a_robot_without_the_right_to_list_falls_back_and_then_says_what_it_lacks() {
    let harbor = Harbor::start().await;
    harbor.add_project("team", false);
    harbor.tag("team/app", "1.0", "text");
    let pull = Account::Robot(Some(vec!["team".to_owned()]), BTreeSet::from([Right::PullRepository]));
    harbor.add_account("robot$pull", "secret", pull);
    let driver = connect(&harbor, "", "robot$pull", "secret");
    // Newer versions list all repositories to robots whatever their rights are.
    assert_eq!(repositories(&*driver, 100).await.unwrap(), ["team/app".parse().unwrap()]);

    harbor.robots_see_public_only();
    let error = repositories(&*driver, 100).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("permission_missing", Class::Denied));
    assert!(error.message().contains("List Repository"), "{error}");
    assert!(harbor.requests().iter().any(|line| line.contains("/v2/_catalog")));

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
    let harbor = filled().await;
    harbor.block("/api/", 403);
    let driver = connect(&harbor, "", "admin", "secret");
    assert_eq!(repositories(&*driver, 100).await.unwrap().len(), 260);
    let validation = driver.validate().await.unwrap();
    assert_eq!(validation.checks[0].outcome, Outcome::Failed);
    assert_eq!(validation.checks[2].outcome, Outcome::Passed);
}

#[tokio::test]
async fn a_wrong_password_is_never_an_empty_or_public_registry() {
    let harbor = filled().await;
    let public: RepositoryName = "public/group/app-1".parse().unwrap();
    let private: RepositoryName = "private-1/group/app-1".parse().unwrap();
    for (username, password) in [("admin", "wrong"), ("robot$expired", "secret")] {
        let driver = connect(&harbor, "", username, password);
        let access = Access { repository: private.clone(), renew: true };
        let errors = [
            driver.validate().await.unwrap_err(),
            repositories(&*driver, 100).await.unwrap_err(),
            driver.tags(&private, PageRequest::first()).await.unwrap_err(),
            driver.tag_details(&private, PageRequest::first()).await.unwrap_err(),
            driver.authorize(access).await.unwrap_err(),
            driver.authorize(Access { repository: public.clone(), renew: false }).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.code(), "credentials_rejected", "{error}");
        }
    }
}

#[tokio::test]
async fn tokens_that_expire_under_way_are_renewed() {
    let harbor = filled().await;
    let repository: RepositoryName = "private-1/group/app-1".parse().unwrap();
    let driver = connect(&harbor, "", "robot$private-1+scan", "secret");
    for _ in 0..3 {
        driver.tags(&repository, PageRequest::first()).await.unwrap();
        harbor.expire_tokens();
    }
    let access = |renew| Access { repository: repository.clone(), renew };
    let stale = driver.authorize(access(false)).await.unwrap();
    let fresh = driver.authorize(access(true)).await.unwrap();
    assert_ne!(stale.headers[0].1, fresh.headers[0].1);
    let url = format!("http://{}/v2/{repository}/tags/list", harbor.authority());
    for (authorization, status) in [(stale, 401), (fresh, 200)] {
        let (name, value) = authorization.headers[0].clone();
        let answer = regent_tests::http::client().get(&url).header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_told_from_a_repository_that_is() {
    let harbor = filled().await;
    let driver = connect(&harbor, "", "robot$private-1+scan", "secret");
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
async fn a_rate_limit_is_waited_out() {
    let harbor = filled().await;
    let driver = connect(&harbor, "/private-1", "admin", "secret");
    harbor.limit(2);
    assert_eq!(repositories(&*driver, 100).await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_realm_with_another_scheme_is_refused_before_the_password_leaves() {
    let harbor = filled().await;
    harbor.external_https(true); // another origin than the plain HTTP of this test
    let driver = connect(&harbor, "", "admin", "secret");
    let error = driver.validate().await.unwrap_err();
    assert_eq!(error.code(), "realm_refused", "{error}");
    assert!(!harbor.requests().iter().any(|line| line.contains("/service/token")));
}

#[tokio::test]
async fn it_keeps_the_contract_of_drivers_for_users_and_robots() {
    let harbor = Harbor::start().await;
    let image = ImageBuilder::new(Flavor::Oci).layer(Layer::new().file("a", "b"), Compression::Gzip).build();
    for (repository, tag) in
        [("team/app", "1.0"), ("team/app", "latest"), ("team/sub/web", "1.0"), ("other/x", "1")]
    {
        harbor.push(repository, tag, &image);
    }
    harbor.tag("team/app", "2.0", "another artifact");
    harbor.add_repository("team/void");
    harbor.add_account("mary", "secret", Account::User(vec!["team".to_owned(), "other".to_owned()]));
    harbor.add_account("robot$scan", "secret", Account::Robot(None, ALL.into_iter().collect()));
    for account in ["mary", "robot$scan"] {
        let driver = connect(&harbor, "", account, "secret");
        let breaches = contract(&*driver, &DRIVER.description()).await;
        assert!(breaches.is_empty(), "{account}: {breaches:#?}");
        let validation = driver.validate().await.unwrap();
        assert!(validation.checks.iter().all(|c| c.outcome == Outcome::Passed), "{account}: {validation:#?}");
    }
}
