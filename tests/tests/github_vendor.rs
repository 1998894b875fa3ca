//! What only GitHub has: owners of three kinds, tokens of three kinds, a rate limit in words.

use std::collections::BTreeMap;
use std::sync::Arc;

use regent_plugin_api::transport::Class;
use regent_plugin_api::{Check, DynDriver, Error, Outcome, PageRequest};
use regent_tests::vendor::distribution::CATALOG;
use regent_tests::vendor::github::GithubScene;
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::listing::repository_names;
use regent_tests::vendor::scene::{Scene, connect};

const OWN: &str = "packages/list-packages-for-authenticated-user";
const OF_USER: &str = "packages/list-packages-for-user";
const OF_ORG: &str = "packages/list-packages-for-organization";

struct Set {
    internet: Internet,
    scene: GithubScene,
}

impl Set {
    fn new(repositories: &[&str]) -> Self {
        let internet = Internet::new();
        let scene = GithubScene::open(&internet);
        scene.store(|store| {
            for name in repositories {
                store.tag(name, "1.0", name);
            }
        });
        Self { internet, scene }
    }

    fn driver(&self, base: &str, token: &str) -> Arc<dyn DynDriver> {
        let fields = self.scene.with_token(base, token);
        connect(&self.scene, &self.internet, "github-cr", fields).unwrap()
    }
}

async fn list(driver: &dyn DynDriver) -> Result<Vec<String>, Error> {
    repository_names(driver, 100).await
}

#[tokio::test]
async fn without_an_owner_the_accounts_own_packages_and_its_organizations_are_listed() {
    let set = Set::new(&["octocat/tool", "acme/app", "globex/group/app", "hubot/secret"]);
    let listed = list(&*set.driver("ghcr.io", "ghp_full")).await.unwrap();
    assert_eq!(listed, ["octocat/tool", "acme/app", "globex/group/app"]);
    assert_eq!(set.scene.desk().count(&[CATALOG]), 0);

    let without_orgs = set.driver("ghcr.io", "ghp_packages");
    assert_eq!(list(&*without_orgs).await.unwrap(), ["octocat/tool"]);
    let validation = without_orgs.validate().await.unwrap();
    let check = validation.checks.iter().find(|check| check.name == Check::LIST).unwrap();
    assert_eq!(check.outcome, Outcome::Denied);
    assert!(check.detail.contains("read:org"), "{}", check.detail);
}

#[tokio::test]
async fn validation_looks_for_a_package_to_pull_beyond_an_account_without_any() {
    let set = Set::new(&["globex/app"]);
    let validation = set.driver("ghcr.io", "ghp_full").validate().await.unwrap();
    let check = validation.checks.iter().find(|check| check.name == Check::PULL).unwrap();
    assert_eq!(
        (check.outcome, check.detail.as_str()),
        (Outcome::Passed, "the token may pull from globex/app")
    );
}

#[tokio::test]
async fn an_owner_is_found_wherever_it_has_its_packages() {
    let all = ["octocat/tool", "acme/app", "acme/group/app", "acme/group-2/app", "hubot/app"];
    let rows: [(&str, &[&str], &str); 5] = [
        ("ghcr.io/Acme", &["acme/app", "acme/group-2/app", "acme/group/app"], OF_ORG),
        ("https://ghcr.io/acme/group/v2/", &["acme/group/app"], OF_ORG),
        ("ghcr.io/acme/app", &["acme/app"], OF_ORG),
        ("ghcr.io/octocat", &["octocat/tool"], OWN),
        ("ghcr.io/hubot", &["hubot/app"], OF_USER),
    ];
    for (base, expected, operation) in rows {
        let set = Set::new(&all);
        let driver = set.driver(base, "ghp_full");
        assert_eq!(list(&*driver).await.unwrap(), expected, "{base}");
        assert_eq!(set.scene.desk().count(&[operation]), 1, "{base}");
        // And once more, from what was learned: one request.
        let before = set.scene.desk().requests().len();
        assert_eq!(list(&*driver).await.unwrap(), expected, "{base}");
        let asked = set.scene.desk().requests().len() - before;
        assert_eq!(asked, 1, "{base}");
        let repository = expected[0].parse().unwrap();
        let details = driver.tag_details(&repository, PageRequest::first()).await.unwrap();
        assert_eq!(details.items.len(), 1, "{base}");
    }
}

#[tokio::test]
async fn a_token_of_the_wrong_kind_is_told_what_it_lacks() {
    let set = Set::new(&["acme/app"]);
    let repository = "acme/app".parse().unwrap();
    for (token, words) in
        [("ghp_repo", "scope read:packages"), ("github_pat_fine", "classic personal access token")]
    {
        let driver = set.driver("ghcr.io/acme", token);
        let errors = [
            list(&*driver).await.unwrap_err(),
            driver.tags(&repository, PageRequest::first()).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.code(), "permission_missing", "{token}: {error}");
            assert!(error.message().contains(words), "{token}: {error}");
        }
        let validation = driver.validate().await.unwrap();
        let check = validation.checks.iter().find(|check| check.name == Check::LIST).unwrap();
        assert_eq!(check.outcome, Outcome::Denied, "{token}");
    }
}

#[tokio::test]
async fn a_workflows_token_pulls_and_leaves_the_details_to_the_host() {
    let set = Set::new(&["acme/app"]);
    let driver = set.driver("ghcr.io/acme", "ghs_installation");
    let repository = "acme/app".parse().unwrap();
    assert_eq!(driver.tags(&repository, PageRequest::first()).await.unwrap().items.len(), 1);
    let error = driver.tag_details(&repository, PageRequest::first()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unsupported, "{error}");
}

#[tokio::test]
async fn versions_without_a_tag_hide_none_that_has_one() {
    let set = Set::new(&[]);
    let expected: BTreeMap<String, _> = set.scene.store(|store| {
        let tagged =
            (0..30).map(|i| (format!("v{i}"), store.tag("acme/app", &format!("v{i}"), &format!("{i}")).0));
        let tagged = tagged.collect();
        for i in 0..300 {
            let platform = format!("platform {i}");
            let media_type = "application/vnd.oci.image.manifest.v1+json";
            store.push_manifest("acme/app", None, media_type, platform.as_bytes(), BTreeMap::new());
        }
        tagged
    });
    let driver = set.driver("ghcr.io/acme", "ghp_full");
    let (mut seen, mut after) = (BTreeMap::new(), None);
    loop {
        let page = driver
            .tag_details(&"acme/app".parse().unwrap(), PageRequest { size: 1000, after })
            .await
            .unwrap();
        seen.extend(page.items.into_iter().map(|detail| (detail.tag.to_string(), detail.digest)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
    let asked = set.scene.desk().count(&["packages/get-all-package-versions-for-package-owned-by-org"]);
    assert_eq!(asked, 4, "330 versions are four pages");
}

#[tokio::test]
async fn a_secondary_limit_that_is_told_in_words_is_no_missing_right() {
    let set = Set::new(&["acme/app"]);
    let driver = set.driver("ghcr.io/acme", "ghp_full");
    set.scene.vendor(|vendor| vendor.limits_in_words = true);
    set.scene.desk().limit(usize::MAX);
    let error = list(&*driver).await.unwrap_err();
    assert_eq!(error.class(), Class::Throttled, "{error}");
    set.scene.desk().limit(0);
}
