//! What Artifactory does and no other: virtual repositories, three ways to the details of tags, instances that are switched off.

use std::sync::Arc;

use regent_oci::{Digest, RepositoryName};
use regent_plugin_api::transport::Class;
use regent_plugin_api::{DynDriver, Outcome, PageRequest, TagDetail};
use regent_tests::vendor::artifactory::{Access, ArtifactoryScene, ByPath, BySubdomain};
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::scene::{Account, Fields, Scene, connect};
use regent_tests::vendor::suite::image;

struct Set<A: Access> {
    internet: Internet,
    scene: ArtifactoryScene<A>,
}

impl<A: Access> Set<A> {
    /// With an index that has a platform's manifest without a tag, and an image.
    fn new() -> Self {
        let internet = Internet::new();
        let scene = ArtifactoryScene::<A>::open(&internet);
        let index = "application/vnd.oci.image.index.v1+json";
        scene.store(|store| {
            store.push_manifest(
                "team/app",
                None,
                "application/vnd.oci.image.manifest.v1+json",
                b"{}",
                [].into(),
            );
            store.push_manifest("team/app", Some("1.0"), index, INDEX, [].into());
            store.push("team/app", "2.0", &image());
            store.tag("team/app/sub", "3.0", "of another image");
        });
        Self { internet, scene }
    }

    fn connect(&self, fields: Fields) -> Arc<dyn DynDriver> {
        connect(&self.scene, &self.internet, "artifactory-cr", fields).unwrap()
    }

    fn full(&self) -> Arc<dyn DynDriver> {
        self.connect(self.scene.connection(Account::Full).unwrap())
    }

    fn count(&self, operation: &str) -> usize {
        self.scene.desk().count(&[operation])
    }
}

const INDEX: &[u8] = b"an index";

fn app() -> RepositoryName {
    "team/app".parse().unwrap()
}

async fn details(driver: &dyn DynDriver) -> regent_plugin_api::Result<Vec<TagDetail>> {
    driver.tag_details(&app(), PageRequest::first()).await.map(|page| page.items)
}

fn assert_both(details: &[TagDetail]) {
    let seen: Vec<_> = details.iter().map(|detail| (detail.tag.as_str(), detail.pushed.is_some())).collect();
    assert_eq!(seen, [("1.0", true), ("2.0", true)]);
    assert_eq!(details[0].digest, Digest::sha256(INDEX));
    assert!(details.iter().all(|detail| detail.size_bytes.is_none()), "the figure is that of the manifest");
}

#[tokio::test]
async fn one_query_tells_of_all_tags_and_of_nothing_else() {
    let set = Set::<ByPath>::new();
    assert_both(&details(&*set.full()).await.unwrap());
    assert_eq!((set.count("search_aql"), set.scene.desk().requests().len()), (1, 1));
}

#[tokio::test]
async fn where_queries_are_closed_the_storage_tells_and_then_no_one() {
    let set = Set::<ByPath>::new();
    let driver = set.full();
    set.scene.with(|artifactory| artifactory.without_aql = true);
    assert_both(&details(&*driver).await.unwrap());
    assert_eq!(set.count("get_storage_item"), 1);
    set.scene.with(|artifactory| artifactory.without_storage = true);
    assert_eq!(details(&*driver).await.unwrap_err().class(), Class::Unsupported);
}

#[tokio::test]
async fn of_a_virtual_repository_details_are_all_or_none() {
    let set = Set::<ByPath>::new();
    let driver = set.full();
    set.scene.with(|artifactory| artifactory.found_in = Some("docker-prod"));
    assert_both(&details(&*driver).await.unwrap());
    // A tag of an upstream that no one has pulled yet is served, and is stored nowhere.
    set.scene.with(|artifactory| artifactory.upstream_tag = Some("9.9"));
    assert_eq!(driver.tags(&app(), PageRequest::first()).await.unwrap().items.len(), 3);
    assert_eq!(details(&*driver).await.unwrap_err().class(), Class::Unsupported);
}

#[tokio::test]
async fn without_the_key_of_a_repository_with_a_host_of_its_own_the_host_asks_for_digests() {
    let set = Set::<BySubdomain>::new();
    let mut fields = set.scene.connection(Account::Full).unwrap();
    fields.retain(|(name, _)| *name != "repositoryKey");
    let driver = set.connect(fields);
    assert_eq!(details(&*driver).await.unwrap_err().class(), Class::Unsupported);
    let validation = driver.validate().await.unwrap();
    let metadata = validation.checks.iter().find(|check| check.name == "metadata").unwrap();
    assert_eq!(metadata.outcome, Outcome::Skipped);
    assert!(metadata.detail.contains("repositoryKey"), "{}", metadata.detail);
}

#[tokio::test]
async fn an_access_token_is_taken_as_it_is() {
    let set = Set::<ByPath>::new();
    let token = set.scene.with(|artifactory| artifactory.access_token("full", set.internet.now()));
    let base = format!("{}{}", ByPath::HOST, ByPath::PATH);
    let fields = |token: &str| vec![("registryBase", base.clone()), ("token", token.to_owned())];
    let driver = set.connect(fields(&token));
    assert_eq!(driver.repositories(PageRequest::first()).await.unwrap().items.len(), 2);
    assert_both(&details(&*driver).await.unwrap());
    let error = set.connect(fields("another")).validate().await.unwrap_err();
    assert_eq!(error.code(), "credentials_rejected");
}

#[tokio::test]
async fn an_instance_that_is_switched_off_is_told_as_such_and_nothing_goes_where_it_redirects_to() {
    let set = Set::<ByPath>::new();
    set.scene.with(|artifactory| artifactory.deactivated = true);
    let driver = set.full();
    for error in
        [driver.validate().await.unwrap_err(), driver.repositories(PageRequest::first()).await.unwrap_err()]
    {
        assert_eq!((error.class(), error.code()), (Class::Unavailable, "registry_deactivated"));
    }
}

#[tokio::test]
async fn a_key_that_there_is_not_is_named() {
    let set = Set::<ByPath>::new();
    let driver = set.connect(set.scene.wrong_base());
    for error in
        [driver.validate().await.unwrap_err(), driver.repositories(PageRequest::first()).await.unwrap_err()]
    {
        assert_eq!(error.class(), Class::Absent);
        assert!(error.message().contains("no-such-key"), "{error}");
    }
}
