//! What a scan costs, side by side in one run with the floor program. `cargo xtask bench` builds and calls it.
//!
//! `bench REGENT FLOOR PLUGINS MEBIBYTES RUNS`. Whole processes, as the operating system accounts for them (GNU time).

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use regent_oci::{Descriptor, Digest, MediaType};
use regent_plugin_api::load::{FilePolicy, LibraryFile};
use regent_plugin_api::{DynDriver, PageRequest, Settings};
use regent_tests::http::client;
use regent_tests::image::{debian_layer, push_blob, push_manifest};
use regent_tests::process::{Process, free_port};
use regent_tests::registry::{Auth, Registry};
use serde_json::json;

const REPOSITORY: &str = "bench/image";
const LAYER_MEBIBYTES: usize = 50;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, regent, floor, plugins, mebibytes, runs] = arguments.as_slice() else {
        eprintln!("usage: bench REGENT FLOOR PLUGINS MEBIBYTES RUNS");
        std::process::exit(2);
    };
    let registry = Registry::start(Auth::None).await;
    let (stored, inflated) = push_image(&registry.authority(), mebibytes.parse().unwrap()).await;
    println!("image: {} MB compressed, {} MB unpacked", stored / 1_000_000, inflated / 1_000_000);
    side_by_side(&registry.authority(), regent, floor, plugins, runs.parse().unwrap());
    service(regent, plugins).await;
    libraries(Path::new(plugins));
    driver_call(Path::new(plugins)).await;
}

/// Pushes an image of about this compressed size: a small Debian base and layers of files that deflate to about 40 %,
/// as real ones do.
async fn push_image(registry: &str, mebibytes: usize) -> (u64, u64) {
    let (mut layers, mut diff_ids, mut stored, mut inflated) = (Vec::new(), Vec::new(), 0, 0);
    let mut tars = vec![debian_layer().build()];
    let n_layers = mebibytes.div_ceil(LAYER_MEBIBYTES);
    for i in 0..=n_layers {
        let tar = if i == 0 { tars.remove(0) } else { content(i as u64) };
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
        gzip.write_all(&tar).unwrap();
        let blob = gzip.finish().unwrap();
        stored += blob.len() as u64;
        inflated += tar.len() as u64;
        diff_ids.push(Digest::sha256(&tar).to_string());
        let descriptor = Descriptor::of(MediaType::OCI_LAYER_GZIP, &blob);
        push_blob(registry, REPOSITORY, &descriptor.digest, blob, None).await;
        layers.push(descriptor);
    }
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string().into_bytes();
    let descriptor = Descriptor::of(MediaType::OCI_CONFIG, &config);
    push_blob(registry, REPOSITORY, &descriptor.digest, config, None).await;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": descriptor, "layers": layers,
    });
    let manifest = manifest.to_string();
    push_manifest(registry, REPOSITORY, "1", MediaType::OCI_MANIFEST, manifest.as_bytes(), None).await;
    (stored, inflated)
}

/// A tar of some 125 MiB in files of 1 KiB to 1 MiB: words for the most part, noise for the rest.
fn content(seed: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ seed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words: Vec<Vec<u8>> = (0..2048)
        .map(|_| (0..3 + next() % 9).map(|_| b'a' + u8::try_from(next() % 26).unwrap()).collect())
        .collect();
    let mut tar = tar::Builder::new(Vec::new());
    let mut total = 0;
    let mut n = 0;
    while total < LAYER_MEBIBYTES * 5 / 2 * (1 << 20) {
        let size = 1 << (10 + next() % 11);
        let mut file = Vec::with_capacity(size + 16);
        let noise = next() % 4 == 0;
        while file.len() < size {
            if noise {
                file.extend_from_slice(&next().to_le_bytes());
            } else {
                file.extend_from_slice(&words[usize::try_from(next() % 2048).unwrap()]);
                file.push(b' ');
            }
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(file.len() as u64);
        header.set_mode(0o644);
        let path = format!("usr/share/layer-{seed}/directory-{}/file-{n}", n % 97);
        tar.append_data(&mut header, path, file.as_slice()).unwrap();
        total += file.len();
        n += 1;
    }
    tar.into_inner().unwrap()
}

#[derive(Clone, Copy)]
struct Run {
    wall: f64,
    cpu: f64,
    peak_mib: f64,
}

fn side_by_side(registry: &str, regent: &str, floor: &str, plugins: &str, runs: usize) {
    let scan = || {
        let mut command = Command::new("/usr/bin/time");
        command
            .args(["-f", "%e %U %S %M", regent, "scan", &format!("{REPOSITORY}:1"), "--registry", registry])
            .args(["--plain-http", "--format", "scan-result", "-o", "/dev/null"])
            .env("REGENT_PLUGIN_DIR", plugins);
        timed(&mut command)
    };
    let least = || {
        let mut command = Command::new("/usr/bin/time");
        command.args(["-f", "%e %U %S %M", floor, &format!("http://{registry}/v2/{REPOSITORY}"), "1"]);
        timed(&mut command)
    };
    // A warm-up each, then in turn, so that a machine that drifts does so for both.
    scan();
    least();
    let pairs: Vec<(Run, Run)> = (0..runs).map(|_| (scan(), least())).collect();
    println!("{:<26} {:>8} {:>8} {:>10}", "", "wall s", "CPU s", "peak MiB");
    for (name, pick) in [("regent scan", 0), ("floor", 1)] {
        let of = |f: fn(&Run) -> f64| {
            median(pairs.iter().map(|p| f(if pick == 0 { &p.0 } else { &p.1 })).collect())
        };
        println!("{name:<26} {:>8.2} {:>8.2} {:>10.1}", of(|r| r.wall), of(|r| r.cpu), of(|r| r.peak_mib));
    }
    let ratio = |f: fn(&Run) -> f64| median(pairs.iter().map(|(a, b)| f(a) / f(b)).collect());
    println!("{:<26} {:>8.2} {:>8.2}", "ratio, median of pairs", ratio(|r| r.wall), ratio(|r| r.cpu));
}

fn timed(command: &mut Command) -> Run {
    let output = command.output().expect("GNU time (Debian's package `time`) is installed");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let figures: Vec<f64> =
        text.trim().lines().last().unwrap().split(' ').map(|f| f.parse().unwrap()).collect();
    Run { wall: figures[0], cpu: figures[1] + figures[2], peak_mib: figures[3] / 1024.0 }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Cold start until the first answer, and memory when idle with every driver described.
async fn service(regent: &str, plugins: &str) {
    let data = tempfile::tempdir().unwrap();
    let mut starts = Vec::new();
    let mut resident = 0.0;
    for _ in 0..5 {
        let port = free_port();
        let mut command = Command::new(regent);
        command
            .arg("serve")
            .env("SNYK_PORT", port.to_string())
            .env("REGENT_LISTEN", "127.0.0.1")
            .env("REGENT_PLUGIN_DIR", plugins)
            .env("REGENT_DATA_DIR", data.path());
        let begin = Instant::now();
        let process = Process::start("regent", &mut command);
        let url = format!("http://127.0.0.1:{port}");
        while client().get(format!("{url}/healthcheck")).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        starts.push(begin.elapsed().as_secs_f64() * 1000.0);
        client().get(format!("{url}/drivers")).send().await.unwrap();
        let pid = process.pid().as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        resident = kib / 1024.0;
    }
    println!("cold start to first answer: {:.0} ms (median of 5)", median(starts));
    println!("resident when idle, all drivers indexed: {resident:.1} MiB");
}

fn libraries(plugins: &Path) {
    let mut files: Vec<_> = std::fs::read_dir(plugins).unwrap().map(|e| e.unwrap()).collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        let size = file.metadata().unwrap().len();
        println!("{}: {} KiB", file.file_name().to_string_lossy(), size.div_ceil(1024));
    }
}

/// The same call of the same driver, linked in and through the loaded library.
async fn driver_call(plugins: &Path) {
    const CALLS: u32 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    regent_tests::image::ImageBuilder::new(regent_tests::image::Flavor::Oci)
        .layer(debian_layer(), regent_tests::image::Compression::Gzip)
        .build()
        .write_layout(folder.path(), "1");
    let settings = || {
        let base = folder.path().to_str().unwrap().to_owned();
        Settings::new("oci-layout", [("registryBase".to_owned(), base.into())], false)
    };
    let services = || regent_plugin_api::testkit::Script::new().shared();
    let file =
        LibraryFile::read(&plugins.join("libregent_driver_local.so"), &FilePolicy::in_directory(plugins))
            .unwrap();
    let loaded = regent_plugin_api::load::load(&file).unwrap().connect(&settings(), services()).unwrap();
    let native = regent_driver_local::DRIVER.connect(settings(), services()).unwrap();
    let repository = "image".parse().unwrap();
    let measure = async |driver: &dyn DynDriver| {
        let begin = Instant::now();
        for _ in 0..CALLS {
            driver.tags(&repository, PageRequest::first()).await.unwrap();
        }
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
    };
    // Twice, the first for warmth.
    measure(&loaded).await;
    measure(&*native).await;
    let (through, within) = (measure(&loaded).await, measure(&*native).await);
    println!(
        "a page of tags from the local driver: {through:.2} µs through the library, {within:.2} µs linked in"
    );
}
