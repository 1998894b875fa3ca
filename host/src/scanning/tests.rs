use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use regent_oci::{Descriptor, MediaType, annotation};
use regent_scan::PackageFormat;
use regent_transport::Fault as _;
use secrecy::SecretString;

use super::*;
use crate::connection::Connection;
use crate::disk_cache::{DiskCache, DiskCacheConfig};
use crate::drivers::fixtures::{gate, shelf};
use crate::drivers::{Drivers, DriversConfig};
use crate::http::test_server::{TestServer, answer};
use crate::http::{HttpClient, HttpConfig};
use crate::nats::Nats;
use crate::nats::test_server::NatsServer;
use crate::seal::SealKeys;

const OS_RELEASE: &str = "ID=alpine\nVERSION_ID=3.20.1\nPRETTY_NAME=\"Alpine Linux v3.20\"\n";
const APK: &str =
    "P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\nP:zlib\nV:1.3.1-r1\nA:x86_64\no:zlib\nD:so:libc.musl\n\n";

#[derive(Clone, Copy)]
enum File {
    Text(&'static str, &'static str),
    Link(&'static str, &'static str),
}

fn layer(files: &[File]) -> Bytes {
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        match file {
            File::Text(path, text) => {
                header.set_size(text.len() as u64);
                tar.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
            File::Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    tar.into_inner().unwrap().into()
}

fn alpine() -> Bytes {
    layer(&[File::Text("etc/os-release", OS_RELEASE), File::Text("lib/apk/db/installed", APK)])
}

/// What a shelf's manifest says beyond the ordinary.
#[derive(Default)]
struct Said {
    media_type: Option<&'static str>,
    annotations: BTreeMap<&'static str, &'static str>,
    is_synthetic: bool,
    diff_ids: Vec<String>,
}

/// Puts an image of these layers on a shelf, as `app:1`.
fn shelve(name: &str, layers: &[Bytes], said: &Said) {
    let diff_ids = &said.diff_ids;
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}
    });
    let config = Bytes::from(config.to_string());
    let described = layers.iter().map(|l| {
        let mut descriptor = Descriptor::of(MediaType::OCI_LAYER, l);
        let annotations = said.annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        descriptor.annotations = annotations.collect();
        descriptor
    });
    let media_type = said.media_type.unwrap_or(MediaType::OCI_MANIFEST);
    let mut manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type,
        "config": Descriptor::of(MediaType::OCI_CONFIG, &config), "layers": described.collect::<Vec<_>>(),
    });
    if said.is_synthetic {
        manifest["annotations"] = serde_json::json!({annotation::SYNTHETIC: "true"});
    }
    let mut contents = shelf::Contents::default();
    contents.manifests.insert("1".to_owned(), (media_type, manifest.to_string().into()));
    for blob in layers.iter().chain([&config]) {
        contents.blobs.insert(Digest::sha256(blob), blob.clone());
    }
    shelf::put(name, contents);
}

pub(super) async fn registry(name: &str) -> Arc<Registry> {
    let http = HttpClient::new(&HttpConfig::default()).unwrap();
    let drivers = Drivers::with_native(DriversConfig::new(Vec::new()), http, &[shelf::DRIVER]);
    let fields = [("registryBase".to_owned(), SecretString::from(name))];
    drivers.open(&Connection::new("shelf", fields)).await.unwrap()
}

async fn scan(scanner: &Scanner, name: &str, limits: &ScanLimits) -> Result<ScannedImage, Error> {
    let image = "app:1".parse().unwrap();
    let registry = registry(name).await;
    let scanned = scanner.scan(&registry, &image, None, limits, &Arc::default(), &Silent).await;
    registry.validate().await.unwrap(); // behind the calls that give blobs back
    scanned
}

fn scanner() -> Scanner {
    Scanner::new(Scanner::DEFAULT_CAPTURES_BYTES)
}

fn packages(scanned: &ScannedImage) -> Vec<&str> {
    scanned.findings.packages.list.iter().map(|p| p.name.as_str()).collect()
}

#[tokio::test]
async fn an_image_is_read_and_analyzed_and_its_layers_are_read_once() {
    let upper = layer(&[File::Text("opt/note", "x")]);
    let bytes = (alpine().len() + upper.len()) as u64;
    shelve("once", &[alpine(), upper.clone(), upper], &Said::default());
    let scanner = scanner();
    let first = scan(&scanner, "once", &ScanLimits::default()).await.unwrap();
    assert_eq!(packages(&first), ["musl", "zlib"]);
    assert_eq!(first.findings.packages.format, PackageFormat::Apk);
    assert_eq!((first.cost.n_layers, first.cost.n_cached_layers, first.cost.fetched_bytes), (3, 0, bytes));
    assert_eq!(first.platform.as_ref().map(ToString::to_string).as_deref(), Some("linux/amd64"));

    let second = scan(&scanner, "once", &ScanLimits::default()).await.unwrap();
    assert_eq!((second.cost.n_cached_layers, second.cost.fetched_bytes), (2, 0));
    assert_eq!(second.findings, first.findings);
    assert_eq!(shelf::n_open("once"), 0);
}

#[tokio::test]
async fn scans_at_the_side_share_one_reading() {
    shelve("side", &[alpine()], &Said::default());
    let scanner = scanner();
    let limits = ScanLimits::default();
    let scans = (0..4).map(|_| scan(&scanner, "side", &limits));
    let done = futures_util::future::try_join_all(scans).await.unwrap();
    let fetched: u64 = done.iter().map(|s| s.cost.fetched_bytes).sum();
    assert_eq!(fetched, alpine().len() as u64);
}

#[tokio::test]
async fn a_link_to_a_file_that_no_one_asked_for_is_followed() {
    let files = [
        File::Text("opt/base/release", OS_RELEASE),
        File::Link("etc/os-release", "/opt/base/release"),
        File::Text("lib/apk/db/installed", APK),
    ];
    shelve("link", &[layer(&files)], &Said::default());
    let scanned = scan(&scanner(), "link", &ScanLimits::default()).await.unwrap();
    assert_eq!(scanned.findings.os.as_ref().map(|os| os.name.as_str()), Some("alpine"));
    assert_eq!(scanned.cost.fetched_bytes, 2 * layer(&files).len() as u64);
}

/// What is reported of a scan, in a word each.
#[derive(Default)]
struct Words(Mutex<Vec<&'static str>>);

impl Progress for Words {
    fn event(&self, event: ProgressEvent<'_>) {
        let word = match event {
            ProgressEvent::LayerDone { cached: true, .. } => "known",
            ProgressEvent::LayerDone { cached: false, .. } => "read",
            ProgressEvent::Analyzing => "analyzing",
            _ => return,
        };
        self.0.lock().unwrap().push(word);
    }
}

#[tokio::test]
async fn an_image_that_is_known_is_not_analyzed_again_unless_more_is_asked_of_it() {
    let (layer, config) = (alpine(), Bytes::from_static(br#"{"architecture":"amd64","os":"linux"}"#));
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST,
        "config": Descriptor::of(MediaType::OCI_CONFIG, &config),
        "layers": [Descriptor::of(MediaType::OCI_LAYER, &layer), Descriptor::of(MediaType::OCI_LAYER, &layer)],
    });
    let manifest = Bytes::from(manifest.to_string());
    let server = TestServer::plain(move |parts| {
        let path = parts.uri.path();
        let blob = if path.ends_with(Digest::sha256(&layer).as_str()) { &layer } else { &config };
        answer(200, if path.contains("/manifests/") { manifest.clone() } else { blob.clone() })
    })
    .await;
    let mut drivers = DriversConfig::new(Vec::new());
    drivers.insecure = crate::http::InsecureRegistries::all();
    let http = HttpClient::new(&HttpConfig::default()).unwrap();
    let drivers = Drivers::with_native(drivers, http, &[gate::DRIVER]);
    let fields = [("registryBase".to_owned(), SecretString::from(server.url("")))];
    let registry = drivers.open(&Connection::new("gate", fields)).await.unwrap();
    let (scanner, image) = (scanner(), "team/app:1".parse().unwrap());
    let (ordinary, more) = (Interest::default(), Interest { application_files: true, ..Interest::default() });
    let other_limits =
        ScanLimits { layer: Limits { entries: 1000, ..Limits::default() }, ..ScanLimits::default() };
    let rows = [
        (&ordinary, ScanLimits::default(), vec!["read", "analyzing"], 0),
        (&ordinary, ScanLimits::default(), vec!["known", "known"], 1),
        (&more, ScanLimits::default(), vec!["read", "analyzing"], 0),
        (&ordinary, other_limits, vec!["known", "analyzing"], 1),
    ];
    for (interest, limits, expected, n_cached) in rows {
        let words = Words::default();
        let interest = Arc::new(interest.clone());
        let scanned = scanner.scan(&registry, &image, None, &limits, &interest, &words).await.unwrap();
        assert_eq!(*words.0.lock().unwrap(), expected);
        assert_eq!(packages(&scanned), ["musl", "zlib"]);
        assert_eq!((scanned.cost.n_layers, scanned.cost.n_cached_layers), (2, n_cached));
    }
}

/// A scanner of a process that begins now, on this directory.
fn scanner_at(folder: &std::path::Path) -> (Scanner, DiskCache) {
    let cache = DiskCache::open(DiskCacheConfig {
        directory: folder.join("captures"),
        max_bytes: 1 << 20,
        max_age: Duration::from_hours(1),
        reserve_bytes: 0,
    });
    (scanner().sharing(Arc::new(DiskCaptures::new(cache.clone()))), cache)
}

#[tokio::test]
async fn layers_that_another_process_has_read_are_not_read_again_and_neither_for_links() {
    let linked = layer(&[
        File::Text("opt/base/release", OS_RELEASE),
        File::Link("etc/os-release", "/opt/base/release"),
        File::Text("lib/apk/db/installed", APK),
    ]);
    let folder = tempfile::tempdir().unwrap();
    shelve("kept", std::slice::from_ref(&linked), &Said::default());
    let (first, cache) = scanner_at(folder.path());
    let before = scan(&first, "kept", &ScanLimits::default()).await.unwrap();
    assert_eq!(before.cost.fetched_bytes, 2 * linked.len() as u64);
    cache.settle().await;
    let (second, _) = scanner_at(folder.path());
    let after = scan(&second, "kept", &ScanLimits::default()).await.unwrap();
    assert_eq!((after.cost.n_cached_layers, after.cost.fetched_bytes), (1, 0));
    assert_eq!(after.findings, before.findings);
    assert!(after.findings.os.is_some());
}

#[tokio::test]
async fn the_file_of_a_capture_that_was_changed_is_noticed_and_the_layer_read_again() {
    let folder = tempfile::tempdir().unwrap();
    shelve("tampered", &[alpine()], &Said::default());
    let (first, cache) = scanner_at(folder.path());
    let before = scan(&first, "tampered", &ScanLimits::default()).await.unwrap();
    cache.settle().await;
    for file in std::fs::read_dir(folder.path().join("captures")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let (second, _) = scanner_at(folder.path());
    let after = scan(&second, "tampered", &ScanLimits::default()).await.unwrap();
    assert_eq!(after.cost.fetched_bytes, alpine().len() as u64);
    assert_eq!(after.findings, before.findings);
}

#[tokio::test]
async fn an_image_above_the_limit_is_refused_before_a_layer_is_fetched() {
    shelve("large", &[alpine()], &Said::default());
    let limits = ScanLimits { max_image_bytes: alpine().len() as u64 - 1, ..ScanLimits::default() };
    let error = scan(&scanner(), "large", &limits).await.unwrap_err();
    assert_eq!(error.code(), "image_too_large");
    let sizes = format!("{} bytes, more than the {} allowed", alpine().len(), alpine().len() - 1);
    assert!(error.to_string().contains(&sizes), "{error}");
    let limits = ScanLimits { max_image_bytes: alpine().len() as u64, ..ScanLimits::default() };
    assert!(scan(&scanner(), "large", &limits).await.is_ok());
}

#[tokio::test]
async fn a_layer_that_is_not_what_the_manifest_names_ends_the_scan() {
    shelve("wrong", &[alpine()], &Said::default());
    let mut contents = shelf::get("wrong");
    let same_length = vec![0; alpine().len()];
    contents.blobs.insert(Digest::sha256(&alpine()), same_length.into());
    shelf::put("wrong", contents);
    let error = scan(&scanner(), "wrong", &ScanLimits::default()).await.unwrap_err();
    assert_eq!(error.code(), "digest_mismatch", "{error:?}");
    assert_eq!(shelf::n_open("wrong"), 0);
}

#[tokio::test]
async fn what_was_pulled_and_what_was_read_from_an_archive_are_named_as_results_expect() {
    let digest = Digest::sha256(&alpine());
    let (hex, own) = (format!("{}/layer.tar", digest.hex()), "abc/layer.tar".to_owned());
    let named = || BTreeMap::from([(annotation::LAYER_NAME, "abc/layer.tar")]);
    let rows = [
        ("pulled-oci", MediaType::OCI_MANIFEST, BTreeMap::new(), false, digest.to_string()),
        ("pulled-docker", MediaType::DOCKER_MANIFEST, BTreeMap::new(), false, hex),
        // Anyone may write an annotation into a registry.
        ("pulled-annotated", MediaType::OCI_MANIFEST, named(), false, digest.to_string()),
        ("read-docker", MediaType::DOCKER_MANIFEST, BTreeMap::new(), true, digest.to_string()),
        ("read-annotated", MediaType::OCI_MANIFEST, named(), true, own),
    ];
    for (name, media_type, annotations, annotated, expected) in rows {
        shelve(name, &[alpine()], &Said { media_type: Some(media_type), annotations, ..Said::default() });
        let image = "app:1".parse().unwrap();
        let mut resolved = registry(name).await.resolve(&image, None).await.unwrap();
        resolved.annotated = annotated;
        let scanned = scanned(&image, &resolved, Arc::default(), Cost::default());
        assert_eq!(scanned.facts.layers.0, [expected], "{name}");
        assert_eq!(scanned.digests.is_some(), !annotated, "{name}");
    }
}

#[tokio::test]
async fn what_an_archive_can_not_vouch_for_is_a_gap_and_made_up_digests_are_not_reported() {
    let right = Digest::sha256(&alpine()).to_string();
    let wrong = Digest::sha256(b"another").to_string();
    let rows = [
        ("vouched", annotation::VERIFY_DIFF_ID, right, None),
        ("changed", annotation::VERIFY_DIFF_ID, wrong.clone(), Some("diff_id_mismatch")),
        ("refuted", annotation::VERIFY_NOTHING, wrong, Some("digest_mismatch")),
    ];
    for (name, verify, diff_id, gap) in rows {
        let annotations = BTreeMap::from([(annotation::VERIFY, verify)]);
        let said = Said { annotations, is_synthetic: true, diff_ids: vec![diff_id], media_type: None };
        shelve(name, &[alpine()], &said);
        let scanned = scan(&scanner(), name, &ScanLimits::default()).await.unwrap();
        assert_eq!(packages(&scanned), ["musl", "zlib"], "{name}");
        assert_eq!(scanned.findings.gaps.first().map(|g| g.code), gap, "{name}");
        assert!(scanned.digests.is_none(), "{name}");
    }
}

#[tokio::test]
async fn a_scan_that_is_dropped_gives_its_blobs_back() {
    struct StopAtLayer(Mutex<Option<tokio::sync::oneshot::Sender<()>>>);
    impl Progress for StopAtLayer {
        fn event(&self, event: ProgressEvent<'_>) {
            if let ProgressEvent::LayerBytes { .. } = event
                && let Some(tell) = self.0.lock().unwrap().take()
            {
                tell.send(()).unwrap();
            }
        }
    }
    shelve("dropped", &[alpine()], &Said::default());
    let mut contents = shelf::get("dropped");
    contents.endless.push(Digest::sha256(&alpine()));
    shelf::put("dropped", contents);
    let registry = registry("dropped").await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let progress = StopAtLayer(Mutex::new(Some(tell)));
    let (scanner, image) = (scanner(), "app:1".parse().unwrap());
    let limits = ScanLimits::default();
    {
        let interest = Arc::default();
        let scan = scanner.scan(&registry, &image, None, &limits, &interest, &progress);
        tokio::select! {
            biased;
            told = told => told.unwrap(),
            _ = scan => panic!("it was to be dropped"),
        }
    }
    // The next call of the driver is behind the one that closes the blob.
    registry.validate().await.unwrap();
    assert_eq!(shelf::n_open("dropped"), 0);
}

#[tokio::test]
async fn a_report_is_made_of_it() {
    shelve("report", &[alpine()], &Said::default());
    let scanned = scan(&scanner(), "report", &ScanLimits::default()).await.unwrap();
    let name = ImageName { given: Some("app:1".to_owned()), archive: String::new() };
    let response = report(&scanned, &name, &Options::default()).unwrap();
    let json = serde_json::to_value(&response).unwrap();
    assert_eq!(json["scanResults"][0]["identity"]["type"], "apk");
    assert_eq!(json["scanResults"][0]["target"]["image"], "docker-image|app");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_share_captures_read_each_layer_once() {
    let upper = layer(&[File::Text("opt/note", "x")]);
    let bytes = (alpine().len() + upper.len()) as u64;
    shelve("fleet", &[alpine(), upper], &Said::default());
    let (server, keys) = (NatsServer::start().await, SealKeys::generate());
    let mut agents = Vec::new();
    for _ in 0..3 {
        let nats = Nats::connect(&server.settings("t")).await.unwrap();
        let captures = FleetCaptures::open(&nats, keys.clone(), 16 << 20).await.unwrap();
        agents.push(scanner().sharing(Arc::new(captures)));
    }
    let limits = ScanLimits::default();
    let scans = agents.iter().map(|agent| scan(agent, "fleet", &limits));
    let scanned = futures_util::future::try_join_all(scans).await.unwrap();
    assert_eq!(scanned.iter().map(|scanned| scanned.cost.fetched_bytes).sum::<u64>(), bytes);
    for other in &scanned[1..] {
        assert_eq!(other.findings, scanned[0].findings);
    }
    // What is asked for besides is nobody else's.
    let image = "app:1".parse().unwrap();
    let options = regent_report::Options::parse(
        serde_json::json!({"globsToFind": {"include": ["**/note"]}}).as_object().unwrap(),
    )
    .unwrap();
    let interest = Arc::new(options.interest());
    let registry = registry("fleet").await;
    let own = agents[0].scan(&registry, &image, None, &limits, &interest, &Silent).await.unwrap();
    assert_eq!(own.cost.fetched_bytes, bytes);
}
