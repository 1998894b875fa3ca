//! The agent with the ECR driver as a library, against moto for STS and ECR, and Debian's `docker-registry` for `/v2/`.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use std::collections::BTreeSet;

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::plugin_directory;
use regent_tests::http::{Server, json as json_answer};
use regent_tests::image::{Compression, Flavor, Image, ImageBuilder, debian_layer};
use regent_tests::moto::{ACCOUNT, Moto};
use regent_tests::registry::{Auth, Registry};
use regent_tests::sink::Sink;
use serde_json::{Value, json};

/// What moto gives for a password: nothing secret.
fn password(account: &str) -> String {
    format!("{account}-auth-token")
}

struct Scene {
    moto: Moto,
    registry: Registry,
    sink: Sink,
    plugins: tempfile::TempDir,
}

impl Scene {
    /// `team/app` with an image in both halves, and two empty repositories.
    async fn set() -> (Self, Image) {
        let auth = Auth::Htpasswd { username: "AWS".to_owned(), password: password(ACCOUNT) };
        let (moto, registry) = (Moto::start().await, Registry::start(auth).await);
        let scene = Self { moto, registry, sink: Sink::start().await, plugins: plugin_directory(&["ecr"]) };
        let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
        for repository in ["team/app", "team/void", "other"] {
            scene.moto.create_repository("anyone", "eu-west-1", repository).await;
        }
        for tag in ["1.0", "latest"] {
            scene.moto.put_image("anyone", "eu-west-1", "team/app", tag, &image).await;
            let authorization = scene.registry.authorization();
            image.push(&scene.registry.authority(), "team/app", tag, authorization.as_deref()).await;
        }
        (scene, image)
    }

    async fn agent(&self, variables: &[(&str, &str)]) -> Agent {
        let insecure = format!("{},{}", self.registry.authority(), self.moto.authority());
        let (aws, sink) = (self.moto.url(), self.sink.url());
        let mut all = vec![
            ("REGENT_INSECURE_REGISTRIES", insecure.as_str()),
            ("BROKER_CLIENT_URL", sink.as_str()),
            ("AWS_ENDPOINT_URL", aws.as_str()),
        ];
        all.extend(variables);
        Agent::start(self.plugins.path(), &all).await
    }

    /// As the Broker Client sends it, with where `/v2/` is, which moto has not.
    fn connection(&self, registry_type: &str) -> Connection {
        Connection(json!({
            "type": registry_type, "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/scan"),
            "extra": { "region": "eu-west-1", "externalId": "" }, "registryBase": self.registry.authority(),
        }))
    }
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAAGENT"), ("AWS_SECRET_ACCESS_KEY", "a secret")];

fn sorted(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_name_lists_describes_and_scans() {
    let (scene, image) = Scene::set().await;
    let agent = scene.agent(&KEYS).await;
    for registry_type in ["ecr", "ElasticCR", "ECR"] {
        let connection = scene.connection(registry_type);
        let list = agent.get("/list", &connection).await.expect(200);
        assert_eq!(sorted(&list), ["other", "team/app", "team/void"].map(str::to_owned).into());
        let tags = agent.get("/list/team/app", &connection).await.expect(200);
        assert_eq!(sorted(&tags), ["1.0", "latest"].map(str::to_owned).into());
        let details = agent.get("/list-with-metadata/team/app", &connection).await.expect(200);
        for detail in details.as_array().unwrap() {
            assert_eq!(detail["digest"], image.digest().to_string(), "{details}");
        }
        let body = json!({ "image": "team/app:1.0", "credentials": connection.0 });
        let accepted = agent.post("/scan", &body).await.expect(202);
        let done =
            scene.sink.wait_for("/api/v2/import/done", accepted["operationId"].as_str().unwrap()).await;
        assert_eq!(done.body["status"], "succeeded", "{}", done.body);
        let check = agent.get("/systemcheck", &connection).await.expect(200);
        for part in check["checks"].as_array().unwrap() {
            assert!(["passed", "skipped"].contains(&part["outcome"].as_str().unwrap()), "{check}");
        }
    }
    // Tokens that expired in 2015 are used all the same. A session for each type name, but for capitals.
    assert_eq!(scene.moto.count("AssumeRole"), 2);
    assert_eq!(scene.moto.count("GetAuthorizationToken"), 2);
    assert!(!agent.output().contains("a secret"), "no secret in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_agent_serves_accounts_and_regions_that_know_nothing_of_each_other() {
    let (scene, _) = Scene::set().await;
    let other = "210987654321";
    let key = scene.moto.key_of(other).await;
    scene.moto.create_repository(&key, "us-east-1", "theirs/app").await;
    let agent = scene.agent(&KEYS).await;
    let connection = Connection(json!({
        "type": "ElasticCR", "roleArn": format!("arn:aws:iam::{other}:role/scan"), "extra": { "region": "us-east-1" },
    }));
    for _ in 0..2 {
        assert_eq!(agent.get("/list", &connection).await.expect(200), json!(["theirs/app"]));
        assert_eq!(
            agent.get("/list", &scene.connection("ecr")).await.expect(200).as_array().unwrap().len(),
            3
        );
    }
    let empty = Connection(json!({
        "type": "ecr", "roleArn": format!("arn:aws:iam::{other}:role/scan"), "extra": { "region": "eu-west-1" },
    }));
    assert_eq!(agent.get("/list", &empty).await.expect(200), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containers_credentials_are_fetched_past_the_proxy_and_without_an_entry_in_any_list() {
    let (scene, _) = Scene::set().await;
    let given = Server::start(|request| async move {
        let authorized =
            request.headers().get("authorization").is_some_and(|value| value == "the-pods-token");
        let credentials = json!({
            "AccessKeyId": "ASIAPOD", "SecretAccessKey": "a secret", "Token": "a session",
            "Expiration": "2099-01-01T00:00:00Z",
        });
        if authorized { json_answer(200, &credentials) } else { json_answer(401, &json!({})) }
    })
    .await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "the-pods-token").unwrap();
    let (uri, token) = (format!("{}/credentials", given.url()), token.path().display().to_string());
    // What is called localhost is exempt from the proxy, and no one is there: the address is reached past it or not at all.
    let by_name = |authority: String| authority.replace("127.0.0.1", "localhost");
    let (aws, registry) = (by_name(scene.moto.authority()), by_name(scene.registry.authority()));
    let (url, insecure) = (format!("http://{aws}"), format!("{aws},{registry}"));
    let agent = scene
        .agent(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.as_str()),
            ("HTTP_PROXY", "http://127.0.0.1:9"),
            ("NO_PROXY", "localhost"),
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("REGENT_INSECURE_REGISTRIES", insecure.as_str()),
        ])
        .await;
    let mut connection = scene.connection("ecr");
    connection.0["registryBase"] = registry.into();
    let check = agent.get("/systemcheck", &connection).await.expect(200);
    assert!(check.to_string().contains("the container's credentials service"), "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_to_what_stands_in_for_aws_needs_an_entry_in_the_list() {
    let (scene, _) = Scene::set().await;
    let aws = scene.moto.url();
    let [id, secret] = KEYS;
    let agent = Agent::start(scene.plugins.path(), &[("AWS_ENDPOINT_URL", aws.as_str()), id, secret]).await;
    let mut connection = scene.connection("ecr");
    connection.0.as_object_mut().unwrap().remove("registryBase");
    assert_eq!(agent.get("/list", &connection).await.problem(403), "egress_refused");
    assert_eq!(scene.moto.count("AssumeRole"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_in_the_home_folder_is_enough_and_without_any_identity_the_agent_says_so() {
    let (scene, _) = Scene::set().await;
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let profile = "[default]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = a secret\n";
    std::fs::write(home.path().join(".aws/credentials"), profile).unwrap();
    let folder = home.path().display().to_string();
    let agent = scene.agent(&[("HOME", folder.as_str())]).await;
    assert_eq!(agent.get("/list", &scene.connection("ecr")).await.expect(200).as_array().unwrap().len(), 3);

    let agent = scene.agent(&[("AWS_EC2_METADATA_DISABLED", "true")]).await;
    let refused = agent.get("/list", &scene.connection("ecr")).await;
    assert_eq!(refused.problem(401), "credentials_missing");
    assert!(refused.text.contains("no AWS identity"), "{}", refused.text);
}
