//! A store that can't be written or read: it is named, nothing is taken that can't be kept, and nothing is lost that was.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use regent_tests::disk::{Disk, overwrite};
use regent_tests::torture::{
    Expected, Failure, Installation, Member, Order, QueueKind, Replica, Scene, Stage,
};
use serde_json::Value;

/// The queue's file in the data directory.
const FILE: &str = "queue.redb";

struct Fixture {
    scene: Scene,
    installation: Installation,
    _plugins: tempfile::TempDir,
    n_scans: usize,
}

impl Fixture {
    /// One agent, not yet running.
    async fn set() -> Self {
        let (installation, plugins) = Installation::built();
        let stage = Stage {
            installation: &installation,
            queue: QueueKind::Embedded,
            replicas: 1,
            images: 6,
            seed: 1,
            failing_percent: 0,
            faults: &[],
            settings: &[],
        };
        let scene = Scene::set(stage).await;
        Self { scene, installation, _plugins: plugins, n_scans: 0 }
    }

    /// The agent's data are on this disk.
    fn is_on(&mut self, disk: &Disk) {
        let agent = self.scene.replicas.pop().unwrap();
        self.scene.replicas.push(agent.on(&disk.path(), disk.launcher()));
    }

    fn agent(&mut self) -> &mut Replica {
        &mut self.scene.replicas[0]
    }

    fn file(&self) -> PathBuf {
        self.scene.replicas[0].data().join(FILE)
    }

    /// Has scans accepted that will be under way for a while: their first callbacks are refused.
    async fn open_scans(&mut self, n: usize) {
        for _ in 0..n {
            let correlation = format!("scan-{}", self.n_scans);
            self.scene.sink.plan(&correlation, &[Failure::Status(503, Some(3))]);
            let Member { image, packages } = self.scene.fleet.member(self.n_scans).clone();
            self.n_scans += 1;
            self.scene.order(&Order::new("/scan", &image, &correlation), Expected::Packages(packages)).await;
        }
    }

    /// Asks for one scan, once. What is not taken is promised nothing.
    async fn ask(&mut self) -> (u16, Option<String>, Value) {
        let Member { image, packages } = self.scene.fleet.member(self.n_scans).clone();
        let correlation = format!("scan-{}", self.n_scans);
        self.n_scans += 1;
        let order = Order::new("/scan", &image, &correlation);
        let (status, retry_after, body) = self.scene.client.submit_once(&order).await;
        if status == 202 {
            let operation = body["operationId"].as_str().unwrap();
            self.scene.ledger.promise(operation, &correlation, Expected::Packages(packages));
        }
        (status, retry_after, body)
    }

    /// Asks until the answer is a refusal, which has to be one of these, and to say when to come again.
    async fn refused_with(&mut self, codes: &[&str]) {
        for _ in 0..200 {
            let (status, retry_after, body) = self.ask().await;
            if status == 202 {
                continue;
            }
            assert_eq!(status, 503, "{body}");
            assert!(codes.contains(&body["type"].as_str().unwrap()), "{body}");
            let seconds: u64 = retry_after.expect("a 503 says when to come again").parse().unwrap();
            assert!((1..=600).contains(&seconds), "{seconds}");
            return;
        }
        panic!("nothing was refused");
    }

    /// Waits until `/readiness` has this status: what was measured last is good for a moment.
    async fn readiness_is(&self, status: u16) {
        let url = format!("{}/readiness", self.scene.replicas[0].url());
        let http = regent_tests::http::client();
        let seen = async {
            while http.get(&url).send().await.unwrap().status() != status {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_mins(1), seen).await;
        in_time.unwrap_or_else(|_| panic!("/readiness never answers {status}"));
    }

    /// Starts the agent, which refuses to run and says so.
    async fn does_not_start(&mut self, more: &[(&str, &str)], says: &[&str]) {
        let before = self.agent().output().len();
        self.agent().start(more);
        let status = self.agent().ready_or_ended().await.expect("it can't run so");
        let said = self.agent().output().split_off(before);
        assert!(!status.success() && status.code().is_some(), "{status}: {said}");
        for word in says {
            assert!(said.contains(word), "{word} is not in: {said}");
        }
    }

    async fn starts(&mut self) {
        self.agent().start(&[]);
        self.agent().ready().await;
    }

    /// Everything that was accepted has arrived, and is right.
    async fn nothing_is_lost(&self) {
        self.scene.settle().await;
        let open = self.scene.unended().await;
        assert!(open.is_empty(), "{open:?}");
        let verdict = self.scene.judge().await;
        assert!(verdict.lost.is_empty() && verdict.wrong.is_empty(), "{verdict:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_nothing_more_and_loses_nothing() {
    let mut fixture = Fixture::set().await;
    let disk = Disk::in_memory(256).await;
    fixture.is_on(&disk);
    fixture.starts().await;
    fixture.open_scans(6).await;
    disk.fill();
    fixture.refused_with(&["disk_full", "queue_unwritable"]).await;
    fixture.readiness_is(503).await;
    disk.free();
    fixture.readiness_is(200).await;
    fixture.open_scans(3).await;
    fixture.nothing_is_lost().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_takes_nothing_more_and_loses_nothing() {
    let mut fixture = Fixture::set().await;
    let disk = Disk::in_file(96).await;
    fixture.is_on(&disk);
    fixture.starts().await;
    fixture.open_scans(6).await;
    disk.fail();
    fixture.refused_with(&["queue_unwritable"]).await;
    fixture.readiness_is(503).await;
    fixture.agent().kill();
    // Nor does one start there.
    let path = disk.path().display().to_string();
    fixture.does_not_start(&[], &[&path]).await;
    disk.replace();
    fixture.starts().await;
    fixture.open_scans(3).await;
    fixture.nothing_is_lost().await;
}

type Damage = fn(&Path);
/// What may become of a file.
const DAMAGES: [(&str, Damage); 4] = [
    ("is cut in half", |file| {
        let length = std::fs::metadata(file).unwrap().len();
        std::fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
    }),
    ("has another head", |file| overwrite(file, 0, &[0; 512])),
    ("is something else", |file| std::fs::write(file, noise(1, 1 << 16)).unwrap()),
    ("is noise behind its head", |file| {
        let length = usize::try_from(std::fs::metadata(file).unwrap().len()).unwrap();
        overwrite(file, 4096, &noise(2, length - 4096));
    }),
];

fn noise(seed: u64, n_bytes: usize) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..n_bytes).map(|_| random.random()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named_and_its_copy_goes_on() {
    let mut fixture = Fixture::set().await;
    fixture.starts().await;
    fixture.open_scans(6).await;
    fixture.agent().kill();
    let file = fixture.file();
    let whole = std::fs::read(&file).unwrap();
    for (what, damage) in DAMAGES {
        std::fs::write(&file, &whole).unwrap();
        damage(&file);
        let damaged = std::fs::read(&file).unwrap();
        fixture.does_not_start(&[], &[FILE]).await;
        assert_eq!(std::fs::read(&file).unwrap().len(), damaged.len(), "the file that {what} is left alone");
    }
    std::fs::write(&file, &whole).unwrap();
    fixture.starts().await;
    fixture.nothing_is_lost().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_are_found_or_do_not_matter() {
    let mut n_found = 0;
    for seed in 0..4 {
        let mut fixture = Fixture::set().await;
        fixture.starts().await;
        fixture.open_scans(6).await;
        fixture.agent().kill();
        let file = fixture.file();
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        let mut random = StdRng::seed_from_u64(seed);
        // Few enough that some fall where nothing is stored.
        for _ in 0..16 {
            let place = random.random_range(0..flipped.len());
            flipped[place] ^= 1 << random.random_range(0..8);
        }
        std::fs::write(&file, &flipped).unwrap();
        let before = fixture.agent().output().len();
        fixture.agent().start(&[]);
        if let Some(status) = fixture.agent().ready_or_ended().await {
            let said = fixture.agent().output().split_off(before);
            assert!(!status.success() && said.contains(FILE), "{status}: {said}");
            std::fs::write(&file, &whole).unwrap();
            fixture.starts().await;
            n_found += 1;
        }
        fixture.nothing_is_lost().await;
    }
    println!("{n_found} of 4 damaged files were refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_named_and_the_right_one_goes_on() {
    let keys =
        ["Zmlyc3Qta2V5LW9mLXRlc3RzLTMyLWJ5dGVzLWxvbmc=", "c2Vjb25kLWtleS1vZi10ZXN0cy0zMi1ieXRlcy1sb24="];
    let mut fixture = Fixture::set().await;
    let data = fixture.scene.replicas[0].data().to_owned();
    fixture.agent().start(&[("REGENT_SEAL_KEY", keys[0])]);
    fixture.agent().ready().await;
    fixture.open_scans(6).await;
    fixture.agent().kill();
    fixture.does_not_start(&[("REGENT_SEAL_KEY", keys[1])], &["key"]).await;
    assert!(data.join(FILE).is_file());
    fixture.agent().start(&[("REGENT_SEAL_KEY", keys[0])]);
    fixture.agent().ready().await;
    fixture.nothing_is_lost().await;
    for key in keys {
        assert!(!fixture.agent().output().contains(key), "a key is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_do_not_share_a_file() {
    let mut fixture = Fixture::set().await;
    fixture.starts().await;
    let data = fixture.scene.replicas[0].data().to_owned();
    let mut second = Replica::new(&fixture.installation, "second", &[]).on(&data, Vec::new());
    second.start(&[]);
    let status = second.ready_or_ended().await.expect("the file is the first one's");
    assert!(!status.success() && second.output().contains(FILE), "{status}: {}", second.output());
    fixture.open_scans(2).await;
    tokio::time::timeout(Duration::from_mins(3), fixture.nothing_is_lost()).await.unwrap();
}
