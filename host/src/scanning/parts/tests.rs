//! Images whose layers have a table of contents, at registries that do what they should and at others.

#[path = "../../../../core/scan/tests/layer/chunked/build.rs"]
mod build;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::request::Parts;
use regent_oci::{Digest, MediaType};
use regent_transport::Fault as _;
use secrecy::SecretString;

use self::build::{Built, Format, Kind, Node, build, build_with, file, go_program, node, noise, program};
use super::*;
use crate::connection::Connection;
use crate::drivers::fixtures::gate;
use crate::drivers::{Drivers, DriversConfig};
use crate::http::test_server::{TestBody, TestServer, answer};
use crate::http::{HttpClient, HttpConfig, InsecureRegistries};
use crate::scanning::{Error, ScanLimits, ScannedImage, Scanner, Silent};

const FORMATS: [Format; 2] = [Format::STARGZ, Format::ZstdChunked];

/// What a registry does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// It knows no ranges.
    NoRanges,
    /// It refuses them.
    RefusesRanges,
    /// The parts that it serves are others than those of the layer.
    Parts,
    /// All that it serves of the layer.
    Layer,
}

fn nodes() -> Vec<Node> {
    let status = "Package: bash\nVersion: 5.2\nStatus: install ok installed\n\n";
    let mut nodes = vec![
        file("var/lib/dpkg/status", status),
        node("etc/os-release", Kind::Symlink("../opt/release/os".to_owned())),
        node("usr/bin/", Kind::Directory),
        node("run/pipe", Kind::Pipe),
        program("usr/bin/tool", go_program("example.org/module")),
        node("usr/bin/second", Kind::HardLink("usr/bin/tool".to_owned())),
        program("usr/bin/node", noise(1, 3000)),
    ];
    nodes.extend((2..12).map(|seed| file(&format!("srv/{seed}.bin"), noise(seed, 500 << 10))));
    nodes.insert(12, file("opt/release/os", "ID=debian\nVERSION_ID=\"12\"\n"));
    nodes
}

/// An image of one layer, as a registry has it.
fn blobs_of(built: &Built) -> BTreeMap<String, (&'static str, Vec<u8>)> {
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let mut plain = built.descriptor.clone();
    plain.annotations.clear();
    let manifest = |layer: &Descriptor| {
        let config = Descriptor::of(MediaType::OCI_CONFIG, config);
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": [layer],
        });
        (MediaType::OCI_MANIFEST, manifest.to_string().into_bytes())
    };
    BTreeMap::from([
        ("1".to_owned(), manifest(&built.descriptor)),
        ("plain".to_owned(), manifest(&plain)),
        (Digest::sha256(config).to_string(), ("application/octet-stream", config.to_vec())),
        (built.descriptor.digest.to_string(), ("application/octet-stream", built.bytes.clone())),
    ])
}

async fn serve(built: &Built, wrong: Wrong) -> TestServer {
    let (blobs, layer, place) =
        (blobs_of(built), built.descriptor.digest.to_string(), built.places["usr/bin/node"] + 100);
    TestServer::plain(move |request| {
        let name = request.uri.path().rsplit('/').next().unwrap_or_default();
        let Some((media_type, content)) = blobs.get(name) else { return answer(404, "") };
        let mut content = content.clone();
        let range = range(request, content.len()).filter(|_| name == layer);
        if name == layer && (wrong == Wrong::Layer || (wrong == Wrong::Parts && range.is_some())) {
            content[place] ^= 1;
        }
        match range {
            Some(_) if wrong == Wrong::RefusesRanges => answer(416, ""),
            Some((first, last)) if wrong != Wrong::NoRanges => {
                let mut part = answer(206, content[first..=last].to_vec());
                let told = format!("bytes {first}-{last}/{}", content.len());
                part.headers_mut().insert(CONTENT_RANGE, told.parse().unwrap());
                part
            }
            _ => of_type(answer(200, content), media_type),
        }
    })
    .await
}

fn of_type(mut answer: http::Response<TestBody>, media_type: &'static str) -> http::Response<TestBody> {
    answer.headers_mut().insert(CONTENT_TYPE, media_type.parse().unwrap());
    answer
}

fn range(request: &Parts, length: usize) -> Option<(usize, usize)> {
    let (first, last) =
        request.headers.get(RANGE)?.to_str().unwrap().strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().unwrap(), last.parse().map_or(length - 1, |last: usize| last.min(length - 1))))
}

async fn scan(server: &TestServer, scanner: &Scanner, tag: &str) -> Result<ScannedImage, Error> {
    let mut config = DriversConfig::new(Vec::new());
    config.insecure = InsecureRegistries::all();
    let http = HttpClient::new(&HttpConfig::default()).unwrap();
    let drivers = Drivers::with_native(config, http, &[gate::DRIVER]);
    let fields = [("registryBase".to_owned(), SecretString::from(server.url("")))];
    let registry = drivers.open(&Connection::new("gate", fields)).await.unwrap();
    let image = format!("team/app:{tag}").parse().unwrap();
    scanner.scan(&registry, &image, None, &ScanLimits::default(), &Arc::default(), &Silent).await
}

fn scanner() -> Scanner {
    Scanner::new(Scanner::DEFAULT_CAPTURES_BYTES)
}

#[tokio::test]
async fn of_a_large_layer_little_is_fetched_and_all_is_found() {
    for format in FORMATS {
        let built = build(&nodes(), format, 4 << 20);
        let server = serve(&built, Wrong::Nothing).await;
        let scanner = scanner();
        let in_parts = scan(&server, &scanner, "1").await.unwrap();
        let whole = scan(&server, &self::scanner().reading_parts(false), "1").await.unwrap();
        let layer_bytes = built.bytes.len() as u64;
        assert_eq!(in_parts.findings, whole.findings);
        assert_eq!(in_parts.findings.packages.list.len(), 1);
        assert_eq!(in_parts.findings.os.as_ref().map(|os| os.name.as_str()), Some("debian"));
        assert_eq!(in_parts.findings.applications.len(), 1);
        assert_eq!(in_parts.findings.key_binaries.len(), 1);
        // Twice each, since a link leads to a file that no one asked for at first.
        assert_eq!(whole.cost.fetched_bytes, 2 * layer_bytes);
        let fetched_bytes = in_parts.cost.fetched_bytes;
        assert!(fetched_bytes * 20 < layer_bytes, "{fetched_bytes} of {layer_bytes}");
        let again = scan(&server, &scanner, "1").await.unwrap();
        assert_eq!((again.cost.n_cached_layers, again.findings), (1, in_parts.findings));
    }
}

#[tokio::test]
async fn what_a_registry_does_wrong_costs_bytes_and_no_finding() {
    for wrong in [Wrong::NoRanges, Wrong::RefusesRanges, Wrong::Parts] {
        for format in FORMATS {
            let built = build(&nodes(), format, 4 << 20);
            let expected = scan(&serve(&built, Wrong::Nothing).await, &scanner(), "1").await.unwrap();
            let scanned = scan(&serve(&built, wrong).await, &scanner(), "1").await.unwrap();
            assert_eq!(scanned.findings, expected.findings, "{wrong:?}");
            assert!(scanned.cost.fetched_bytes >= 2 * built.bytes.len() as u64, "{wrong:?}");
        }
    }
}

#[tokio::test]
async fn a_layer_that_is_wrong_in_parts_and_as_a_whole_ends_the_scan() {
    for format in FORMATS {
        let server = serve(&build(&nodes(), format, 4 << 20), Wrong::Layer).await;
        assert_eq!(scan(&server, &scanner(), "1").await.unwrap_err().code(), "digest_mismatch");
    }
}

#[tokio::test]
async fn a_pin_that_lies_is_not_believed() {
    for format in FORMATS {
        let honest = build(&nodes(), format, 4 << 20);
        let expected = scan(&serve(&honest, Wrong::Nothing).await, &scanner(), "1").await.unwrap();
        // A table of contents of another digest than the manifest's, and one that is pinned and says what is not so.
        let mut unpinned = honest.clone();
        for (name, value) in &mut unpinned.descriptor.annotations {
            if !name.ends_with("position") {
                *value = Digest::sha256(b"other").to_string();
            }
        }
        let lying = build_with(&nodes(), format, 4 << 20, |entries| {
            let node = entries.iter_mut().find(|entry| entry["name"] == "usr/bin/node").unwrap();
            let wrong = Digest::sha256(b"other").to_string();
            node["digest"] = wrong.as_str().into();
            node["chunkDigest"] = wrong.as_str().into();
        });
        for built in [unpinned, lying] {
            let scanned = scan(&serve(&built, Wrong::Nothing).await, &scanner(), "1").await.unwrap();
            assert_eq!(scanned.findings.packages, expected.findings.packages);
            assert_eq!(scanned.findings.key_binaries, expected.findings.key_binaries);
            assert!(scanned.cost.fetched_bytes >= 2 * built.bytes.len() as u64);
        }
    }
}

#[tokio::test]
async fn what_was_made_of_parts_is_for_manifests_with_the_same_pin_alone() {
    let built = build(&nodes(), Format::STARGZ, 4 << 20);
    let server = serve(&built, Wrong::Nothing).await;
    let scanner = scanner();
    for (tag, n_cached) in [("1", 0), ("1", 1), ("plain", 0), ("plain", 1), ("1", 1)] {
        let scanned = scan(&server, &scanner, tag).await.unwrap();
        assert_eq!(scanned.cost.n_cached_layers, n_cached, "{tag}");
    }
}

#[test]
fn large_ranges_are_cut_and_nothing_is_lost() {
    let ranges = [5..6, 10..10 + 2 * PIECE_BYTES, 9 * PIECE_BYTES..10 * PIECE_BYTES + 1];
    let expected = [
        5..6,
        10..10 + PIECE_BYTES,
        10 + PIECE_BYTES..10 + 2 * PIECE_BYTES,
        9 * PIECE_BYTES..10 * PIECE_BYTES,
        10 * PIECE_BYTES..10 * PIECE_BYTES + 1,
    ];
    assert_eq!(pieces(&ranges), expected);
}
