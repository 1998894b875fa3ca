//! Nexus' own ways: groups, anonymous access, rights that hide, addresses of all kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use regent_oci::RepositoryName;
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::transport::Class;
use regent_plugin_api::{DynDriver, Outcome, PageRequest, Settings, TagDetail};
use regent_tests::vendor::emulator::Emulator;
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::listing::tag_details;
use regent_tests::vendor::nexus::scene::{AT_CONNECTOR, AT_PATH};
use regent_tests::vendor::nexus::{GROUP, HOSTED, MAVEN, Nexus, Setup};
use regent_tests::vendor::store::time;

struct World {
    internet: Internet,
    nexus: Emulator<Nexus>,
    setup: Setup,
}

impl World {
    fn of(setup: Setup) -> Self {
        let (internet, nexus) = (Internet::new(), Emulator::new(Nexus::new(setup)));
        internet.add(nexus.clone());
        Self { internet, nexus, setup }
    }

    fn connect(&self, user: &str, fields: &[(&str, &str)]) -> Arc<dyn DynDriver> {
        let driver = &regent_driver_nexus::DRIVER;
        let hosts = [self.setup.main, self.setup.connector.0].map(str::to_owned);
        let services = self.internet.services(&driver.description(), &hosts, &[]);
        let login = [("username", user), ("password", if user.is_empty() { "" } else { "s3cr3t" })];
        let fields = fields.iter().copied().chain(login);
        let values = fields.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
        driver.connect(Settings::new("nexus-cr", values, false), services).unwrap()
    }

    fn at(&self, repository: &str, user: &str) -> Arc<dyn DynDriver> {
        self.connect(user, &[("registryBase", &format!("{}/repository/{repository}", self.setup.main))])
    }
}

fn app() -> RepositoryName {
    "team/app".parse().unwrap()
}

async fn all_details(driver: &dyn DynDriver) -> Vec<TagDetail> {
    tag_details(driver, &app(), 1000).await.unwrap()
}

#[tokio::test]
async fn a_group_has_each_tag_once_as_it_serves_it() {
    let world = World::of(AT_PATH);
    let mut served = BTreeMap::new();
    world.nexus.with(|nexus| {
        // So that the fiftieth and the fifty-first hit are the same tag.
        served.insert("a".to_owned(), nexus.hosted.tag("team/app", "a", "own"));
        for i in 1..160 {
            let tag = format!("t{i:03}");
            if i % 2 == 0 {
                served.insert(tag.clone(), nexus.proxied.tag("team/app", &tag, &format!("upstream {i}")));
            }
            if i % 3 == 0 {
                // The group asks the hosted repository first.
                served.insert(tag.clone(), nexus.hosted.tag("team/app", &tag, &format!("own {i}")));
            }
        }
    });
    let listed = all_details(&*world.at(GROUP, "full")).await;
    assert_eq!(listed.len(), served.len(), "each once");
    for detail in listed {
        let (digest, pushed) = &served[detail.tag.as_str()];
        assert_eq!(detail.digest, *digest, "{}", detail.tag);
        assert_eq!(detail.pushed, Some(time(*pushed)), "{}", detail.tag);
    }
}

#[tokio::test]
async fn a_name_is_searched_as_a_whole() {
    let world = World::of(Setup { is_old: true, ..AT_PATH });
    world.nexus.with(|nexus| {
        for image in ["team/app", "app/team", "team/app-team", "team-app"] {
            nexus.hosted.tag(image, "1.0", image);
        }
    });
    let listed = all_details(&*world.at(HOSTED, "full")).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    let requests = world.nexus.desk().count(&["listSearch"]);
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_search_that_may_find_nothing_is_no_empty_listing() {
    let world = World::of(AT_PATH);
    world.nexus.with(|nexus| nexus.hosted.tag("team/app", "1.0", "text"));
    for user in ["reader", "nothing"] {
        let error = world.at(HOSTED, user).tag_details(&app(), PageRequest::first()).await.unwrap_err();
        assert_eq!(error.class(), Class::Unsupported, "{user}: {error}");
    }
}

#[tokio::test]
async fn anonymous_access_neither_hides_a_wrong_password_nor_what_a_user_may_see() {
    let world = World::of(Setup { is_open: true, ..AT_PATH });
    world.nexus.with(|nexus| {
        nexus.hosted.tag("public/app", "1.0", "text");
        nexus.hosted.tag("team/app", "1.0", "text");
    });
    let everyone = world.at(HOSTED, "").repositories(PageRequest::first()).await.unwrap().items;
    assert_eq!(everyone.iter().map(RepositoryName::as_str).collect::<Vec<_>>(), ["public/app"]);
    let user = world.at(HOSTED, "full").repositories(PageRequest::first()).await.unwrap().items;
    assert_eq!(user.len(), 2);
    let stranger = world.at(HOSTED, "stranger");
    for error in [
        stranger.validate().await.unwrap_err(),
        stranger.repositories(PageRequest::first()).await.unwrap_err(),
        stranger.tags(&app(), PageRequest::first()).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "credentials_rejected", "{error}");
    }
}

#[tokio::test]
async fn a_repository_is_found_at_each_of_its_addresses() {
    for setup in [AT_PATH, AT_CONNECTOR] {
        let world = World::of(setup);
        world.nexus.with(|nexus| nexus.hosted.tag("team/app", "1.0", "text"));
        let path = format!("https://{}/repository/{HOSTED}/v2/", setup.main);
        let routed = format!("{}/{HOSTED}", setup.main);
        let (connector, _) = setup.connector;
        let main = format!("https://{}/service/rest", setup.main);
        let rows: [(&[(&str, &str)], bool); 4] = [
            (&[("registryBase", &path)], true),
            (&[("registryBase", &routed)], true),
            (&[("registryBase", connector)], false),
            (&[("registryBase", connector), ("restBase", &main), ("repositoryName", HOSTED)], true),
        ];
        for (fields, has_details) in rows {
            let driver = world.connect("full", fields);
            let listed = driver.repositories(PageRequest::first()).await.unwrap().items;
            assert_eq!(listed, [app()], "{fields:?}");
            let details = driver.tag_details(&app(), PageRequest::first()).await;
            assert_eq!(details.is_ok(), has_details, "{fields:?}: {details:?}");
            let validation = driver.validate().await.unwrap();
            let metadata = validation.checks.iter().find(|check| check.name == "metadata").unwrap();
            let expected = if has_details { Outcome::Passed } else { Outcome::Skipped };
            assert_eq!(metadata.outcome, expected, "{fields:?}: {}", metadata.detail);
        }
    }
}

#[tokio::test]
async fn validation_says_what_is_wrong_with_an_address() {
    let world = World::of(AT_PATH);
    world.nexus.with(|nexus| nexus.hosted.tag("team/app", "1.0", "text"));
    let error = world.at(MAVEN, "full").validate().await.unwrap_err();
    assert!(error.message().contains("format is docker"), "{error}");
    let error = world.connect("full", &[("registryBase", AT_PATH.main)]).validate().await.unwrap_err();
    assert!(error.message().contains("host/repository/<name>"), "{error}");
    let (connector, _) = AT_PATH.connector;
    let fields = [("registryBase", connector), ("restBase", AT_PATH.main), ("repositoryName", "no-such")];
    let validation = world.connect("full", &fields).validate().await.unwrap();
    let metadata = validation.checks.iter().find(|check| check.name == "metadata").unwrap();
    assert_eq!(metadata.outcome, Outcome::Failed);
    assert!(metadata.detail.contains("repositoryName"), "{}", metadata.detail);
}

#[tokio::test]
async fn lists_are_asked_for_whole() {
    let world = World::of(AT_PATH);
    world.nexus.with(|nexus| {
        for i in 0..300 {
            nexus.hosted.tag("team/app", &format!("v{i}"), "text");
            nexus.proxied.tag(&format!("library/app-{i}"), "latest", "text");
        }
    });
    // A group cuts at `n` and has no link.
    let group = world.at(GROUP, "full");
    let request = || PageRequest { size: 100, after: None };
    assert_eq!(group.repositories(request()).await.unwrap().items.len(), 301);
    assert_eq!(group.tags(&app(), request()).await.unwrap().items.len(), 300);
    assert!(world.nexus.desk().requests().iter().all(|request| !request.line.contains("n=")));
}
