//! Images and layers that were scanned before, at a real registry: what is asked for, and that the results are the same.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regent_oci::Digest;
use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::{plugin_directory, regent};
use regent_tests::faults::{Fault, FaultyRegistry};
use regent_tests::image::{Compression, Flavor, Image, ImageBuilder, Layer};
use regent_tests::registry::{Auth, Registry};
use regent_tests::sink::Sink;
use rustix::process::Pid;
use serde_json::{Value, json};

/// What a session costs before its first request for content: the challenge, and its answer.
const LOGIN: [&str; 2] = ["GET /v2/", "GET /v2/"];
const HEAD: &str = "HEAD /v2/team/app/manifests/1";

struct Scene {
    upstream: Registry,
    proxy: FaultyRegistry,
    sink: Sink,
    plugins: tempfile::TempDir,
    data: tempfile::TempDir,
    connection: Connection,
    image: Image,
}

/// The results of a scan, its end, and what the registry was asked for.
struct Scanned {
    results: Vec<Value>,
    done: Value,
    requests: Vec<String>,
}

impl Scanned {
    fn assert_same(&self, other: &Self) {
        assert_eq!(self.done["status"], "succeeded", "{}", self.done);
        assert!(!self.results.is_empty());
        assert_eq!(self.results, other.results);
    }
}

fn image(layers: Vec<Layer>) -> Image {
    let builder = ImageBuilder::new(Flavor::Oci);
    layers.into_iter().fold(builder, |builder, layer| builder.layer(layer, Compression::Gzip)).build()
}

/// A base with a link to a file that no one asks for, so that its layer has to be read twice.
fn base() -> Layer {
    let release = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n";
    Layer::new()
        .file("opt/base/release", release)
        .symlink("etc/os-release", "/opt/base/release")
        .file("var/lib/dpkg/status", "Package: bash\nStatus: install ok installed\nVersion: 5.2.15-2+b2\n")
        .noise("opt", 1)
}

/// An application that depends on this version of a package.
fn application(version: &str) -> Layer {
    let package = json!({ "name": "app", "version": "1.0.0", "dependencies": { "six": "^1.0.0" } });
    let lock = json!({
        "name": "app", "version": "1.0.0", "lockfileVersion": 3,
        "packages": { "": package, "node_modules/six": { "version": version } },
    });
    Layer::new().file("app/package.json", package.to_string()).file("app/package-lock.json", lock.to_string())
}

impl Scene {
    async fn set() -> Self {
        let auth = Auth::Htpasswd { username: "robot".into(), password: "secret".into() };
        let upstream = Registry::start(auth).await;
        let proxy = FaultyRegistry::start(&upstream.authority()).await;
        let connection = Connection::new("oci-cr", &proxy.authority(), "robot", "secret");
        let (sink, plugins) = (Sink::start().await, plugin_directory(&["oci"]));
        let (data, image) = (tempfile::tempdir().unwrap(), image(vec![base(), application("1.2.3")]));
        let scene = Self { upstream, proxy, sink, plugins, data, connection, image };
        scene.push(&scene.image, "1").await;
        scene
    }

    async fn push(&self, image: &Image, tag: &str) {
        let authorization = self.upstream.authorization();
        image.push(&self.upstream.authority(), "team/app", tag, authorization.as_deref()).await;
    }

    fn captures(&self) -> PathBuf {
        self.data.path().join("captures")
    }

    /// A process on the scene's data directory.
    async fn agent(&self, settings: &[(&str, &str)]) -> Agent {
        let (authority, sink) = (self.proxy.authority(), self.sink.url());
        let mut environment = vec![
            ("REGENT_INSECURE_REGISTRIES", authority.as_str()),
            ("BROKER_CLIENT_URL", sink.as_str()),
            ("REGENT_DATA_DIR", self.data.path().to_str().unwrap()),
            // The machine of a test may have a full disk.
            ("REGENT_MIN_FREE_DISK", "1"),
        ];
        environment.extend(settings);
        Agent::start(self.plugins.path(), &environment).await
    }

    /// Scans by an agent of its own, which has ended when this returns.
    async fn scan_anew(&self, tag: &str) -> Scanned {
        let mut agent = self.agent(&[]).await;
        let scanned = self.scan(&agent, tag, &self.connection).await;
        agent.process().terminate().await;
        scanned
    }

    async fn scan(&self, agent: &Agent, tag: &str, connection: &Connection) -> Scanned {
        self.scan_with(agent, tag, connection, &json!({})).await
    }

    async fn scan_with(&self, agent: &Agent, tag: &str, connection: &Connection, options: &Value) -> Scanned {
        let n_before = self.proxy.seen().len();
        let image = format!("team/app:{tag}");
        let body = json!({ "image": image, "credentials": connection.0, "options": options });
        let accepted = agent.post("/scan", &body).await.expect(202);
        let operation = accepted["operationId"].as_str().unwrap();
        let done = self.sink.wait_for("/api/v2/import/done", operation).await.body;
        let of_scan = self.sink.received().into_iter().filter(|callback| {
            callback.path.ends_with("/result") && callback.body.to_string().contains(operation)
        });
        // Each result names its operation, which is another one for each scan.
        let results = of_scan.map(|callback| {
            let text = callback.body.to_string().replace(operation, "operation");
            serde_json::from_str(&text).unwrap()
        });
        let requests = self.proxy.seen().split_off(n_before).into_iter().map(|seen| seen.line);
        Scanned { results: results.collect(), done, requests: requests.collect() }
    }

    /// `regent scan` of the image, on the scene's data directory.
    fn command(&self, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(regent());
        command
            .args(["scan", "team/app:1", "--plain-http", "--format", "scan-result"])
            .env_clear()
            .env("HOME", self.data.path())
            .env("REGENT_PLUGIN_DIR", self.plugins.path())
            .env("REGENT_DATA_DIR", self.data.path())
            .env("REGENT_MIN_FREE_DISK", "1")
            .env("CR_TYPE", "oci-cr")
            .env("CR_BASE", self.proxy.authority())
            .env("CR_USERNAME", "robot")
            .env("CR_PASSWORD", "secret")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

fn blob(digest: &Digest) -> String {
    format!("GET /v2/team/app/blobs/{digest}")
}

/// Requests without regard to their order: layers are read side by side.
fn sorted(requests: &[String]) -> Vec<&str> {
    let mut lines: Vec<&str> = requests.iter().map(String::as_str).collect();
    lines.sort_unstable();
    lines
}

fn files(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_did_not_change_costs_one_head_also_for_the_next_process() {
    let scene = Scene::set().await;
    let mut agent = scene.agent(&[]).await;
    let first = scene.scan(&agent, "1", &scene.connection).await;
    let (base, application) = (&scene.image.layers[0], &scene.image.layers[1]);
    let manifest = "GET /v2/team/app/manifests/1".to_owned();
    let config = blob(&scene.image.config);
    // The base is read a second time for the link's target.
    let content = [manifest, config, blob(base), blob(base), blob(application)];
    let login = LOGIN.map(str::to_owned);
    assert_eq!(sorted(&first.requests), sorted(&[login.as_slice(), &content].concat()));

    let second = scene.scan(&agent, "1", &scene.connection).await;
    assert_eq!(second.requests, [HEAD]);
    second.assert_same(&first);
    agent.process().terminate().await;

    let third = scene.scan_anew("1").await;
    assert_eq!(third.requests, [LOGIN[0], LOGIN[1], HEAD]);
    third.assert_same(&first);
}

/// The scheduling policies (sched(7)) of a process's threads of that name. One that has just ended has none.
fn policies(process: Pid, name: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero())).unwrap();
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("stat")).ok());
    // proc_pid_stat(5): a number, the name in parentheses, and the policy as the 41st field.
    let policy = |stat: String| {
        let (start, fields) = stat.rsplit_once(") ").unwrap();
        let is_named_so = start.split_once(" (").unwrap().1 == name;
        is_named_so.then(|| fields.split(' ').nth(38).unwrap().to_owned())
    };
    stats.filter_map(policy).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_works_stands_behind_what_answers() {
    const NORMAL: &str = "0";
    const IDLE: &str = "5";
    let scene = Scene::set().await;
    let mut agent = scene.agent(&[]).await;
    let process = agent.process().pid();
    assert_eq!(policies(process, "operations"), [""; 0], "there is no operation yet");
    scene.scan(&agent, "1", &scene.connection).await;
    let operations = policies(process, "operations");
    assert!(!operations.is_empty() && operations.iter().all(|policy| policy == IDLE), "{operations:?}");
    let readers = policies(process, "reader");
    assert!(!readers.is_empty() && readers.iter().all(|policy| policy == IDLE), "{readers:?}");
    let answering = policies(process, "tokio-rt-worker");
    assert!(!answering.is_empty() && answering.iter().all(|policy| policy == NORMAL), "{answering:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_image_is_reported_as_it_is_asked_for_each_time() {
    let scene = Scene::set().await;
    scene.push(&scene.image, "other-tag").await;
    let agent = scene.agent(&[]).await;
    let first = scene.scan(&agent, "1", &scene.connection).await;
    let same = scene.scan(&agent, "other-tag", &scene.connection).await;
    let text = |scanned: &Scanned| Value::from(scanned.results.clone()).to_string();
    assert!(
        text(&same).contains("team/app:other-tag") && !text(&same).contains("team/app:1"),
        "{}",
        text(&same)
    );
    assert_eq!(text(&same).replace("other-tag", "1"), text(&first));

    let options = json!({ "exclude-app-vulns": "true" });
    let fewer = scene.scan_with(&agent, "1", &scene.connection, &options).await;
    assert!(fewer.results.len() < first.results.len(), "{}", text(&fewer));
    scene.scan(&agent, "1", &scene.connection).await.assert_same(&first);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_new_tag_on_a_known_base_the_new_layer_is_fetched_alone() {
    let scene = Scene::set().await;
    scene.scan_anew("1").await;
    let next = image(vec![base(), application("1.2.4")]);
    assert_eq!(next.layers[0], scene.image.layers[0]);
    scene.push(&next, "2").await;
    let scanned = scene.scan_anew("2").await;
    let manifest = "GET /v2/team/app/manifests/2".to_owned();
    let expected = [&LOGIN.map(str::to_owned)[..], &[manifest, blob(&next.config), blob(&next.layers[1])]];
    assert_eq!(sorted(&scanned.requests), sorted(&expected.concat()));
    assert!(
        scanned.results.iter().any(|result| result.to_string().contains("1.2.4")),
        "{:?}",
        scanned.results
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_noticed_and_what_they_had_is_read_again() {
    let scene = Scene::set().await;
    let first = scene.scan_anew("1").await;
    let damage = |change: fn(&mut Vec<u8>)| {
        for path in files(&scene.captures()) {
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(&path, bytes).unwrap();
        }
    };
    let changes: [fn(&mut Vec<u8>); 4] = [
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes.truncate(bytes.len() / 2),
        Vec::clear,
        |bytes| bytes.fill(b'x'),
    ];
    for change in changes {
        damage(change);
        let mut agent = scene.agent(&[]).await;
        let again = scene.scan(&agent, "1", &scene.connection).await;
        again.assert_same(&first);
        assert_eq!(sorted(&again.requests), sorted(&first.requests));
        let output = agent.output();
        assert!(output.contains("a file of the cache is damaged"), "{output}");
        agent.process().terminate().await;
        assert_eq!(
            scene.scan_anew("1").await.requests,
            [LOGIN[0], LOGIN[1], HEAD],
            "they were written again"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_may_not_read_an_image_gets_nothing_of_it_from_the_cache() {
    let scene = Scene::set().await;
    let agent = scene.agent(&[]).await;
    let known = scene.scan(&agent, "1", &scene.connection).await;
    assert_eq!(known.done["status"], "succeeded", "{}", known.done);
    let wrong = Connection::new("oci-cr", &scene.proxy.authority(), "robot", "wrong");
    let nobody = Connection::anonymous("oci-cr", &scene.proxy.authority());
    for (connection, code) in [(wrong, "credentials_rejected"), (nobody, "credentials_missing")] {
        let refused = scene.scan(&agent, "1", &connection).await;
        assert_eq!((&refused.results[..], refused.done["error"]["type"].as_str()), (&[][..], Some(code)));
    }
    // A right that was taken away.
    scene.proxy.break_with("/manifests/", usize::MAX, Fault::Status(403, Vec::new()));
    let refused = scene.scan(&agent, "1", &scene.connection).await;
    assert_eq!(refused.results, Vec::<Value>::new());
    assert_eq!(refused.done["status"], "failed", "{}", refused.done);
    assert_eq!(refused.requests.first().map(String::as_str), Some(HEAD));
    scene.proxy.mend();
    assert_eq!(scene.scan(&agent, "1", &scene.connection).await.requests, [HEAD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_a_directory_at_the_same_time() {
    let scene = Scene::set().await;
    let agent = scene.agent(&[]).await;
    let keeping = [("REGENT_CAPTURE_CACHE", "10000000")];
    let commands: Vec<_> = (0..4).map(|_| scene.command(&keeping).spawn().unwrap()).collect();
    let scanned = scene.scan(&agent, "1", &scene.connection).await;
    assert_eq!(scanned.done["status"], "succeeded", "{}", scanned.done);
    let outputs: Vec<_> = commands.into_iter().map(|command| command.wait_with_output().unwrap()).collect();
    for output in &outputs {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !errors.contains("cache"), "{errors}");
        assert_eq!(output.stdout, outputs[0].stdout);
    }
    assert!(!agent.output().contains("the cache"), "{}", agent.output());
    let n_before = scene.proxy.seen().len();
    let last = scene.command(&keeping).output().unwrap();
    assert_eq!(last.stdout, outputs[0].stdout);
    let requests: Vec<_> = scene.proxy.seen().split_off(n_before).into_iter().map(|seen| seen.line).collect();
    assert_eq!(requests, [LOGIN[0], LOGIN[1], HEAD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_leaves_nothing_on_the_disk_unless_it_is_told_to() {
    let scene = Scene::set().await;
    for (settings, is_there) in [
        (&[][..], false),
        (&[("REGENT_CAPTURE_CACHE", "0")], false),
        (&[("REGENT_CAPTURE_CACHE", "1000000")], true),
    ] {
        let output = scene.command(settings).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(scene.captures().exists(), is_there, "{settings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_stays_within_its_bounds() {
    const MAX_BYTES: u64 = 256 << 10;
    let scene = Scene::set().await;
    let max_bytes = MAX_BYTES.to_string();
    let mut agent = scene.agent(&[("REGENT_CAPTURE_CACHE", max_bytes.as_str())]).await;
    for number in 0..20 {
        // Each has a list of packages that does not compress to nothing.
        let layer = Layer::new().noise_text("var/lib/dpkg/status", (20 << 10) + number);
        scene.push(&image(vec![layer]), &format!("n{number}")).await;
        scene.scan(&agent, &format!("n{number}"), &scene.connection).await;
        let taken: u64 = files(&scene.captures())
            .iter()
            .filter_map(|file| file.metadata().ok())
            .map(|metadata| metadata.len().max(metadata.blocks() * 512))
            .sum();
        assert!(taken <= MAX_BYTES, "{taken} bytes after {number} images");
    }
    agent.process().terminate().await;
    assert!(files(&scene.captures()).len() > 10);
    let mut agent = scene.agent(&[("REGENT_CAPTURE_CACHE", max_bytes.as_str())]).await;
    let last = scene.scan(&agent, "n19", &scene.connection).await;
    assert_eq!(last.requests.len(), LOGIN.len() + 1, "{:?}", last.requests);
    let first = scene.scan(&agent, "n0", &scene.connection).await;
    assert!(first.requests.len() > 2, "it has left: {:?}", first.requests);
    agent.process().terminate().await;
}
