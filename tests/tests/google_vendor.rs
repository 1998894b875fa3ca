//! What is Google's alone: keys and access tokens, the ways around a right that is missing, very long lists of tags.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use regent_oci::RepositoryName;
use regent_plugin_api::transport::Class;
use regent_plugin_api::{Check, DynDriver, Error, Outcome, PageRequest};
use regent_tests::vendor::emulator::Emulator;
use regent_tests::vendor::google::accounts::ServiceAccount;
use regent_tests::vendor::google::{
    ContainerRegistryScene, GCR, Google, GoogleArtifactScene, PKG, PROJECT, SCOPED_PROJECT,
};
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::listing::{repository_names as listed, tag_details};
use regent_tests::vendor::scene::{Scene, connect};

struct Set<S: Scene> {
    internet: Internet,
    scene: S,
    google: Emulator<Google>,
}

impl<S: Scene> Set<S> {
    fn open() -> Self {
        let internet = Internet::new();
        let google = Google::on(&internet);
        Self { scene: S::open(&internet), internet, google }
    }

    fn holding(names: impl IntoIterator<Item = String>) -> Self {
        let set = Self::open();
        set.scene.store(|store| {
            for name in names {
                store.tag(&name, "1.0", &name);
            }
        });
        set
    }

    fn connect(&self, base: &str, username: &str, password: String) -> Result<Arc<dyn DynDriver>, Error> {
        let (base, username) = (base.to_owned(), username.to_owned());
        let fields = vec![("registryBase", base), ("username", username), ("password", password)];
        connect(&self.scene, &self.internet, S::TYPES[0], fields)
    }

    fn as_account(&self, base: &str, account: ServiceAccount) -> Arc<dyn DynDriver> {
        self.connect(base, "_json_key", account.key()).unwrap()
    }

    fn count(&self, marks: &[&str]) -> usize {
        let requests = self.scene.desk().requests();
        requests.iter().filter(|r| marks.iter().any(|mark| r.line.contains(mark))).count()
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

#[tokio::test]
async fn without_the_api_the_walk_from_name_to_name_loses_nothing() {
    let mut names: Vec<String> = (0..120).map(ContainerRegistryScene::repository).collect();
    // A name with images and names below it, names that share beginnings, and one at the root.
    for extra in ["", "/group", "/group/app-1/deep/er", "/app", "/app-1-x", "/app-1/x"] {
        names.push(format!("{PROJECT}{extra}"));
    }
    let set = Set::<ContainerRegistryScene>::holding(names.clone());
    let driver = set.as_account(&format!("{GCR}/{PROJECT}"), ServiceAccount::Puller);
    for size in [1, 7, 1000] {
        assert_eq!(
            sorted(listed(&*driver, size).await.unwrap()),
            sorted(names.clone()),
            "by pages of {size}"
        );
    }
    assert_eq!(set.count(&["_catalog"]), 0, "the walk did not do");
    let below = set.as_account(&format!("{GCR}/{PROJECT}/app-1"), ServiceAccount::Puller);
    let expected = [format!("{PROJECT}/app-1/x")];
    assert_eq!(listed(&*below, 100).await.unwrap(), expected);
}

#[tokio::test]
async fn without_api_and_walk_the_catalog_is_read_for_what_the_connection_keeps_to() {
    let names: Vec<String> = (0..120).map(GoogleArtifactScene::repository).collect();
    let set = Set::<GoogleArtifactScene>::holding(
        names.iter().cloned().chain([format!("{SCOPED_PROJECT}/apps/a")]),
    );
    let driver = set.as_account(PKG, ServiceAccount::Puller);
    assert_eq!(sorted(listed(&*driver, 100).await.unwrap()), sorted(names));
    let validation = driver.validate().await.unwrap();
    let list = validation.checks.iter().find(|check| check.name == Check::LIST).unwrap();
    assert_eq!(list.outcome, Outcome::Passed);
    assert!(list.detail.contains("roles/artifactregistry.reader in project acme-prod"), "{}", list.detail);
}

#[tokio::test]
async fn what_to_grant_or_to_enable_is_said_of_the_place_that_lacks_it() {
    let set = Set::<GoogleArtifactScene>::holding([format!("{PROJECT}/apps/a")]);
    let of_project = "grant roles/artifactregistry.reader in project acme-prod, or on a repository";
    let of_repository = "grant roles/artifactregistry.reader on repository apps in project acme-prod";
    let enable = "enable the API artifactregistry.googleapis.com in project acme-prod";
    let rows = [
        (PKG.to_owned(), false, of_project),
        (format!("{PKG}/{PROJECT}/apps"), false, of_repository),
        (PKG.to_owned(), true, enable),
        (format!("{PKG}/{PROJECT}/apps/a"), true, enable),
    ];
    for (base, api_disabled, expected) in rows {
        set.google.with(|google| google.api_disabled = api_disabled);
        let driver = set.as_account(&base, ServiceAccount::Stranger);
        let error = listed(&*driver, 100).await.unwrap_err();
        assert_eq!(error.code(), "permission_missing", "{base}: {error}");
        assert!(error.message().contains(expected), "{base}: {error}");
        let error = driver.tags(&name(&format!("{PROJECT}/apps/a")), PageRequest::first()).await.unwrap_err();
        assert_eq!(error.code(), "permission_missing", "{base}: {error}");
        assert!(error.message().contains(of_repository), "{base}: {error}");
    }
}

#[tokio::test]
async fn a_base_keeps_to_a_project_a_repository_or_what_is_below() {
    let own = ["apps/a", "apps/a/b", "apps/ab", "tools/a"].map(|n| format!("{PROJECT}/{n}"));
    let scoped = format!("{SCOPED_PROJECT}/apps/a");
    let set = Set::<GoogleArtifactScene>::holding(own.iter().cloned().chain([scoped.clone()]));
    let all = |names: &[&str]| names.iter().map(|n| format!("{PROJECT}/{n}")).collect::<Vec<_>>();
    let rows = [
        (PKG.to_owned(), own.to_vec()),
        (format!("https://{PKG}/{PROJECT}/"), own.to_vec()),
        (format!("{PKG}/v2/"), own.to_vec()),
        (format!("{PKG}/{PROJECT}/apps"), all(&["apps/a", "apps/a/b", "apps/ab"])),
        (format!("{PKG}/{PROJECT}/apps/a"), all(&["apps/a", "apps/a/b"])),
        (format!("{PKG}/{PROJECT}/empty"), Vec::new()),
        (format!("{PKG}/{SCOPED_PROJECT}"), vec![scoped.clone()]),
        (format!("{PKG}/{SCOPED_PROJECT}/apps/a"), vec![scoped.clone()]),
    ];
    for (base, expected) in rows {
        let driver = set.as_account(&base, ServiceAccount::Reader);
        assert_eq!(sorted(listed(&*driver, 100).await.unwrap()), expected, "{base}");
    }
    let driver = set.as_account(&format!("{PKG}/{SCOPED_PROJECT}"), ServiceAccount::Reader);
    assert_eq!(driver.tags(&name(&scoped), PageRequest::first()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_base_or_a_user_name_that_is_not_googles_is_refused_with_the_form() {
    let set = Set::<GoogleArtifactScene>::open();
    let key = ServiceAccount::Reader.key();
    let rows = [
        (
            "eu.gcr.io/acme",
            "_json_key",
            &key,
            "registryBase has a host that is not of the form LOCATION-docker.pkg.dev",
        ),
        ("docker.pkg.dev/acme", "_json_key", &key, "not of the form LOCATION-docker.pkg.dev"),
        (&format!("{PKG}/example.com"), "_json_key", &key, "names a domain without a project"),
        (PKG, "oauth2accesstoken", &"t0ken".to_owned(), "names no project, and neither do the credentials"),
        (PKG, "robot", &key, "username is none that Google takes"),
    ];
    for (base, username, password, expected) in rows {
        let error = set.connect(base, username, password.clone()).err().unwrap();
        assert_eq!(error.class(), Class::Invalid, "{base} {username}: {error}");
        assert!(error.message().contains(expected), "{base} {username}: {error}");
    }
    let gcr = Set::<ContainerRegistryScene>::open();
    let error = gcr.connect("mirror.gcr.io/acme", "_json_key", key.clone()).err().unwrap();
    assert!(error.message().contains("[us.|eu.|asia.]gcr.io[/PROJECT]"), "{error}");
    let broken = key.replace("oauth2.googleapis.com", "tokens.example.com");
    let error = set.connect(PKG, "_json_key", broken).err().unwrap();
    assert_eq!(error.code(), "credentials_rejected");
    assert!(error.message().contains("token_uri leads to another host"), "{error}");
}

#[tokio::test]
async fn an_access_token_does_what_a_key_does_until_it_expires() {
    let repository = format!("{PROJECT}/apps/a");
    let set = Set::<GoogleArtifactScene>::holding([repository.clone()]);
    let token = set.google.with(|google| google.access_token(ServiceAccount::Reader, &set.internet));
    let driver = set.connect(&format!("{PKG}/{PROJECT}"), "oauth2accesstoken", token).unwrap();
    assert_eq!(listed(&*driver, 100).await.unwrap(), std::slice::from_ref(&repository));
    assert_eq!(driver.tags(&name(&repository), PageRequest::first()).await.unwrap().items.len(), 1);
    assert!(driver.validate().await.unwrap().checks.iter().all(|check| check.outcome == Outcome::Passed));
    set.internet.advance(Duration::from_hours(2));
    for error in [
        listed(&*driver, 100).await.unwrap_err(),
        driver.tags(&name(&repository), PageRequest::first()).await.unwrap_err(),
        driver.validate().await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "credentials_rejected", "{error}");
    }
}

#[tokio::test]
async fn a_key_that_was_rejected_is_not_tried_by_every_call_at_once() {
    let set = Set::<GoogleArtifactScene>::holding([format!("{PROJECT}/apps/a")]);
    let driver = set.as_account(PKG, ServiceAccount::KeyDeleted);
    for _ in 0..5 {
        let error = listed(&*driver, 100).await.unwrap_err();
        assert_eq!(error.code(), "credentials_rejected", "{error}");
        assert!(error.message().contains("(invalid_grant)"), "{error}");
    }
    assert_eq!(set.count(&["oauth2.googleapis.com"]), 1);
    set.internet.advance(Duration::from_secs(10));
    listed(&*driver, 100).await.unwrap_err();
    assert_eq!(set.count(&["oauth2.googleapis.com"]), 2);
}

#[tokio::test]
async fn a_list_of_tags_that_is_cut_at_ten_thousand_is_read_from_the_api() {
    let repository = name(&format!("{PROJECT}/apps/long"));
    let set = Set::<GoogleArtifactScene>::open();
    set.scene.store(|store| {
        for i in 0..9_990 {
            store.tag(repository.as_str(), &format!("v{i}"), &format!("artifact {i}"));
        }
    });
    let driver = set.as_account(PKG, ServiceAccount::Reader);
    assert_eq!(tag_details(&*driver, &repository, 1000).await.unwrap().len(), 9_990);
    assert_eq!(set.count(&["artifactregistry.googleapis.com"]), 0, "one answer has it all");
    set.scene.store(|store| {
        // More tags of one version than the API says in one place.
        for i in 0..150 {
            store.tag(repository.as_str(), &format!("same-{i}"), "the same artifact");
        }
    });
    let found = tag_details(&*driver, &repository, 1000).await.unwrap();
    let distinct: BTreeSet<&str> = found.iter().map(|detail| detail.tag.as_str()).collect();
    assert_eq!((found.len(), distinct.len()), (10_140, 10_140));
    assert!(found.iter().all(|detail| detail.pushed.is_some() && detail.size_bytes.is_some()));
    let before = set.count(&["/tags/list", "/packages/"]);
    let (mut tags, mut after) = (BTreeSet::new(), None);
    loop {
        let page = driver.tags(&repository, PageRequest { size: 1000, after }).await.unwrap();
        tags.extend(page.items.into_iter().map(|tag| tag.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(tags.len(), 10_140);
    assert_eq!(set.count(&["/tags/list", "/packages/"]) - before, 11, "it is known to be long by now");
    let lister = set.as_account(PKG, ServiceAccount::Puller);
    let error = lister.tags(&repository, PageRequest::first()).await.unwrap_err();
    assert_eq!(error.class(), Class::Denied, "a part of the tags is no list: {error}");
}
