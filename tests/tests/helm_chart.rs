//! The chart in `deploy/helm`: what helm makes of it is valid, names settings that there are, and is what the program runs
//! with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use regent_tests::artifacts::{plugin_directory, regent, workspace};
use regent_tests::helm::{Rendered, Secrets, helm};
use regent_tests::nats::Node;
use regent_tests::process::{Process, free_port};
use serde_json::{Value, json};

/// The values that the chart is rendered with; its own are `None`.
const RENDERINGS: [(Option<&str>, &[&str]); 4] = [
    (None, &[]),
    (Some("of-the-replaced-chart"), &[]),
    (Some("everything"), &[]),
    (Some("several-agents"), &["--set", "queue.servers=nats://nats:4222"]),
];

/// Every setting of the manual's table, which is made of the program's own.
fn settings() -> BTreeSet<String> {
    let manual = fs::read_to_string(workspace().join("docs/operating.md")).unwrap();
    let table = manual.split("| setting | value |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split(','));
    names.map(|name| name.trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn whatever_the_values_the_objects_are_valid_and_all_variables_are_settings() {
    let settings = settings();
    assert!(settings.contains("SNYK_PORT") && settings.contains("CA_CERT"), "{settings:?}");
    for (values, arguments) in RENDERINGS {
        let rendered = Rendered::new(values, arguments);
        for name in rendered.variables() {
            // The system's own, for temporary files.
            assert!(name == "TMPDIR" || settings.contains(name), "{values:?}: {name} is no setting");
        }
        for mount in rendered.container()["volumeMounts"].as_array().unwrap() {
            let names: Vec<_> =
                rendered.pod()["volumes"].as_array().unwrap().iter().map(|v| &v["name"]).collect();
            assert!(names.contains(&&mount["name"]), "{values:?}: {mount} is of no volume");
        }
    }
}

#[test]
fn pods_have_as_few_rights_as_they_need() {
    for (values, arguments) in RENDERINGS {
        let rendered = Rendered::new(values, arguments);
        let (pod, context) = (rendered.pod(), &rendered.container()["securityContext"]);
        assert_eq!(context["runAsNonRoot"], true, "{values:?}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{values:?}");
        assert_eq!(context["allowPrivilegeEscalation"], false, "{values:?}");
        assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}), "{values:?}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{values:?}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{values:?}");
        assert!(rendered.container()["resources"]["limits"]["memory"].is_string(), "{values:?}");
        let on_openshift = values == Some("several-agents");
        assert_eq!(context["runAsUser"].is_null(), on_openshift, "{values:?}");
        assert_eq!(pod["securityContext"]["fsGroup"].is_null(), on_openshift, "{values:?}");
        for secret in ["wörd", "nats:4222"] {
            assert!(
                !rendered.deployment().to_string().contains(secret),
                "{values:?}: {secret} is in the pod"
            );
        }
        // Longer than the agent takes, or the orchestrator kills it before it has handed back what it had.
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > 25 + 5, "{values:?}");
    }
}

#[test]
fn values_of_the_replaced_chart_mean_what_they_meant() {
    let rendered = Rendered::new(Some("of-the-replaced-chart"), &[]);
    let (deployment, container) = (rendered.deployment(), rendered.container());
    assert_eq!(container["image"], "registry.example.com/agent:1.2.3");
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["resources"]["limits"], json!({"cpu": 1, "memory": "2Gi"}));
    assert_eq!(container["securityContext"]["runAsUser"], 1000);
    assert_eq!(rendered.pod()["imagePullSecrets"], json!([{"name": "pull"}]));
    assert_eq!(rendered.pod()["nodeSelector"], json!({"example.com/segment": "internal"}));
    assert_eq!(rendered.pod()["serviceAccountName"], "broker");
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(*annotations, json!({"example.com/scrape": "true"}));
    let service = rendered.all("Service")[0];
    assert_eq!(service["spec"]["type"], "NodePort");
    assert_eq!(service["spec"]["ports"][0]["port"], 8081, "what CR_AGENT_URL had without a value");
    assert_eq!(service["metadata"]["annotations"], json!({"example.com/team": "security"}));
    let environment: BTreeMap<_, _> =
        rendered.environment(&rendered.secrets(Secrets::new())).into_iter().collect();
    for (name, value) in [
        ("SNYK_PORT", "8081"),
        ("BROKER_CLIENT_URL", "http://broker-client:8000"),
        ("CR_TYPE", "harbor-cr"),
        ("CR_BASE", "harbor.example.com/team"),
        ("CR_USERNAME", "robot$scan"),
        ("CR_PASSWORD", "p\"ss\\wörd ${X}"),
        ("LOG_LEVEL", "debug"),
        ("MAX_ACTIVE_OPERATIONS", "2"),
        ("SNYK_MAX_IMAGE_SIZE_IN_BYTES", "3221225472"),
    ] {
        assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn what_can_not_work_is_refused_with_what_to_set() {
    for (arguments, said) in [
        (&["replicaCount=2"][..], "set queue.servers"),
        (
            &["replicaCount=2", "queue.servers=nats://n", "sealKeySecret.name=s"],
            "set persistence.enabled=false",
        ),
        (&["queue.servers=nats://n"], "set sealKeySecret"),
        (&["crPasswordSecret.name=s"], "the Secret s of CR_PASSWORD needs a key"),
        (&["tlsRejectUnauthorized=0"], "give the authority as caCertFile"),
        (&["caCert=ca.pem"], "--set-file caCertFile=FILE"),
    ] {
        let arguments: Vec<&str> = arguments.iter().flat_map(|one| ["--set-string", one]).collect();
        let output = helm(&["template", "agent"], None, &arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
    }
}

#[test]
fn a_volume_is_claimed_where_the_queue_is_on_it() {
    for (arguments, claims, strategy) in [
        (&[][..], 1, "Recreate"),
        (&["--set", "persistence.existingClaim=mine"], 0, "Recreate"),
        (&["--set", "persistence.enabled=false"], 0, "Recreate"),
    ] {
        let rendered = Rendered::new(None, arguments);
        assert_eq!(rendered.all("PersistentVolumeClaim").len(), claims, "{arguments:?}");
        assert_eq!(rendered.deployment()["spec"]["strategy"]["type"], strategy, "{arguments:?}");
    }
    let several = Rendered::new(RENDERINGS[3].0, RENDERINGS[3].1);
    assert_eq!(several.deployment()["spec"]["strategy"]["type"], "RollingUpdate");
    assert_eq!(several.deployment()["spec"]["replicas"], 3);
}

/// What the cluster has before the chart is installed.
fn of_operator(certificate: &(String, String)) -> Secrets {
    let (chain, key) = certificate;
    let own = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let seal_key = base64::prelude::BASE64_STANDARD.encode([7; 32]);
    let operators = [
        ("external-id", "e-1"),
        ("password", "s3cr3t"),
        ("token", "t0k3n"),
        ("seal-key", &seal_key),
        ("max-requests", "100"),
    ];
    Secrets::from([
        ("operators".to_owned(), own(&operators)),
        ("https".to_owned(), own(&[("tls.crt", chain), ("tls.key", key)])),
        ("authorities".to_owned(), own(&[("company.pem", chain)])),
        ("driver-keys".to_owned(), own(&[("vendor.pub", "a key")])),
    ])
}

/// A certificate for the loopback interface and its key, in PEM.
fn certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Starts the program as the kubelet would, but that volumes are folders below `root`, and asks what the probes ask.
async fn is_ready_as_a_pod(rendered: &Rendered, root: &Path, port: u16, certificate: &(String, String)) {
    let secrets = rendered.secrets(of_operator(certificate));
    let volumes = rendered.volumes(&secrets);
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    for (path, files) in &volumes {
        fs::create_dir_all(below(path)).unwrap();
        for (name, text) in files {
            let file = below(path).join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
        }
    }
    let plugins = plugin_directory(&["local"]);
    let mut command = Command::new(regent());
    command
        .env_clear()
        .arg("serve")
        .env("REGENT_LISTEN", "127.0.0.1")
        .env("REGENT_PLUGIN_DIR", plugins.path());
    for (name, value) in rendered.environment(&secrets) {
        let is_path = value.starts_with('/');
        let is_mounted = volumes.iter().any(|(path, _)| Path::new(&value).starts_with(path));
        assert_eq!(is_path, is_mounted, "{name}={value} is on no volume");
        if is_path {
            command.env(name, below(&value));
        } else {
            command.env(name, value);
        }
    }
    let mut process = Process::start("regent", &mut command);

    // No provider yet, where no other test has asked before.
    drop(regent_tests::http::client());
    let authority = reqwest::Certificate::from_pem(certificate.0.as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let request = &rendered.container()[probe]["httpGet"];
        assert_eq!(request["port"], rendered.container()["ports"][0]["name"]);
        assert_eq!(rendered.container()["ports"][0]["containerPort"], port);
        let scheme = request["scheme"].as_str().unwrap().to_lowercase();
        let url = format!("{scheme}://127.0.0.1:{port}{}", request["path"].as_str().unwrap());
        let ready = async || client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200);
        process.wait_until(&url, ready).await;
    }
    process.kill();
    let log = process.output();
    assert!(!log.contains("is not a setting"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_runs_with_what_the_chart_gives_it() {
    let certificate = certificate();
    let node = Node::start_alone().await;
    let authorities = tempfile::NamedTempFile::new().unwrap();
    fs::write(authorities.path(), &certificate.0).unwrap();
    for (values, more) in [
        (None, Vec::new()),
        (Some("of-the-replaced-chart"), Vec::new()),
        (Some("everything"), Vec::new()),
        (
            Some("several-agents"),
            vec![
                "--set".to_owned(),
                format!("queue.servers={}", node.url()),
                "--set-file".to_owned(),
                format!("caCertFile={}", authorities.path().display()),
            ],
        ),
    ] {
        let port = free_port();
        let chosen = format!("deployment.container.crSnykPort={port}");
        let mut arguments = vec!["--set", &chosen];
        arguments.extend(more.iter().map(String::as_str));
        let rendered = Rendered::new(values, &arguments);
        let root = tempfile::tempdir().unwrap();
        is_ready_as_a_pod(&rendered, root.path(), port, &certificate).await;
        let has_queue = root.path().join("data/queue.redb").is_file();
        assert_eq!(has_queue, values != Some("several-agents"), "{values:?}: where the queue is");
    }
}

#[test]
fn the_chart_is_of_the_programs_release() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    let (chart, manifest) = (read("deploy/helm/regent/Chart.yaml"), read("host/Cargo.toml"));
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap();
    assert!(chart.contains(&format!("\nappVersion: {version}\n")), "{chart}\nthe program is {version}");
    let rendered = Rendered::new(None, &[]);
    let image = rendered.container()["image"].as_str().unwrap();
    let version: Value = serde_json::from_str(version).unwrap();
    assert!(image.ends_with(&format!(":{}", version.as_str().unwrap())), "{image}");
}
