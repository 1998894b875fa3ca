//! What every driver has to do with its vendor.
//!
//! [`vendor_suite!`](crate::vendor_suite) makes a test of each function here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use regent_distribution::{Endpoint, FixedHeaders, Session};
use regent_oci::{Document, Reference, RepositoryName};
use regent_plugin_api::testkit::contract;
use regent_plugin_api::transport::{Class, Transport};
use regent_plugin_api::{
    Access, Authorization, Check, DynDriver, Error, Outcome, PageRequest, TagDetail, Validation,
};

use super::distribution;
use super::internet::Internet;
use super::listing::{repository_names as repositories, tag_details as details, tags};
use super::operation;
use super::scene::{Account, Fallback, Fields, Pushed, Scene, connect};
use super::store::time;
use crate::image::{Compression, Flavor, Image, ImageBuilder, Layer};

/// Repositories of a listing: more than two pages of a hundred.
const REPOSITORIES: usize = 260;
/// Tags of a listing.
const TAGS: usize = 3000;

/// A vendor with its internet, and its driver.
struct Set<S: Scene> {
    internet: Internet,
    scene: S,
}

impl<S: Scene> Set<S> {
    fn open() -> Self {
        let internet = Internet::new();
        Self { scene: S::open(&internet), internet }
    }

    /// With so many repositories, each with one tag.
    fn filled(repositories: usize) -> Self {
        let set = Self::open();
        set.scene.store(|store| {
            for number in 0..repositories {
                store.tag(&S::repository(number), "1.0", &format!("artifact {number}"));
            }
        });
        set
    }

    fn connect(&self, fields: Fields) -> Result<Arc<dyn DynDriver>, Error> {
        connect(&self.scene, &self.internet, S::TYPES[0], fields)
    }

    fn full(&self) -> Arc<dyn DynDriver> {
        self.connect(self.scene.connection(Account::Full).unwrap()).unwrap()
    }

    /// A driver for an account, if the vendor has such.
    fn of(&self, account: Account) -> Option<Result<Arc<dyn DynDriver>, Error>> {
        self.scene.connection(account).map(|fields| self.connect(fields))
    }

    fn requests(&self) -> usize {
        self.scene.desk().requests().len()
    }
}

fn name(number: usize, of: impl Fn(usize) -> String) -> RepositoryName {
    of(number).parse().unwrap()
}

/// A check by its name.
pub fn check<'a>(validation: &'a Validation, name: &str) -> &'a Check {
    let found = validation.checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("there is no check {name} in {validation:#?}"))
}

fn outcome(validation: &Validation, name: &str) -> (Outcome, String) {
    let found = check(validation, name);
    (found.outcome, found.detail.clone())
}

/// A small image with a package in it.
pub fn image() -> Image {
    ImageBuilder::new(Flavor::Oci)
        .layer(Layer::new().file("etc/name", "content"), Compression::Gzip)
        .layer(Layer::new().file("srv/app", "text"), Compression::Gzip)
        .build()
}

/// Each rule of the emulator's table refuses the request that breaks it, and takes the one that does not.
pub fn the_emulator_refuses_what_its_table_forbids<S: Scene>() {
    let set = Set::<S>::open();
    let table = set.scene.table();
    assert!(!table.is_empty());
    for operation in &table {
        assert!(!operation.source.is_empty(), "{} says where it is from", operation.id);
        let good = operation::conforming(operation).received(set.internet.now());
        if let Err(violation) = operation::find(&table, &good) {
            panic!("{}: {violation:?} for {}", operation.id, good.line());
        }
        for draft in operation::violating(operation) {
            let request = draft.received(set.internet.now());
            let answer = set.internet.answer(&request).unwrap();
            let violations = set.scene.desk().take_violations();
            assert_eq!(violations.len(), 1, "{} passed: {}", draft.breaks, request.line());
            assert!(answer.status().is_client_error(), "{}: {}", draft.breaks, answer.status());
        }
    }
}

/// Good credentials pass every check; the checks that all drivers have are there.
pub async fn validation_passes_with_all_rights<S: Scene>() {
    let set = Set::<S>::filled(3);
    let image = image();
    set.scene.store(|store| store.push(&S::repository(0), "latest", &image));
    let validation = set.full().validate().await.unwrap();
    for check in [Check::REACHED, Check::AUTHENTICATED, Check::LIST, Check::PULL] {
        let (outcome, detail) = outcome(&validation, check);
        assert_eq!(outcome, Outcome::Passed, "{check}: {detail}");
    }
    assert!(!validation.registry.is_empty());
}

/// Wrong and expired credentials are an error of their own in every call, never an empty list.
pub async fn credentials_that_are_no_good_are_told_so<S: Scene>() {
    let set = Set::<S>::filled(3);
    let repository = name(0, S::repository);
    for account in [Account::Unknown, Account::Expired] {
        let Some(driver) = set.of(account) else { continue };
        let driver = match driver {
            Ok(driver) => driver,
            Err(error) => {
                assert_eq!(error.class(), Class::Authentication, "{account:?}: {error}");
                continue;
            }
        };
        let errors = [
            ("validate", driver.validate().await.err()),
            ("repositories", repositories(&*driver, 100).await.err()),
            ("tags", driver.tags(&repository, PageRequest::first()).await.err()),
            ("authorize", authorize_anew(&*driver, &repository).await.err()),
        ];
        for (call, error) in errors {
            let error = error.unwrap_or_else(|| panic!("{account:?}: {call} succeeds"));
            assert_eq!(error.code(), "credentials_rejected", "{account:?}: {call}: {error}");
        }
    }
}

async fn authorize_anew(driver: &dyn DynDriver, repository: &RepositoryName) -> Result<Authorization, Error> {
    driver.authorize(Access { repository: repository.clone(), renew: false }).await?;
    driver.authorize(Access { repository: repository.clone(), renew: true }).await
}

/// Without a right, validation and the call say which one to grant.
pub async fn a_right_that_is_missing_is_named<S: Scene>() {
    let set = Set::<S>::filled(3);
    let image = image();
    set.scene.store(|store| store.push(&S::repository(0), "latest", &image));
    if let Some(driver) = set.of(Account::MayNotList) {
        let driver = driver.unwrap();
        let listed = repositories(&*driver, 100).await;
        let validation = driver.validate().await.unwrap();
        let (outcome, detail) = outcome(&validation, Check::LIST);
        match S::FALLBACK {
            Fallback::Lists => {
                assert_eq!(listed.unwrap().len(), 3);
                assert_ne!(outcome, Outcome::Failed, "{detail}");
            }
            Fallback::Names(right) => {
                let error = listed.unwrap_err();
                assert_eq!(error.class(), Class::Denied, "{error}");
                assert!(error.message().contains(right), "{error} does not name {right}");
                assert_eq!(outcome, Outcome::Denied, "{detail}");
                assert!(detail.contains(right), "{detail} does not name {right}");
            }
        }
    }
    if let Some(driver) = set.of(Account::MayNotPull) {
        let validation = driver.unwrap().validate().await.unwrap();
        let (outcome, detail) = outcome(&validation, Check::PULL);
        assert_eq!(outcome, Outcome::Denied, "{detail}");
        assert!(!detail.is_empty());
    }
}

/// Every repository once, whatever the size of the pages, and by the native listing.
pub async fn repositories_are_listed_without_loss_or_duplicate<S: Scene>() {
    let set = Set::<S>::filled(REPOSITORIES);
    let expected: BTreeSet<String> = (0..REPOSITORIES).map(S::repository).collect();
    assert_eq!(expected.len(), REPOSITORIES, "the scene's names differ");
    let driver = set.full();
    for size in [7, 100, 1000] {
        let listed = repositories(&*driver, size).await.unwrap();
        assert_eq!(listed.len(), REPOSITORIES, "by pages of {size}");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected, "by pages of {size}");
    }
    if S::LISTS_NATIVELY {
        assert_eq!(set.scene.desk().count(&[distribution::CATALOG]), 0, "the catalog was asked");
    }
}

/// Every tag once, with what the vendor knows of it.
pub async fn tags_are_listed_with_what_the_vendor_knows<S: Scene>() {
    let set = Set::<S>::open();
    let repository = name(1, S::repository);
    let mut pushed = BTreeMap::new();
    set.scene.store(|store| {
        for i in 0..TAGS {
            // Two tags for an artifact now and then.
            let text = format!("artifact {}", i - i % 10 % 2);
            let tag = format!("v{i}");
            pushed.insert(tag.clone(), store.tag(repository.as_str(), &tag, &text));
        }
        for i in 0..20 {
            // And tags that have moved.
            let tag = format!("v{i}");
            pushed.insert(tag.clone(), store.tag(repository.as_str(), &tag, "moved"));
        }
    });
    let driver = set.full();
    for size in [70, 1000] {
        let listed = tags(&*driver, &repository, size).await.unwrap();
        assert_eq!(listed.len(), TAGS, "by pages of {size}");
        let distinct: BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
        assert_eq!(distinct, pushed.keys().cloned().collect(), "by pages of {size}");
    }
    let listed = details(&*driver, &repository, 1000).await;
    if S::DETAILS.pushed == Pushed::NoDetails {
        assert_eq!(listed.unwrap_err().class(), Class::Unsupported);
        return;
    }
    let listed = listed.unwrap();
    assert_eq!(listed.len(), TAGS);
    let manifest_pushed = |detail: &TagDetail| {
        set.scene.store(|store| {
            store.manifest(repository.as_str(), detail.tag.as_str()).map(|(_, m)| (m.pushed, m.size))
        })
    };
    let mut seen = BTreeSet::new();
    for detail in &listed {
        assert!(seen.insert(detail.tag.clone()), "{} twice", detail.tag);
        let (digest, at) = &pushed[detail.tag.as_str()];
        assert_eq!(detail.digest, *digest, "{}", detail.tag);
        let (of_manifest, size) = manifest_pushed(detail).unwrap();
        let expected = match S::DETAILS.pushed {
            Pushed::OfTag => Some(time(*at)),
            Pushed::OfManifest => Some(time(of_manifest)),
            Pushed::Never | Pushed::NoDetails => None,
        };
        assert_eq!(detail.pushed, expected, "{}", detail.tag);
        assert_eq!(detail.size_bytes, S::DETAILS.size.then_some(size), "{}", detail.tag);
    }
}

/// A repository and a tag that are not there are told from what may not be seen, as far as the vendor tells.
pub async fn what_is_not_there_is_not_found<S: Scene>() {
    let set = Set::<S>::filled(3);
    let driver = set.full();
    let nowhere: RepositoryName = format!("{}-not-there", S::repository(1)).parse().unwrap();
    let error = driver.tags(&nowhere, PageRequest::first()).await.unwrap_err();
    assert!(matches!(error.class(), Class::Absent | Class::Denied), "{error}");
    assert!(error.message().contains(nowhere.as_str()), "{error} does not name the repository");
    for cursor in ["", "x", "99999999999/1", "api/", "catalog"] {
        let after = Some(regent_plugin_api::Cursor(cursor.to_owned()));
        if let Err(error) = driver.repositories(PageRequest { size: 10, after }).await {
            assert_ne!(error.code(), regent_plugin_api::PANICKED, "{cursor}: {error}");
        }
    }
}

/// What `authorize` gives reads an image: manifest, configuration, layers, with their redirects.
pub async fn an_image_is_pulled_with_what_authorize_gives<S: Scene>() {
    let set = Set::<S>::open();
    let repository = name(2, S::repository);
    let image = image();
    set.scene.store(|store| store.push(repository.as_str(), "1.0", &image));
    let driver = set.full();
    let access = |renew| Access { repository: repository.clone(), renew };
    for renew in [false, true] {
        let authorization = driver.authorize(access(renew)).await.unwrap();
        pull(&set, authorization, &image).await;
    }
}

async fn pull<S: Scene>(set: &Set<S>, authorization: Authorization, image: &Image) {
    let transport = data_plane(set, &authorization);
    let endpoint = Endpoint::new(authorization.endpoint.clone()).unwrap();
    let headers = FixedHeaders::new(endpoint.host(), authorization.headers.iter().cloned());
    let client =
        Session::new(transport, endpoint, Arc::new(headers)).client(authorization.repository.clone());
    let manifest = client.manifest(&Reference::Tag("1.0".parse().unwrap())).await.unwrap();
    let Document::Image(manifest) = manifest.document else { panic!("{} is no image", manifest.digest) };
    assert_eq!(manifest.config.digest, image.config);
    for descriptor in std::iter::once(&manifest.config).chain(&manifest.layers) {
        let bytes = client.small_blob(descriptor, 1 << 20).await.unwrap();
        assert_eq!(bytes, image.blobs[&descriptor.digest]);
    }
}

/// The host's way to content: the endpoint, and whatever it redirects to.
fn data_plane<S: Scene>(set: &Set<S>, authorization: &Authorization) -> Arc<dyn Transport> {
    let mut hosts = vec!["*".to_owned()];
    hosts.push(authorization.endpoint.authority().to_owned());
    let services = set.internet.services(&S::driver().description(), &hosts, &[]);
    Arc::new(regent_plugin_api::Host::new(services))
}

/// Tokens that expire, by the clock or by the vendor's will, are renewed without anyone noticing.
pub async fn tokens_that_expire_are_renewed<S: Scene>() {
    let set = Set::<S>::filled(3);
    let repository = name(0, S::repository);
    let image = image();
    set.scene.store(|store| store.push(repository.as_str(), "1.0", &image));
    let driver = set.full();
    for round in 0..3 {
        assert_eq!(repositories(&*driver, 100).await.unwrap().len(), 3, "round {round}");
        assert!(!tags(&*driver, &repository, 100).await.unwrap().is_empty(), "round {round}");
        if round == 0 {
            set.scene.expire_tokens();
        } else {
            set.internet.advance(Duration::from_hours(13));
        }
    }
    let access = |renew| Access { repository: repository.clone(), renew };
    driver.authorize(access(false)).await.unwrap();
    set.scene.expire_tokens();
    let fresh = driver.authorize(access(true)).await.unwrap();
    pull(&set, fresh, &image).await;
    let now = set.internet.now();
    let again = driver.authorize(access(false)).await.unwrap();
    assert!(again.expires.is_none_or(|at| at > now), "an authorization that has expired is given out");
}

/// A listing that meets a rate limit waits and goes on; one that meets nothing else gives up, and says so.
pub async fn a_rate_limit_is_honoured<S: Scene>() {
    let set = Set::<S>::filled(REPOSITORIES);
    let driver = set.full();
    let before = set.internet.now();
    set.scene.desk().limit(2);
    assert_eq!(repositories(&*driver, 100).await.unwrap().len(), REPOSITORIES);
    let waited = set.internet.now().duration_since(before).unwrap();
    assert!(waited >= Duration::from_secs(1), "it waited {waited:?}, and not the second it was told");
    set.scene.desk().limit(usize::MAX);
    let requests = set.requests();
    let error = repositories(&*driver, 100).await.unwrap_err();
    assert_eq!(error.class(), Class::Throttled, "{error}");
    assert!(set.requests() - requests <= 12, "{} requests against a rate limit", set.requests() - requests);
    set.scene.desk().limit(0);
}

/// A vendor that is down is told as such, after a bounded number of requests.
pub async fn an_outage_is_told_as_such<S: Scene>() {
    let set = Set::<S>::filled(3);
    let driver = set.full();
    set.scene.desk().outage(true);
    let requests = set.requests();
    let repository = name(0, S::repository);
    let errors = [
        driver.validate().await.unwrap_err(),
        repositories(&*driver, 100).await.unwrap_err(),
        driver.tags(&repository, PageRequest::first()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.class(), Class::Unavailable, "{error}");
    }
    assert!(set.requests() - requests <= 40, "{} requests in an outage", set.requests() - requests);
    set.scene.desk().outage(false);
    assert_eq!(repositories(&*driver, 100).await.unwrap().len(), 3);
}

/// A base that leads nowhere is an error that names what to mend, and no empty list.
pub async fn a_wrong_base_is_an_error<S: Scene>() {
    let set = Set::<S>::filled(3);
    let driver = match set.connect(set.scene.wrong_base()) {
        Ok(driver) => driver,
        Err(error) => return assert_eq!(error.class(), Class::Invalid, "{error}"),
    };
    let listed = repositories(&*driver, 100).await;
    let validated = driver.validate().await;
    let listed = listed.expect_err("a wrong base lists");
    let classes = [
        Class::Absent,
        Class::Denied,
        Class::Invalid,
        Class::Unsupported,
        Class::Corrupt,
        Class::Authentication,
    ];
    assert!(classes.contains(&listed.class()), "{:?}: {listed}", listed.class());
    match validated {
        Err(error) => assert!(classes.contains(&error.class()), "{:?}: {error}", error.class()),
        Ok(validation) => {
            let all_well = validation.checks.iter().all(|check| check.outcome == Outcome::Passed);
            assert!(!all_well, "a wrong base is validated: {validation:#?}");
        }
    }
}

/// The checks of the driver test kit.
pub async fn the_contract_of_drivers_is_kept<S: Scene>() {
    let set = Set::<S>::filled(3);
    let image = image();
    set.scene.store(|store| {
        for tag in ["1.0", "latest"] {
            store.push(&S::repository(0), tag, &image);
        }
        store.tag(&S::repository(0), "2.0", "another artifact");
    });
    let driver = set.full();
    let breaches = contract(&*driver, &S::driver().description()).await;
    assert!(breaches.is_empty(), "{breaches:#?}");
}

/// The library and the suite agree on the type names.
pub fn all_type_names_are_served<S: Scene>() {
    let description = S::driver().description();
    assert_eq!(
        description.types.first().map(String::as_str),
        Some(S::TYPES[0]),
        "the canonical name comes first"
    );
    for registry_type in S::TYPES {
        assert!(description.serves_type(registry_type), "{registry_type}");
        assert!(description.serves_type(&registry_type.to_uppercase()), "{registry_type} in capitals");
    }
}

/// How many requests a driver needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    /// To list 1,000 repositories.
    pub repositories: usize,
    /// To list 10,000 tags.
    pub tags: usize,
    /// To list them with details; `None` where the driver has none.
    pub details: Option<usize>,
}

/// Counts the requests for 1,000 repositories and 10,000 tags, when the driver has its tokens already.
pub async fn requests<S: Scene>() -> Requests {
    let set = Set::<S>::filled(1000);
    let repository = name(0, S::repository);
    set.scene.store(|store| {
        // With the one that is there.
        for i in 1..10_000 {
            store.tag(repository.as_str(), &format!("v{i}"), &format!("artifact {i}"));
        }
    });
    let driver = set.full();
    driver.repositories(PageRequest::first()).await.unwrap();
    driver.tags(&repository, PageRequest::first()).await.unwrap();
    let _ = driver.tag_details(&repository, PageRequest::first()).await;
    let start = set.requests();
    assert_eq!(repositories(&*driver, 1000).await.unwrap().len(), 1000);
    let after_repositories = set.requests();
    assert_eq!(tags(&*driver, &repository, 1000).await.unwrap().len(), 10_000);
    let after_tags = set.requests();
    let mut for_details = None;
    if S::DETAILS.pushed != Pushed::NoDetails {
        assert_eq!(details(&*driver, &repository, 1000).await.unwrap().len(), 10_000);
        for_details = Some(set.requests() - after_tags);
    }
    Requests {
        repositories: after_repositories - start,
        tags: after_tags - after_repositories,
        details: for_details,
    }
}

/// Makes a module of tests: the shared suite for one vendor.
#[macro_export]
macro_rules! vendor_suite {
    ($module:ident, $scene:ty) => {
        mod $module {
            use regent_tests::vendor::suite;
            $crate::vendor_suite!(@sync $scene: the_emulator_refuses_what_its_table_forbids, all_type_names_are_served);
            $crate::vendor_suite!(@async $scene:
                validation_passes_with_all_rights,
                credentials_that_are_no_good_are_told_so,
                a_right_that_is_missing_is_named,
                repositories_are_listed_without_loss_or_duplicate,
                tags_are_listed_with_what_the_vendor_knows,
                what_is_not_there_is_not_found,
                an_image_is_pulled_with_what_authorize_gives,
                tokens_that_expire_are_renewed,
                a_rate_limit_is_honoured,
                an_outage_is_told_as_such,
                a_wrong_base_is_an_error,
                the_contract_of_drivers_is_kept
            );
        }
    };
    (@sync $scene:ty: $($test:ident),*) => { $(
        #[test]
        fn $test() {
            suite::$test::<$scene>();
        }
    )* };
    (@async $scene:ty: $($test:ident),*) => { $(
        #[tokio::test]
        async fn $test() {
            suite::$test::<$scene>().await;
        }
    )* };
}
