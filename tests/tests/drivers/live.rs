//! Driver files that come, change and go under a running agent.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use regent_tests::agent::{Agent, Answer, Connection};
use regent_tests::artifacts::{driver_library, plugin_directory};
use serde_json::{Value, json};

const FILE: &str = "libfixture_echo.so";
/// The rate at which requests come in during an upgrade.
const EVERY: Duration = Duration::from_millis(5);

/// A connection of a tenant of its own, with more fields.
fn tenant(name: &str, more: &Value) -> Connection {
    let mut fields = json!({
        "type": "fixture-echo", "registryBase": "echo.example", "username": name, "repositories": "a/b", "tags": "1",
    });
    fields.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    Connection(fields)
}

/// An agent with the first version of the driver, loaded.
async fn agent_with_echo(plugins: &Path, environment: &[(&str, &str)]) -> Agent {
    let agent = Agent::start(plugins, environment).await;
    assert_eq!(agent.get("/list", &tenant("first", &json!({}))).await.expect(200), json!(["a/b"]));
    agent
}

/// Puts a file into its place as a whole.
fn put(bytes: &[u8], folder: &Path, file: &str) {
    let part = folder.join(format!("{file}.part"));
    fs::write(&part, bytes).unwrap();
    fs::set_permissions(&part, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(part, folder.join(file)).unwrap();
}

fn bytes_of(driver: &str) -> Vec<u8> {
    fs::read(driver_library(driver)).unwrap()
}

/// Versions of the driver with their state, and the reason.
async fn states(agent: &Agent) -> Vec<(String, String, String)> {
    let drivers = agent.get_with("/drivers", &[]).await.expect(200);
    let text = |driver: &Value, field: &str| driver[field].as_str().unwrap_or_default().to_owned();
    let each = drivers.as_array().unwrap().iter();
    each.map(|d| (text(d, "version"), text(d, "state"), text(d, "reason"))).collect()
}

/// Waits until a version is in a state, and returns the reason.
async fn wait_for(agent: &mut Agent, version: &str, state: &str) -> String {
    let mut reason = String::new();
    for _ in 0..600 {
        let now = states(agent).await;
        if let Some((_, _, why)) = now.iter().find(|(v, s, _)| v == version && s == state) {
            return why.clone();
        }
        reason = format!("{now:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("version {version:?} is not {state}: {reason}\n{}", agent.output())
}

async fn change(agent: &Agent, change: &str) -> u64 {
    let metrics = agent.get_with("/metrics", &[]).await.text;
    let name = format!("regent_driver_changes_total{{change=\"{change}\",driver=\"fixture-echo\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |n| n.parse().unwrap())
}

/// Requests at a steady rate until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Load {
    fn start(agent: &Agent) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = regent_tests::http::client();
        let url = format!("{}/list", agent.url());
        // Few of them, so that there are sessions that are used again, and ones that are opened.
        let tenants: Vec<String> = (0..20).map(|i| tenant(&format!("t{i}"), &json!({})).encoded()).collect();
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&answered));
        let task = tokio::spawn(async move {
            let mut calls = tokio::task::JoinSet::new();
            let mut tick = tokio::time::interval(EVERY);
            let mut failures = Vec::new();
            for i in 0.. {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                tick.tick().await;
                let credentials = tenants[i % tenants.len()].clone();
                let request = client.get(&url).header("x-cr-credentials", credentials);
                let counted = Arc::clone(&counted);
                calls.spawn(async move {
                    let answer = match request.send().await {
                        Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
                        Err(error) => (0, format!("{error:?}")),
                    };
                    counted.fetch_add(1, Ordering::SeqCst);
                    (answer.0 != 200).then(|| format!("{answer:?}"))
                });
                while let Some(done) = calls.try_join_next() {
                    failures.extend(done.unwrap());
                }
            }
            failures.extend(calls.join_all().await.into_iter().flatten());
            failures
        });
        Self { stop, answered, task }
    }

    /// Waits for so many more answers.
    async fn answers(&self, more: usize) {
        let from = self.answered.load(Ordering::SeqCst);
        while self.answered.load(Ordering::SeqCst) < from + more {
            assert!(!self.task.is_finished());
            tokio::time::sleep(EVERY).await;
        }
    }

    /// How many were answered, and what failed.
    async fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let failures = self.task.await.unwrap();
        (self.answered.load(Ordering::SeqCst), failures)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_is_upgraded_under_two_hundred_requests_a_second_and_none_fails() {
    upgrades_fail_no_request("thread").await;
}

pub(crate) async fn upgrades_fail_no_request(isolation: &str) {
    let plugins = plugin_directory(&["fixture-echo"]);
    let mut agent = agent_with_echo(plugins.path(), &[("REGENT_DRIVER_ISOLATION", isolation)]).await;
    let pid = async |agent: &Agent| agent.get_with("/drivers", &[]).await.expect(200)[0]["pid"].as_u64();
    let first = pid(&agent).await;
    assert_eq!(first.is_some(), isolation == "process");

    // A call that is under way, and goes on over the change.
    let hold = plugins.path().join("hold");
    fs::write(&hold, "").unwrap();
    let held = tenant("held", &json!({ "hold": hold, "farewell": "goodbye" }));
    let url = format!("{}/list", agent.url());
    let request = regent_tests::http::client().get(url).header("x-cr-credentials", held.encoded());
    let under_way = tokio::spawn(request.send());

    let load = Load::start(&agent);
    load.answers(100).await;
    for (driver, version) in
        [("fixture-echo-next", "0.2.0"), ("fixture-echo", "0.1.0"), ("fixture-echo-next", "0.2.0")]
    {
        put(&bytes_of(driver), plugins.path(), FILE);
        wait_for(&mut agent, version, "loaded").await;
        assert_eq!(states(&agent).await.len(), 1, "the old one is not listed any more");
        load.answers(50).await;
    }
    assert!(!under_way.is_finished());
    assert!(!agent.output().contains("goodbye"), "the old session lives as long as its call");
    fs::remove_file(hold).unwrap();
    let (answered, failures) = load.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "of {answered}");
    assert!(answered >= 250, "{answered}");
    let answer = under_way.await.unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, r#"["a/b"]"#.to_owned()));
    agent.process().wait_until_said("goodbye from 0.1.0").await;

    assert_eq!(change(&agent, "upgraded").await, 3);
    // The first version was there already when it came back.
    assert_eq!(agent.metric("regent_driver_libraries").await, 2);
    if let Some(first) = first {
        assert_ne!(pid(&agent).await, Some(first));
        let process = PathBuf::from(format!("/proc/{first}"));
        agent.process().wait_until("the old process has ended", async || !process.exists()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_upgrade_leaves_the_old_version_serving_and_says_so() {
    let plugins = plugin_directory(&["fixture-echo"]);
    let mut agent = agent_with_echo(plugins.path(), &[]).await;
    // A session that the next version would not take.
    let picky = tenant("picky", &json!({ "refusedBy": "0.2.0" }));
    assert_eq!(agent.get("/list", &picky).await.status, 200);
    let good = bytes_of("fixture-echo-next");
    let library = b"libc.so.6\0";
    let at = good.windows(library.len()).position(|w| w == library).expect("it needs the C library");
    let mut unlinkable = good.clone();
    unlinkable[at..at + 4].copy_from_slice(b"lost");
    // What is put in, whether in the old file's place, and a word of the reason.
    let rows: [(&[u8], bool, &str); 4] = [
        (b"this is no library", true, "not a shared library"),
        (&good[..good.len() / 2], true, "cut short"),
        (&unlinkable, true, "lost.so.6"),
        (&good, false, "refusedBy"),
    ];
    for (n, (bytes, in_its_place, words)) in (1..).zip(rows) {
        put(bytes, plugins.path(), if in_its_place { FILE } else { "next.so" });
        if in_its_place {
            let reason = wait_for(&mut agent, "0.1.0", "retained").await;
            agent.process().wait_until_said(words).await;
            assert!(reason.contains("refused"), "{reason}");
        } else {
            let reason = wait_for(&mut agent, "0.2.0", "refused").await;
            assert!(reason.contains(words), "{reason}");
        }
        for connection in [&picky, &tenant(&format!("new {n}"), &json!({}))] {
            assert_eq!(agent.get("/list", connection).await.expect(200), json!(["a/b"]), "{words}");
        }
        assert_eq!(change(&agent, "upgraded").await, 0);
        assert!(change(&agent, "refused").await >= n, "{words}");
        if in_its_place {
            // As it was: the next row is judged for itself.
            put(&bytes_of("fixture-echo"), plugins.path(), FILE);
            wait_for(&mut agent, "0.1.0", "loaded").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_overwritten_cut_or_written_slowly_harms_nothing() {
    let plugins = plugin_directory(&["fixture-echo"]);
    let path = plugins.path().join(FILE);
    let mut agent = agent_with_echo(plugins.path(), &[]).await;
    let load = Load::start(&agent);

    let zeros = vec![0; usize::try_from(fs::metadata(&path).unwrap().len()).unwrap()];
    fs::write(&path, zeros).unwrap();
    wait_for(&mut agent, "0.1.0", "retained").await;
    fs::File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
    load.answers(50).await;

    // In place and in pieces, as a copy over a slow line is.
    let next = bytes_of("fixture-echo-next");
    let mut file = fs::File::create(&path).unwrap();
    for piece in next.chunks(next.len() / 4 + 1) {
        std::io::Write::write_all(&mut file, piece).unwrap();
        load.answers(20).await;
        assert!(agent.process().ended().is_none(), "{}", agent.output());
    }
    drop(file);
    wait_for(&mut agent, "0.2.0", "loaded").await;
    load.answers(20).await;
    let (answered, failures) = load.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "of {answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_driver_serves_on_for_a_while_and_then_no_more_until_it_is_back() {
    let plugins = plugin_directory(&["fixture-echo", "fixture-twin-a"]);
    let path: PathBuf = plugins.path().join(FILE);
    let mut agent = agent_with_echo(
        plugins.path(),
        &[("REGENT_DRIVER_REMOVAL_GRACE", "2s"), ("REGENT_DRIVER_WATCH", "poll")],
    )
    .await;
    let list = async |agent: &Agent| -> Answer { agent.get("/list", &tenant("first", &json!({}))).await };

    fs::remove_file(&path).unwrap();
    let reason = wait_for(&mut agent, "0.1.0", "retained").await;
    assert!(reason.contains("removed"), "{reason}");
    // Whether the grace is over by now or not: it is told as one or the other.
    assert!([200, 422].contains(&list(&agent).await.status));
    agent.process().wait_until_said("the driver serves no more").await;
    assert_eq!(list(&agent).await.problem(422), "driver_unknown");
    assert_eq!(change(&agent, "removed").await, 1);

    put(&bytes_of("fixture-echo"), plugins.path(), FILE);
    wait_for(&mut agent, "0.1.0", "loaded").await;
    assert_eq!(list(&agent).await.expect(200), json!(["a/b"]));
}
