//! Every connection type, legacy names included, end to end: the agent as a process, each driver as a library, the
//! vendors' own host names behind a proxy that speaks for them.

use std::collections::BTreeSet;

use regent_plugin_api::Check;
use regent_tests::agent::{Agent, Connection};
use regent_tests::all_vendors;
use regent_tests::artifacts::plugin_directory;
use regent_tests::image::{Compression, Flavor, ImageBuilder, Layer, debian_layer};
use regent_tests::sink::Sink;
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::proxy::Proxy;
use regent_tests::vendor::scene::{Account, Fields, Pushed, Scene};
use regent_tests::vendor::store::rfc3339;
use serde_json::{Map, Value, json};

/// Fields of this name are no fields but variables of the agent's process: AWS's own credentials.
const VARIABLE: &str = "env:";

/// A connection as the Broker Client sends it: the fields nested where they have dots.
fn connection(registry_type: &str, fields: &Fields) -> Connection {
    let mut object = Map::from_iter([("type".to_owned(), registry_type.into())]);
    for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(VARIABLE)) {
        let value = value.as_str();
        match name.split_once('.') {
            None => drop(object.insert((*name).to_owned(), value.into())),
            Some((outer, inner)) => object.entry(outer).or_insert(json!({}))[inner] = value.into(),
        }
    }
    Connection(Value::Object(object))
}

async fn every_name_of<S: Scene>() {
    let internet = Internet::new();
    let scene = S::open(&internet);
    let image = ImageBuilder::new(Flavor::Docker)
        .layer(debian_layer(), Compression::Gzip)
        .layer(Layer::new().file("srv/app", "text"), Compression::Gzip)
        .build();
    let repository = S::repository(1);
    let (digest, pushed) = scene.store(|store| {
        for number in 0..120 {
            store.tag(&S::repository(number), "1.0", &format!("artifact {number}"));
        }
        store.push(&repository, "2.0", &image)
    });
    let (proxy, sink) = (Proxy::start(&internet).await, Sink::start().await);
    let plugins = plugin_directory(&[S::DRIVER]);
    let (url, authority, callbacks) = (proxy.url(), proxy.authority(), sink.url());
    let start = async |fields: &Fields| {
        let mut environment = vec![
            ("HTTPS_PROXY", url.as_str()),
            ("NODE_EXTRA_CA_CERTS", authority.as_str()),
            ("BROKER_CLIENT_URL", callbacks.as_str()),
        ];
        let variables =
            fields.iter().filter_map(|(name, v)| Some((name.strip_prefix(VARIABLE)?, v.as_str())));
        environment.extend(variables);
        Agent::start(plugins.path(), &environment).await
    };
    let fields = scene.connection(Account::Full).unwrap();
    let agent = start(&fields).await;
    let expected: BTreeSet<String> = (0..120).map(S::repository).collect();

    for registry_type in S::TYPES {
        let connection = connection(registry_type, &fields);
        let check = agent.get("/systemcheck", &connection).await.expect(200);
        assert_eq!(check["ok"], true, "{registry_type}: {check:#}");
        for name in [Check::REACHED, Check::AUTHENTICATED, Check::LIST, Check::PULL] {
            let found = check["checks"].as_array().unwrap().iter().find(|c| c["name"] == name);
            assert!(found.is_some_and(|c| c["outcome"] == "passed"), "{registry_type}: {name}: {check:#}");
        }

        let listed: Vec<String> =
            serde_json::from_value(agent.get("/list", &connection).await.expect(200)).unwrap();
        assert_eq!(listed.len(), 120, "{registry_type}");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected, "{registry_type}");

        let tags = agent.get(&format!("/list/{repository}"), &connection).await.expect(200);
        let tags: BTreeSet<String> = serde_json::from_value(tags).unwrap();
        assert_eq!(tags, ["1.0", "2.0"].map(str::to_owned).into(), "{registry_type}");

        let path = format!("/list-with-metadata/{}", repository.replace('/', "%2F"));
        let details = agent.get(&path, &connection).await.expect(200);
        let detail = details.as_array().unwrap().iter().find(|d| d["tag"] == "2.0").unwrap();
        assert_eq!(detail["digest"], digest.to_string(), "{registry_type}");
        match S::DETAILS.pushed {
            Pushed::OfTag | Pushed::OfManifest => {
                assert_eq!(detail["lastPushed"], rfc3339(pushed), "{registry_type}");
            }
            Pushed::Never | Pushed::NoDetails => {
                assert_eq!(detail.get("lastPushed"), None, "{registry_type}");
            }
        }
        assert_eq!(detail.get("sizeBytes").is_some(), S::DETAILS.size, "{registry_type}");

        let name = format!("{repository}:2.0");
        let body = json!({ "image": name, "credentials": connection.0, "correlationId": registry_type });
        let accepted = agent.post("/scan", &body).await.expect(202);
        let operation = accepted["operationId"].as_str().unwrap().to_owned();
        let done = sink.wait_for("/api/v2/import/done", &operation).await.body;
        assert_eq!(done["status"], "succeeded", "{registry_type}: {done:#}");
        let result = sink.wait_for("/api/v2/import/result", &operation).await.body;
        assert!(result.to_string().contains("\"depGraph\""), "{registry_type}: {result:#}");
    }

    // Credentials that are no one's are told as such.
    let fields = scene.connection(Account::Unknown).unwrap();
    let agent = start(&fields).await;
    let answer = agent.get("/list", &connection(S::TYPES[0], &fields)).await;
    assert_eq!(answer.problem(401), "credentials_rejected", "{}", answer.text);
}

macro_rules! tests {
    ($($name:ident: $scene:ty),*) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            every_name_of::<$scene>().await;
        }
    )* };
}

all_vendors!(tests);
