//! What only ECR does: roles and their trust, many accounts and regions, sessions that end, images in the archive, and every
//! way in which a machine comes to an identity.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use regent_oci::RepositoryName;
use regent_plugin_api::transport::Class;
use regent_plugin_api::{Access, DynDriver, Error, Outcome, PageRequest, Validation};
use regent_tests::vendor::distribution;
use regent_tests::vendor::ecr::identity::{Identity, POD_TOKEN};
use regent_tests::vendor::ecr::{
    ASSUME, ASSUME_WITH_WEB_IDENTITY, DESCRIBE_IMAGES, EcrScene, GET_AUTHORIZATION_TOKEN, KEY, LIST_IMAGES,
    Principal, REGIONS, Role, SECRET, role,
};
use regent_tests::vendor::emulator::Emulator;
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::scene::{Fields, Scene, connect};
use regent_tests::vendor::suite::image;

fn open() -> (Internet, EcrScene) {
    let internet = Internet::new();
    let scene = EcrScene::open(&internet);
    (internet, scene)
}

fn full(internet: &Internet, scene: &EcrScene, name: &str) -> Arc<dyn DynDriver> {
    connect(scene, internet, "ecr", EcrScene::fields(&REGIONS[0], name)).unwrap()
}

/// The fields with these in place of those with the same name; an empty value leaves one out, as an unset variable does.
fn with(fields: Fields, others: &[(&'static str, &str)]) -> Fields {
    let kept = fields.into_iter().filter(|(name, _)| others.iter().all(|(other, _)| other != name));
    let added = others.iter().map(|(name, value)| (*name, (*value).to_owned()));
    kept.chain(added).collect()
}

async fn first_page(driver: &dyn DynDriver) -> Result<Vec<String>, Error> {
    let page = driver.repositories(PageRequest::first()).await?;
    Ok(page.items.iter().map(ToString::to_string).collect())
}

fn outcomes(validation: &Validation) -> Vec<(&str, Outcome)> {
    validation.checks.iter().map(|check| (check.name.as_str(), check.outcome)).collect()
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_role_that_is_not_to_be_had_says_what_to_look_at() {
    let (internet, scene) = open();
    let region = &REGIONS[0];
    let rows: [(&[(&str, &str)], &str); 4] = [
        (&[("extra.externalId", "another")], "external id is the one in its condition"),
        (&[("extra.externalId", "")], "give the connection an external id"),
        (&[("roleArn", &role(region, "nobody"))], "trust policy"),
        (&[("roleArn", &role(&REGIONS[1], "nobody"))], "sts:AssumeRole"),
    ];
    for (changed, expected) in rows {
        let fields = with(EcrScene::fields(region, "full"), changed);
        let driver = connect(&scene, &internet, "ElasticCR", fields).unwrap();
        let error = first_page(&*driver).await.unwrap_err();
        assert_eq!((error.code(), error.class()), ("permission_missing", Class::Denied), "{error}");
        assert!(error.message().contains(expected), "{error}");
        let validation = driver.validate().await.unwrap();
        let expected = [
            ("reached", Outcome::Passed),
            ("assume-role", Outcome::Denied),
            ("authenticated", Outcome::Skipped),
            ("list", Outcome::Skipped),
            ("pull", Outcome::Skipped),
        ];
        assert_eq!(outcomes(&validation), expected);
        assert_eq!(validation.checks[1].detail, error.message());
    }
}

#[tokio::test]
async fn accounts_and_regions_live_side_by_side_in_one_process() {
    let (internet, scene) = open();
    for region in &REGIONS {
        scene.0.with(|aws| aws.registry(region.name).tag(&format!("of/{}", region.name), "1.0", "text"));
    }
    let drivers: Vec<_> = REGIONS
        .iter()
        .map(|region| connect(&scene, &internet, "ECR", EcrScene::fields(region, "full")).unwrap())
        .collect();
    for _ in 0..2 {
        for (region, driver) in REGIONS.iter().zip(&drivers) {
            assert_eq!(first_page(&**driver).await.unwrap(), [format!("of/{}", region.name)]);
            let access = Access { repository: name("of/app"), renew: false };
            let authorization = driver.authorize(access).await.unwrap();
            assert_eq!(authorization.endpoint.as_str(), format!("https://{}/", region.registry));
        }
    }
    assert_eq!(scene.desk().count(&[ASSUME]), REGIONS.len(), "a session each, and no more");
    assert_eq!(scene.desk().count(&[GET_AUTHORIZATION_TOKEN]), REGIONS.len(), "a token each, and no more");
}

#[tokio::test]
async fn a_token_lives_as_long_as_the_session_it_was_had_with() {
    let (internet, scene) = open();
    let driver = full(&internet, &scene, "full");
    let access = |renew| Access { repository: name("team/app"), renew };
    let first = driver.authorize(access(false)).await.unwrap();
    let life = first.expires.unwrap().duration_since(internet.now()).unwrap();
    assert!(life <= Duration::from_hours(1), "{life:?}");
    internet.advance(Duration::from_mins(50));
    let same = driver.authorize(access(false)).await.unwrap();
    assert_eq!(same.headers, first.headers);
    // The host asks half a minute before it has to.
    internet.advance(Duration::from_mins(10) - Duration::from_secs(30));
    let second = driver.authorize(access(false)).await.unwrap();
    assert_ne!(second.headers, first.headers);
    assert_eq!(scene.desk().count(&[ASSUME]), 2);
    let refused = driver.authorize(access(true)).await.unwrap();
    assert_ne!(refused.headers, second.headers);
    assert_eq!(scene.desk().count(&[ASSUME]), 3, "session and token are renewed together");
}

#[tokio::test]
async fn a_token_that_still_works_outlives_an_outage() {
    let (internet, scene) = open();
    let driver = full(&internet, &scene, "full");
    let access = |renew| Access { repository: name("team/app"), renew };
    let first = driver.authorize(access(false)).await.unwrap();
    internet.advance(Duration::from_hours(3));
    scene.desk().outage(true);
    let kept = driver.authorize(access(false)).await.unwrap();
    assert_eq!(kept.headers, first.headers);
    let asked = scene.desk().requests().len();
    driver.authorize(access(false)).await.unwrap();
    assert_eq!(scene.desk().requests().len(), asked, "aws is left alone for a while");
    assert_eq!(driver.authorize(access(true)).await.unwrap_err().class(), Class::Unavailable);
    internet.advance(Duration::from_hours(10));
    assert_eq!(driver.authorize(access(false)).await.unwrap_err().class(), Class::Unavailable);
    scene.desk().outage(false);
    assert_ne!(driver.authorize(access(false)).await.unwrap().headers, first.headers);
}

#[tokio::test]
async fn a_session_that_ends_within_a_listing_is_renewed_without_anyone_noticing() {
    let (internet, scene) = open();
    let repository = name("team/app");
    scene.store(|store| {
        for i in 0..250 {
            store.tag(repository.as_str(), &format!("v{i}"), &format!("artifact {i}"));
        }
    });
    let driver = full(&internet, &scene, "full");
    let (mut tags, mut after) = (0, None);
    loop {
        let page = driver.tags(&repository, PageRequest { size: 100, after }).await.unwrap();
        tags += page.items.len();
        scene.expire_tokens();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(tags, 250);
}

#[tokio::test]
async fn without_the_right_to_describe_images_tags_are_listed_all_the_same() {
    let (internet, scene) = open();
    let repository = name("team/app");
    let pushed = image();
    scene.store(|store| {
        for i in 0..150 {
            store.tag(repository.as_str(), &format!("v{i}"), &format!("artifact {i}"));
        }
        store.push(repository.as_str(), "0.0", &pushed);
    });
    let driver = full(&internet, &scene, "no-describe");
    let first = driver.tags(&repository, PageRequest { size: 100, after: None }).await.unwrap();
    let rest = driver.tags(&repository, PageRequest { size: 100, after: first.next }).await.unwrap();
    assert_eq!((first.items.len(), rest.items.len(), rest.next), (100, 51, None));
    assert_eq!(scene.desk().count(&[DESCRIBE_IMAGES]), 1, "the second page goes on where the first was");
    assert_eq!(scene.desk().count(&[LIST_IMAGES]), 2);
    let error = driver.tag_details(&repository, PageRequest::first()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unsupported, "so that the host asks for each tag's digest");
    let validation = driver.validate().await.unwrap();
    assert!(validation.checks.iter().all(|check| check.outcome == Outcome::Passed), "{validation:#?}");
}

#[tokio::test]
async fn without_the_right_to_a_token_validation_names_it() {
    let (internet, scene) = open();
    let driver = full(&internet, &scene, "no-token");
    let validation = driver.validate().await.unwrap();
    let expected = [
        ("reached", Outcome::Passed),
        ("identity", Outcome::Passed),
        ("assume-role", Outcome::Passed),
        ("authenticated", Outcome::Denied),
        ("list", Outcome::Passed),
        ("pull", Outcome::Skipped),
    ];
    assert_eq!(outcomes(&validation), expected);
    assert!(validation.checks[3].detail.contains("ecr:GetAuthorizationToken"), "{validation:#?}");
}

#[tokio::test]
async fn images_in_the_archive_are_left_out() {
    let (internet, scene) = open();
    let repository = name("team/app");
    let pushed = image();
    scene.store(|store| {
        store.push(repository.as_str(), "2.0", &pushed);
        store.tag(repository.as_str(), "1.0", "an old one");
    });
    scene.0.with(|aws| aws.archive(REGIONS[0].name, repository.as_str(), "1.0"));
    let driver = full(&internet, &scene, "full");
    let details = driver.tag_details(&repository, PageRequest::first()).await.unwrap();
    let tags: Vec<_> = details.items.iter().map(|detail| detail.tag.as_str()).collect();
    assert_eq!(tags, ["2.0"]);
}

#[tokio::test]
async fn a_prefix_in_the_base_is_kept_to_and_a_place_that_no_page_gave_is_refused() {
    let (internet, scene) = open();
    scene.store(|store| {
        for repository in ["team/app", "team/sub/app", "teams/app", "other"] {
            store.tag(repository, "1.0", "text");
        }
    });
    let base = format!("https://{}/team", REGIONS[0].registry);
    let fields = with(EcrScene::fields(&REGIONS[0], "full"), &[("registryBase", &base)]);
    let driver = connect(&scene, &internet, "ecr", fields).unwrap();
    assert_eq!(first_page(&*driver).await.unwrap(), ["team/app", "team/sub/app"]);
    for place in ["native/made-up", "nowhere/x", "x"] {
        let after = Some(regent_plugin_api::Cursor(place.to_owned()));
        let error = driver.repositories(PageRequest { size: 100, after }).await.unwrap_err();
        assert_eq!(error.code(), "cursor_invalid", "{place}: {error}");
    }
}

/// The agent's own identity in the account of the first region, with all rights there.
fn own() -> Principal {
    let region = &REGIONS[0];
    EcrScene::principal(role(region, "agent"), region.account, &[])
}

/// A connection without a role and without keys in the environment.
fn bare(variables: &[(&'static str, &str)]) -> Fields {
    let region = ("extra.region", REGIONS[0].name.to_owned());
    let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
    std::iter::once(region).chain(variables).collect()
}

#[tokio::test]
async fn each_part_of_the_chain_gives_an_identity() {
    let (internet, scene) = open();
    let pushed = image();
    scene.store(|store| store.push("team/app", "1.0", &pushed));
    scene.0.with(|aws| aws.add_key("AKIAOWN000000000", "own secret", own()));
    scene.0.with(|aws| {
        let principal = own();
        aws.add_role(Role { principal, external_id: None, web_identity: Some("a.web.identity".to_owned()) });
    });
    internet.add(Emulator::new(Identity { aws: scene.0.clone(), principal: own() }));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let profile = "[other]\naws_access_key_id = AKIAOWN000000000\naws_secret_access_key = own secret\n";
    let (credentials, home) =
        (file("credentials", profile), folder.path().join("home").display().to_string());
    std::fs::create_dir_all(folder.path().join("home/.aws")).unwrap();
    let default = profile.replace("[other]", "[default]");
    std::fs::write(folder.path().join("home/.aws/credentials"), default).unwrap();
    let web_identity = file("web-identity", "a.web.identity");
    let pod_token = file("pod-token", POD_TOKEN);
    let arn = role(&REGIONS[0], "agent");
    let rows: [(&str, Fields); 8] = [
        (
            "the environment",
            bare(&[
                ("env:AWS_ACCESS_KEY_ID", "AKIAOWN000000000"),
                ("env:AWS_SECRET_ACCESS_KEY", "own secret"),
            ]),
        ),
        (
            "a profile",
            bare(&[("env:AWS_PROFILE", "other"), ("env:AWS_SHARED_CREDENTIALS_FILE", &credentials)]),
        ),
        ("a profile", bare(&[("env:HOME", &home)])),
        (
            "a web identity token",
            bare(&[
                ("env:AWS_WEB_IDENTITY_TOKEN_FILE", &web_identity),
                ("env:AWS_ROLE_ARN", &arn),
                ("env:AWS_REGION", REGIONS[0].name),
            ]),
        ),
        (
            "the container's credentials service",
            bare(&[("env:AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/task")]),
        ),
        (
            "the container's credentials service",
            bare(&[
                ("env:AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
                ("env:AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &pod_token),
            ]),
        ),
        (
            "the container's credentials service",
            bare(&[
                ("env:AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9911/credentials"),
                ("env:AWS_CONTAINER_AUTHORIZATION_TOKEN", POD_TOKEN),
            ]),
        ),
        ("the instance's metadata", bare(&[])),
    ];
    for (source, fields) in rows {
        let driver = connect(&scene, &internet, "ecr", fields).unwrap();
        let validation = driver.validate().await.unwrap_or_else(|error| panic!("{source}: {error}"));
        let expected =
            ["reached", "identity", "authenticated", "list", "pull"].map(|check| (check, Outcome::Passed));
        assert_eq!(outcomes(&validation), expected, "{source}: {validation:#?}");
        assert!(validation.checks[1].detail.contains(source), "{validation:#?}");
        // And once more when what was given has run out.
        internet.advance(Duration::from_hours(13));
        assert_eq!(first_page(&*driver).await.unwrap(), ["team/app"], "{source}");
    }
    assert!(scene.desk().count(&[ASSUME_WITH_WEB_IDENTITY]) >= 2);
    assert_eq!(scene.desk().count(&[distribution::CATALOG]), 0);
}

#[tokio::test]
async fn the_chains_identity_assumes_the_role() {
    let (internet, scene) = open();
    scene.store(|store| store.tag("team/app", "1.0", "text"));
    let mut principal = own();
    principal.actions = ["sts:AssumeRole"].into();
    internet.add(Emulator::new(Identity { aws: scene.0.clone(), principal }));
    let region = &REGIONS[0];
    let fields =
        EcrScene::fields(region, "full").into_iter().filter(|(name, _)| !name.starts_with("env:")).collect();
    let driver = connect(&scene, &internet, "ecr", fields).unwrap();
    assert_eq!(first_page(&*driver).await.unwrap(), ["team/app"]);
    let validation = driver.validate().await.unwrap();
    assert!(validation.checks[1].detail.contains("the instance's metadata"), "{validation:#?}");
}

#[tokio::test]
async fn an_identity_that_is_not_to_be_had_is_told_by_its_part() {
    let (internet, scene) = open();
    let folder = tempfile::tempdir().unwrap();
    let expired = folder.path().join("expired");
    std::fs::write(&expired, "expired").unwrap();
    let (expired, missing) =
        (expired.display().to_string(), folder.path().join("none").display().to_string());
    let arn = role(&REGIONS[0], "agent");
    let web_identity = |file: &str| {
        bare(&[
            ("env:AWS_WEB_IDENTITY_TOKEN_FILE", file),
            ("env:AWS_ROLE_ARN", &arn),
            ("env:AWS_EC2_METADATA_DISABLED", "true"),
        ])
    };
    let rows: [(Fields, &str, &str); 5] = [
        // No instance metadata on this internet.
        (bare(&[]), "credentials_missing", "no AWS identity"),
        (bare(&[("env:AWS_EC2_METADATA_DISABLED", "true")]), "credentials_missing", "no AWS identity"),
        (web_identity(&missing), "credentials_unusable", "a file that its settings name"),
        (web_identity(&expired), "credentials_rejected", "expired"),
        (
            bare(&[("env:AWS_ACCESS_KEY_ID", KEY), ("env:AWS_SECRET_ACCESS_KEY", "not the secret")]),
            "credentials_rejected",
            "does not accept",
        ),
    ];
    for (fields, code, expected) in rows {
        let driver = connect(&scene, &internet, "ecr", fields).unwrap();
        let error = driver.validate().await.unwrap_err();
        assert_eq!((error.code(), error.class()), (code, Class::Authentication), "{error}");
        assert!(error.message().contains(expected), "{error}");
        assert!(!error.message().contains(SECRET) && !error.message().contains("a message"), "{error}");
    }
}

#[tokio::test]
async fn a_limit_on_the_way_to_the_role_is_a_rate_limit() {
    let (internet, scene) = open();
    let driver = full(&internet, &scene, "full");
    scene.desk().limit(usize::MAX);
    let error = driver.authorize(Access { repository: name("team/app"), renew: false }).await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("rate_limited", Class::Throttled), "{error}");
    assert_eq!(scene.desk().requests().len(), 3, "the sdk's own attempts, and nobody else's");
    scene.desk().limit(0);
}
