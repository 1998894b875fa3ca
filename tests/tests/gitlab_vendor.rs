//! What only GitLab has: groups, projects and users in one path, tokens that the API does not know, a registry without its
//! database, token services on another host.

use std::collections::BTreeSet;
use std::sync::Arc;

use regent_plugin_api::transport::Class;
use regent_plugin_api::{DynDriver, Error, PageRequest};
use regent_tests::vendor::distribution::{self, CATALOG};
use regent_tests::vendor::gitlab::GitlabScene;
use regent_tests::vendor::internet::{Internet, Site};
use regent_tests::vendor::listing::repository_names;
use regent_tests::vendor::message::{Answer, Received, json};
use regent_tests::vendor::scene::{Scene, connect};

const OF_GROUP: &str = "getApiV4GroupsIdRegistryRepositories";
const OF_PROJECT: &str = "getApiV4ProjectsIdRegistryRepositories";
const REST: [&str; 5] =
    ["getApiV4Projects", "getApiV4UsersUserIdProjects", "getApiV4Groups", OF_GROUP, OF_PROJECT];
const ALL: [&str; 7] = [
    "acme/app",
    "acme/app/part",
    "acme/sub/tool/part/of",
    "acme/sub-2/tool",
    "globex/app",
    "other/app",
    "someone/toy",
];

struct Set {
    internet: Internet,
    scene: GitlabScene,
}

impl Set {
    fn new() -> Self {
        let internet = Internet::new();
        let scene = GitlabScene::open(&internet);
        scene.store(|store| {
            for name in ALL {
                store.tag(name, "1.0", name);
            }
        });
        Self { internet, scene }
    }

    fn driver(&self, base: &str, token: &str) -> Arc<dyn DynDriver> {
        let fields = self.scene.with_token(base, token);
        connect(&self.scene, &self.internet, "gitlab-cr", fields).unwrap()
    }
}

async fn list(driver: &dyn DynDriver) -> Result<Vec<String>, Error> {
    let mut all = repository_names(driver, 100).await?;
    all.sort();
    Ok(all)
}

#[tokio::test]
async fn a_path_may_be_a_group_a_project_a_part_of_one_or_a_user() {
    let rows: [(&str, &[&str]); 8] = [
        ("acme", &["acme/app", "acme/app/part", "acme/sub-2/tool", "acme/sub/tool/part/of"]),
        ("Acme/sub", &["acme/sub/tool/part/of"]),
        ("acme/app", &["acme/app", "acme/app/part"]),
        ("acme/app/part/", &["acme/app/part"]),
        ("acme/sub/tool/part/of", &["acme/sub/tool/part/of"]),
        ("someone", &["someone/toy"]),
        ("someone/toy", &["someone/toy"]),
        ("globex/app/v2/", &["globex/app"]),
    ];
    for (path, expected) in rows {
        let set = Set::new();
        let driver = set.driver(&format!("registry.gitlab.com/{path}"), "glpat-full");
        assert_eq!(list(&*driver).await.unwrap(), expected, "{path}");
        assert_eq!(set.scene.desk().count(&[CATALOG]), 0, "{path}");
    }
}

#[tokio::test]
async fn without_a_path_groups_are_listed_whole_and_other_projects_one_by_one() {
    let set = Set::new();
    set.scene.vendor(|vendor| {
        vendor.guest_in.insert("other");
        vendor.going.insert("globex/app".to_owned());
    });
    let listed = list(&*set.driver("registry.gitlab.com", "glpat-full")).await.unwrap();
    let expected: Vec<&str> = {
        let sorted: BTreeSet<&str> = ALL.into_iter().filter(|name| *name != "globex/app").collect();
        sorted.into_iter().collect()
    };
    assert_eq!(listed, expected, "each once, and without what is about to be deleted");
    assert_eq!(set.scene.desk().count(&[OF_GROUP]), 2, "acme and globex");
    assert_eq!(set.scene.desk().count(&[OF_PROJECT]), 2, "other/app and someone/toy");
}

#[tokio::test]
async fn a_deploy_token_pulls_with_details_and_is_told_what_lists() {
    let set = Set::new();
    let driver = set.driver("registry.gitlab.com/acme", "gldt-deploy");
    let error = list(&*driver).await.unwrap_err();
    assert_eq!(error.code(), "permission_missing", "{error}");
    assert!(error.message().contains("deploy tokens can't list"), "{error}");
    assert_eq!(set.scene.desk().count(&REST), 0, "the API has no use for it");
    let details = driver.tag_details(&"acme/app".parse().unwrap(), PageRequest::first()).await.unwrap();
    assert!(details.items[0].pushed.is_some() && details.items[0].size_bytes.is_some());
}

#[tokio::test]
async fn an_administrator_without_read_api_lists_by_the_catalog() {
    let set = Set::new();
    let listed = list(&*set.driver("registry.gitlab.com/acme/app", "glpat-admin")).await.unwrap();
    assert_eq!(listed, ["acme/app", "acme/app/part"]);
}

#[tokio::test]
async fn a_registry_without_its_database_is_asked_once_whether_it_has_one() {
    let set = Set::new();
    set.scene.vendor(|vendor| vendor.has_no_database = true);
    let driver = set.driver("registry.gitlab.com/acme", "glpat-full");
    for _ in 0..2 {
        let error = driver.tag_details(&"acme/app".parse().unwrap(), PageRequest::first()).await.unwrap_err();
        assert_eq!(error.class(), Class::Unsupported, "{error}");
    }
    assert_eq!(set.scene.desk().count(&["v1"]), 1);
    assert_eq!(set.scene.desk().count(&["v1 tags"]), 2, "challenged, answered, and never asked again");
    assert_eq!(driver.tags(&"acme/app".parse().unwrap(), PageRequest::first()).await.unwrap().items.len(), 1);
}

/// A registry that names a GitLab on another host.
struct Elsewhere;

impl Site for Elsewhere {
    fn hosts(&self) -> BTreeSet<String> {
        ["registry.gitlab.example.com", "gitlab.example.com"].map(str::to_owned).into()
    }

    fn answer(&self, request: &Received) -> Answer {
        match (request.host.as_str(), request.path.as_str()) {
            ("gitlab.example.com", "/git/jwt/auth") => json(200, &serde_json::json!({ "token": "t" })),
            ("gitlab.example.com", "/git/api/v4/groups/acme/registry/repositories") => {
                assert_eq!(request.header("private-token"), Some("glpat-full"));
                json(200, &serde_json::json!([{ "path": "acme/app" }]))
            }
            (_, "/v2/") if request.bearer() == Some("t") => json(200, &serde_json::json!({})),
            _ => {
                distribution::challenge("https://gitlab.example.com/git/jwt/auth", "container_registry", None)
            }
        }
    }
}

#[tokio::test]
async fn a_gitlab_on_another_host_sees_the_token_only_if_it_is_named() {
    let set = Set::new();
    set.internet.add(Elsewhere);
    for (named, expected) in
        [(None, Err("realm_refused")), (Some("https://gitlab.example.com/git"), Ok(vec!["acme/app"]))]
    {
        let mut fields = set.scene.with_token("registry.gitlab.example.com/acme", "glpat-full");
        fields.extend(named.map(|host| ("tokenService", host.to_owned())));
        let hosts = ["registry.gitlab.example.com", "gitlab.example.com"].map(str::to_owned);
        let services = set.internet.services(&GitlabScene::driver().description(), &hosts, &[]);
        let values = fields.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        let settings = regent_plugin_api::Settings::new("gitlab-cr", values, false);
        let driver = GitlabScene::driver().connect(settings, services).unwrap();
        match (list(&*driver).await, expected) {
            (Ok(listed), Ok(expected)) => assert_eq!(listed, expected),
            (Err(error), Err(code)) => {
                assert_eq!(error.code(), code);
                assert!(error.message().contains("tokenService"), "{error}");
            }
            (listed, _) => panic!("{named:?}: {listed:?}"),
        }
    }
}
