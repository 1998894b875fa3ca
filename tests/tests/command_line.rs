//! The program as people and scripts call it: what goes to standard output, and which number it ends with.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::{plugin_directory, regent};
use regent_tests::ended::Ended;
use regent_tests::image::{Compression, Flavor, Image, ImageBuilder, Layer, alpine_layer, debian_layer};
use regent_tests::registry::{Auth, Registry};
use regent_tests::sink::Sink;
use regent_tests::skopeo::skopeo;
use serde_json::{Value, json};

const USERNAME: &str = "robot";
const PASSWORD: &str = "pa:ss\"w0rd";
const PACKAGES: [&str; 3] = ["bash@5.2.15-2+b2", "glibc/libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u2"];

/// A plugin directory and an empty home: nothing else is known to the commands.
struct Desk {
    plugins: tempfile::TempDir,
    home: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { plugins: plugin_directory(&["oci", "harbor", "local"]), home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[], None)
    }

    fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)], input: Option<&str>) -> Ended {
        let mut command = Command::new(regent());
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("REGENT_PLUGIN_DIR", self.plugins.path())
            .env("REGENT_DATA_DIR", self.home.path().join("data"))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Dropped at once: the end of the input. A command that reads none may have ended before.
        let _ = child.stdin.take().unwrap().write_all(input.unwrap_or_default().as_bytes());
        let output = child.wait_with_output().unwrap();
        let ended = Ended::from(output);
        assert!(!ended.err.contains("panicked"), "{arguments:?}: {}", ended.err);
        assert!(!format!("{ended:?}").contains("w0rd"), "a password appears: {ended:?}");
        ended
    }

    /// With the flags for the registry, user and password.
    fn call(&self, registry: &Registry, arguments: &[&str]) -> Ended {
        let authority = registry.authority();
        let flags = ["--registry", &authority, "--plain-http", "--username", USERNAME, "--password-stdin"];
        self.run_with(&[arguments, &flags].concat(), &[], Some(&format!("{PASSWORD}\n")))
    }

    /// `scan --format scan-result` of something on disk.
    fn scan_local(&self, image: &str) -> Value {
        self.run(&["scan", image, "--format", "scan-result"]).json()
    }
}

fn image() -> Image {
    ImageBuilder::new(Flavor::Oci)
        .layer(debian_layer(), Compression::Gzip)
        .layer(Layer::new().file("srv/app", "text"), Compression::Gzip)
        .build()
}

async fn registry_with(image: &Image) -> Registry {
    let registry =
        Registry::start(Auth::Htpasswd { username: USERNAME.into(), password: PASSWORD.into() }).await;
    let authorization = registry.authorization();
    for tag in ["1.0", "1.1"] {
        image.push(&registry.authority(), "team/app", tag, authorization.as_deref()).await;
    }
    registry
}

fn packages(response: &Value) -> BTreeSet<String> {
    let facts = response["scanResults"][0]["facts"].as_array().unwrap();
    let graph = facts.iter().find(|f| f["type"] == "depGraph").unwrap();
    let all = graph["data"]["pkgs"].as_array().unwrap().iter().skip(1);
    all.map(|package| package["id"].as_str().unwrap().to_owned()).collect()
}

fn expected_packages() -> BTreeSet<String> {
    PACKAGES.map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_listed_and_its_images_are_shown() {
    let image = image();
    let registry = registry_with(&image).await;
    let desk = Desk::new();
    assert_eq!(desk.call(&registry, &["list"]).data(), "team/app\n");
    // In the registry's order, which is any with this one.
    let tags = desk.call(&registry, &["tags", "team/app"]);
    let mut tags = tags.lines();
    tags.sort_unstable();
    assert_eq!(tags, ["1.0", "1.1"]);
    let digest = image.digest().to_string();
    let details = desk.call(&registry, &["tags", "team/app", "--details"]);
    let mut details: Vec<Vec<&str>> = details.lines().into_iter().map(|l| l.split('\t').collect()).collect();
    details.sort_unstable();
    assert_eq!(details.len(), 2);
    for (line, tag) in details.iter().zip(["1.0", "1.1"]) {
        // This registry tells neither times nor sizes.
        assert_eq!(line, &[tag, digest.as_str(), "-", "-"]);
    }
    for reference in ["team/app:1.0".to_owned(), format!("team/app@{digest}")] {
        let shown = desk.call(&registry, &["inspect", &reference]).json();
        assert_eq!(shown["manifestDigest"], digest, "{shown}");
        assert_eq!(shown["platform"], "linux/amd64", "{shown}");
        assert_eq!(shown["layers"].as_array().unwrap().len(), 2, "{shown}");
        assert_eq!(shown["config"]["os"], "linux", "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_of_docker_are_found() {
    use base64::Engine as _;
    let registry = registry_with(&image()).await;
    let authority = registry.authority();
    let desk = Desk::new();
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USERNAME}:{PASSWORD}"));
    let config = json!({ "auths": { &authority: { "auth": auth } } }).to_string();
    let list = ["list", "--registry", &authority, "--plain-http"];
    assert_eq!(desk.run(&list).exit, 3, "no login yet");

    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("config.json"), &config).unwrap();
    let variable = [("DOCKER_CONFIG", elsewhere.path().to_str().unwrap())];
    assert_eq!(desk.run_with(&list, &variable, None).data(), "team/app\n");

    let folder = desk.home.path().join(".docker");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.json"), &config).unwrap();
    assert_eq!(desk.run(&list).data(), "team/app\n");

    // A helper is named, not run.
    let config = json!({ "credHelpers": { &authority: "cloud" } }).to_string();
    fs::write(folder.join("config.json"), config).unwrap();
    let ended = desk.run(&list);
    assert_eq!(ended.exit, 3);
    assert!(ended.err.contains("docker-credential-cloud"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_is_a_table_or_json_and_the_same_each_time() {
    let image = image();
    let registry = registry_with(&image).await;
    let desk = Desk::new();
    let table = desk.call(&registry, &["scan", "team/app:1.0"]);
    for part in [&registry.authority(), "bookworm", "libc6", "2.36-9+deb12u4", "linux/amd64"] {
        assert!(table.data().contains(part), "{part} is missing in\n{}", table.out);
    }
    assert_eq!(desk.call(&registry, &["scan", "team/app:1.0"]).data(), table.data());

    let scan = ["scan", "team/app:1.0", "--format", "scan-result"];
    let first = desk.call(&registry, &scan);
    assert_eq!(packages(&first.json()), expected_packages());
    assert_eq!(desk.call(&registry, &scan).data(), first.data(), "byte for byte");

    let file = desk.path("result.json");
    let to_file = desk.call(&registry, &[&scan[..], &["-o", &file]].concat());
    assert_eq!(to_file.data(), "", "the data is in the file");
    assert_eq!(fs::read_to_string(&file).unwrap(), first.out);
    let named = desk.call(&registry, &[&scan[..], &["--name", "example.com/named:7"]].concat());
    assert!(named.data().contains("example.com/named"), "{}", named.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pulled_is_a_layout_that_others_take() {
    let image = image();
    let registry = registry_with(&image).await;
    let authority = registry.authority();
    let desk = Desk::new();
    let layout = desk.path("layout");
    let pulled = desk.call(&registry, &["pull", "team/app:1.0", "-o", &layout]);
    let digest = image.digest().to_string();
    assert_eq!(pulled.data(), format!("{digest}\n"));
    let again = desk.call(&registry, &["pull", "team/app:1.0", "-o", &layout]);
    assert_ne!(again.exit, 0, "a directory with something in it is left alone: {again:?}");

    let seen: Value = serde_json::from_str(&skopeo(&["inspect", &format!("oci:{layout}:1.0")])).unwrap();
    assert_eq!(seen["Digest"], digest, "{seen}");
    let target = format!("docker://{authority}/team/copy:2.0");
    let credentials = format!("{USERNAME}:{PASSWORD}");
    let copy = ["copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", &credentials];
    skopeo(&[&copy[..], &[&format!("oci:{layout}:1.0"), &target]].concat());
    let details = desk.call(&registry, &["tags", "team/copy", "--details"]);
    assert!(details.data().starts_with(&format!("2.0\t{digest}\t")), "{details:?}");

    let remote = desk.call(&registry, &["scan", "team/app:1.0", "--format", "scan-result"]).json();
    let local = desk.scan_local(&format!("oci-layout:{layout}:1.0"));
    assert_eq!(packages(&local), packages(&remote));
    assert_eq!(packages(&local), expected_packages());
}

#[test]
fn images_on_disk_are_scanned_whatever_their_form() {
    let desk = Desk::new();
    let layout = desk.path("layout");
    image().write_layout(Path::new(&layout), "1.0");
    let source = format!("oci:{layout}:1.0");
    let docker = desk.path("docker.tar");
    let oci = desk.path("oci.tar");
    skopeo(&["copy", &source, &format!("docker-archive:{docker}:team/app:1.0")]);
    skopeo(&["copy", &source, &format!("oci-archive:{oci}:1.0")]);
    for text in [
        format!("oci-layout:{layout}:1.0"),
        format!("docker-archive:{docker}"),
        format!("oci-archive:{oci}"),
        // The kind is told by the content.
        docker.clone(),
        oci.clone(),
    ] {
        assert_eq!(packages(&desk.scan_local(&text)), expected_packages(), "{text}");
        let shown = desk.run(&["inspect", &text]).json();
        assert_eq!(shown["platform"], "linux/amd64", "{text}: {shown}");
        let table = desk.run(&["scan", &text]);
        assert!(table.data().contains("openssl"), "{text}: {table:?}");
    }

    // An image of an index, by its platform.
    let alpine = desk.path("alpine");
    let other = ImageBuilder::new(Flavor::Oci).platform("linux", "arm64");
    other.layer(alpine_layer(), Compression::Zstd).build().write_layout(Path::new(&alpine), "3");
    let scan = ["scan", &format!("oci-layout:{alpine}:3"), "--format", "scan-result"];
    let found = packages(&desk.run(&[&scan[..], &["--platform", "linux/arm64"]].concat()).json());
    assert!(found.iter().any(|id| id.contains("musl")), "{found:?}");
}

/// Arguments of the command, further groups of them, environment, standard input, exit code.
type Row<'a> = (&'a [&'a str], &'a [&'a [&'a str]], &'a [(&'a str, &'a str)], &'a str, i32);

#[tokio::test(flavor = "multi_thread")]
async fn scripts_can_tell_failures_apart_by_the_exit_code() {
    let registry = registry_with(&image()).await;
    let authority = registry.authority();
    let desk = Desk::new();
    let here: &[&str] = &["--registry", &authority, "--plain-http"];
    let user: &[&str] = &["--username", USERNAME, "--password-stdin"];
    let nowhere: &[&str] = &["--registry", "127.0.0.1:1", "--plain-http"];
    let garbage = desk.path("garbage.so");
    fs::write(&garbage, "this is no library").unwrap();
    let good = format!("{PASSWORD}\n");
    let small = [("SNYK_MAX_IMAGE_SIZE_IN_BYTES", "10")];
    let none: &[(&str, &str)] = &[];
    let rows: [Row<'_>; 20] = [
        (&["no-such-command"], &[], none, "", 2),
        (&["scan"], &[], none, "", 2),
        (&["list"], &[], none, "", 2),
        (&["tags", "Team/App"], &[here], none, "", 2),
        (&["scan", "Team/App:1"], &[here], none, "", 2),
        (&["list", "--username", USERNAME], &[here], none, "", 2),
        (&["list"], &[here, user], none, "", 2),
        (&["scan", "team/app:1.0", "--options", "/no/such/file"], &[here, user], none, &good, 2),
        (&["list"], &[here], none, "", 3),
        (&["list"], &[here, user], none, "wrong\n", 3),
        (&["scan", "team/app:1.0"], &[here, user], none, "wrong\n", 3),
        (&["tags", "team/nothing"], &[here, user], none, &good, 4),
        (&["inspect", "team/app:9"], &[here, user], none, &good, 4),
        (&["scan", "docker-archive:/no/such/file"], &[], none, "", 4),
        (&["list"], &[nowhere], none, "", 5),
        (&["scan", "team/app:1.0"], &[nowhere], none, "", 5),
        (&["list", "--type", "nexus-cr"], &[here], none, "", 6),
        (&["drivers", "inspect", &garbage], &[], none, "", 6),
        (&["scan", "team/app:1.0"], &[here, user], &small, &good, 7),
        (&["scan", "team/app:1.0"], &[here, user], none, &good, 0),
    ];
    for (arguments, flags, environment, input, exit) in rows {
        let all = [arguments, &flags.concat()].concat();
        let ended = desk.run_with(&all, environment, Some(input));
        assert_eq!(ended.exit, exit, "{all:?}: {ended:?}");
        if exit != 0 {
            assert!(!ended.err.is_empty(), "{all:?} says why");
            // Only a refused driver is shown all the same.
            assert_eq!(ended.out.is_empty(), arguments.first() != Some(&"drivers"), "{all:?}: {ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drivers_settings_and_connections_are_looked_at() {
    let registry = registry_with(&image()).await;
    let authority = registry.authority();
    let desk = Desk::new();
    let oci = desk.plugins.path().join("libregent_driver_oci.so");
    let listed = desk.run(&["drivers", "list"]);
    for file in ["libregent_driver_oci.so", "libregent_driver_harbor.so", "libregent_driver_local.so"] {
        let line = listed.lines().into_iter().find(|line| line.starts_with(file));
        assert!(line.is_some_and(|line| line.contains("ready")), "{file}: {listed:?}");
    }
    let inspected = desk.run(&["drivers", "inspect", "--json", oci.to_str().unwrap()]).json();
    assert_eq!(inspected["description"]["types"], json!(["oci-cr"]), "{inspected}");
    assert!(inspected["digest"].as_str().is_some_and(|d| d.starts_with("sha256:")), "{inspected}");

    let shown = desk.run(&["drivers", "inspect"]);
    for part in
        ["harbor 0.1.0: Harbor 2", "registryBase", "required, secret: ", "egress    the registry's own host"]
    {
        assert!(shown.data().contains(part), "{part} is missing in {shown:?}");
    }

    let own = [
        ("CR_TYPE", "oci-cr"),
        ("CR_BASE", authority.as_str()),
        ("CR_USERNAME", USERNAME),
        ("CR_PASSWORD", PASSWORD),
        ("REGENT_INSECURE_REGISTRIES", authority.as_str()),
    ];
    let healthy = desk.run_with(&["doctor"], &own, None);
    assert!(
        healthy.lines().iter().all(|line| line.starts_with("ok ") || line.starts_with("- ")),
        "{healthy:?}"
    );
    assert!(healthy.out.contains("setting password: given, not shown"), "{healthy:?}");
    assert!(healthy.out.contains("authenticated"), "{healthy:?}");
    // The environment's connection serves the other commands too.
    assert_eq!(desk.run_with(&["list"], &own, None).data(), "team/app\n");

    let mut wrong = own;
    wrong[3].1 = "wrong";
    let sick = desk.run_with(&["doctor"], &wrong, None);
    assert_eq!(sick.exit, 1, "{sick:?}");
    assert!(
        sick.out.contains("MEND  connection: ") && sick.out.contains("does not accept the credentials"),
        "{sick:?}"
    );

    let by_flags = ["doctor", "--type", "harbor-cr", "--field", "region=x"];
    let sick = desk.run_with(&by_flags, &[], None);
    for line in [
        "MEND  setting registryBase: missing: ",
        "MEND  connection: ",
        "-     setting region: the driver harbor",
    ] {
        assert!(sick.out.contains(line), "{line} is missing in {sick:?}");
    }

    let empty = tempfile::tempdir().unwrap();
    let without = [("REGENT_PLUGIN_DIR", empty.path().to_str().unwrap())];
    let sick = desk.run_with(&["doctor"], &without, None);
    assert_eq!(sick.exit, 1, "{sick:?}");
    assert!(sick.out.contains("MEND  drivers: "), "{sick:?}");
    let none = desk.run_with(&["drivers", "list"], &without, None);
    assert_eq!(none.data(), "");
    assert!(none.err.contains("REGENT_PLUGIN_DIR"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_delivers_a_dead_letter_again_and_drops_it() {
    let registry = registry_with(&image()).await;
    let (authority, sink, desk) = (registry.authority(), Sink::start().await, Desk::new());
    let environment = [
        ("BROKER_CLIENT_URL", sink.url()),
        ("REGENT_INSECURE_REGISTRIES", authority.clone()),
        ("REGENT_CALLBACK_DEADLINE", "1s".to_owned()),
    ];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let agent = Agent::start(desk.plugins.path(), &environment).await;
    let port = agent.port().to_string();
    let operations = |arguments: &[&str]| {
        desk.run_with(&[&["operations"], arguments].concat(), &[("SNYK_PORT", &port)], None)
    };
    assert_eq!(operations(&["list"]).data(), "");

    sink.fail_with(&[503; 1000]);
    let credentials = Connection::new("oci-cr", &authority, USERNAME, PASSWORD).encoded();
    let accepted = agent.post("/scan", &json!({ "image": "team/app:1.0", "credentials": credentials })).await;
    let accepted = accepted.expect(202);
    let id = accepted["operationId"].as_str().unwrap();
    let mut dead = operations(&["list", "--dead-letters"]);
    while dead.data().is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        dead = operations(&["list", "--dead-letters"]);
    }
    assert!(dead.data().starts_with(&format!("{id}  dead_lettered  scan")), "{dead:?}");
    let shown = operations(&["show", id, "--json"]).json();
    assert_eq!(shown["undelivered"]["type"], "callback_undeliverable", "{shown}");

    sink.fail_with(&[]);
    let told = operations(&["redeliver", id]);
    assert_eq!(told.data(), "");
    assert!(told.err.contains(id), "{told:?}");
    assert_eq!(sink.wait_for("/import/done", id).await.body["status"], "succeeded");
    while operations(&["show", id, "--json"]).json()["state"] != "done" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(operations(&["show", id]).data().contains("state        done\n"));
    operations(&["drop", id]).data();
    let gone = operations(&["show", id]);
    assert_eq!((gone.exit, gone.out.as_str()), (4, ""), "{gone:?}");
    assert!(gone.err.contains("(operation_unknown)"), "{gone:?}");

    assert_eq!(operations(&["show", "1"]).exit, 2);
    let elsewhere = operations(&["list", "--agent", "http://127.0.0.1:9"]);
    assert_eq!(elsewhere.exit, 5, "{elsewhere:?}");
    assert!(elsewhere.err.contains("127.0.0.1:9"), "{elsewhere:?}");
}

#[test]
fn the_help_names_commands_and_exit_codes() {
    let desk = Desk::new();
    let help = desk.run(&["--help"]);
    for part in [
        "serve",
        "demo",
        "list",
        "tags",
        "inspect",
        "scan",
        "pull",
        "drivers",
        "operations",
        "doctor",
        "Exit codes: ",
    ] {
        assert!(help.data().contains(part), "{part} is missing in\n{}", help.out);
    }
    for command in ["list", "tags", "inspect", "scan", "pull", "operations"] {
        let help = desk.run(&[command, "--help"]);
        assert!(help.data().contains("Example"), "{help:?}");
    }
    assert!(desk.run(&["--version"]).data().starts_with("regent "));
}
