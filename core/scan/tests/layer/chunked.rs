//! Layers read in parts: the same capture as of the whole layer, or none.

#[path = "chunked/build.rs"]
mod build;
#[path = "chunked/refused.rs"]
mod refused;

use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;
use regent_scan::{
    Capture, CapturedLayer, Distilled, EntryKind, Extra, GlobSet, Interest, LayerPath, LayerSpec, Limits,
    Overlay, Plan, TocPin, Unfit, capture_chunks, capture_layer,
};

use self::build::*;
use super::odd::kept;

const FORMATS: [Format; 5] = [
    Format::STARGZ,
    Format::Stargz { is_lossless: true, has_shared_members: false, has_legacy_footer: false },
    Format::Stargz { is_lossless: false, has_shared_members: true, has_legacy_footer: false },
    Format::Stargz { is_lossless: true, has_shared_members: false, has_legacy_footer: true },
    Format::ZstdChunked,
];

/// What no analyzer wants: half a MiB that makes a layer worth it.
fn filler(seed: u64) -> Node {
    file(&format!("srv/data-{seed}.bin"), noise(seed, 512 << 10))
}

fn part(bytes: &[u8], part: &Range<u64>) -> Vec<u8> {
    bytes[usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap()].to_vec()
}

/// The capture made of parts of these bytes, and how many of them were fetched.
fn in_parts(bytes: &[u8], spec: &LayerSpec, limits: &Limits) -> Result<(CapturedLayer, usize), Unfit> {
    let pin = TocPin::of(&spec.descriptor).expect("the manifest pins a table of contents");
    let first = part(bytes, &pin.first_part());
    let toc = [part(bytes, &pin.missing_part(&first)?), first].concat();
    let plan = Plan::new(spec, &pin, &toc, limits)?;
    let parts: Vec<u8> = plan.ranges().iter().flat_map(|range| part(bytes, range)).collect();
    Ok((capture_chunks(spec, plan, parts.as_slice(), limits)?, toc.len() + parts.len()))
}

/// Reads the layer both ways, and returns the capture, which is the same.
fn both(built: &Built, spec: &LayerSpec) -> Capture {
    let limits = Limits::default();
    let whole = capture_layer(spec, built.bytes.as_slice(), &limits).unwrap();
    let (in_parts, fetched_bytes) = in_parts(&built.bytes, spec, &limits).unwrap();
    assert_eq!(in_parts.digest(), whole.digest());
    assert_eq!(in_parts.capture(), whole.capture());
    assert!(fetched_bytes <= built.bytes.len() / 3, "{fetched_bytes} of {}", built.bytes.len());
    whole.capture().clone()
}

fn nodes() -> Vec<Node> {
    let status = "Package: bash\nVersion: 5.2\nStatus: install ok installed\n\n".repeat(400);
    vec![
        node("./", Kind::Directory),
        file(".prefetch.landmark", [15]),
        file("var/lib/dpkg/status", &status),
        file("./etc/os-release", "ID=debian\n"),
        filler(1),
        node("usr/bin/", Kind::Directory),
        program("usr/bin/node", noise(7, 5000)),
        program("usr/bin/app", go_program("example.org/first")),
        node("usr/bin/app-link", Kind::HardLink("usr/bin/app".to_owned())),
        node("usr/bin/nodejs", Kind::Symlink("node".to_owned())),
        file("usr/lib/libplugin.so.1", go_program("example.org/library")),
        filler(2),
        file("/app/package.json", "{\"name\": \"a\"}"),
        file("app/package-lock.json", [b"[".as_slice(), &vec![b' '; 3000], b"]"].concat()),
        file("app/requirements.txt", ""),
        node("app/.wh.gone", Kind::File(Vec::new())),
        file("app/lib/.wh..wh..opq", ""),
        node("run/pipe", Kind::Pipe),
        file("var/lib/rpm/Packages.db", [vec![0; 3000], noise(4, 500), vec![0; 5000]].concat()),
        file("app/package.json", "{\"name\": \"b\"}"),
        file("etc/hosts", "127.0.0.1"),
        node("etc/os-release", Kind::HardLink("usr/lib/os-release".to_owned())),
        filler(3),
    ]
}

#[test]
fn a_layer_read_in_parts_gives_the_capture_of_the_whole() {
    for format in FORMATS {
        for chunk_bytes in [700, 4 << 20] {
            let built = build(&nodes(), format, chunk_bytes);
            let capture = both(&built, &LayerSpec::new(built.descriptor.clone()));
            let content = |path: &str| kept(&capture, path).content.clone().unwrap();
            assert_eq!(content("/var/lib/dpkg/status").len(), 57 * 400, "{format:?}");
            assert_eq!(content("/app/package.json"), "{\"name\": \"b\"}");
            assert_eq!(content("/var/lib/rpm/Packages.db").len(), 8500);
            assert!(kept(&capture, "/usr/bin/node").sha256.is_some());
            for path in ["/usr/bin/app", "/usr/lib/libplugin.so.1"] {
                assert!(matches!(kept(&capture, path).distilled, Some(Distilled::Executable(_))), "{path}");
            }
            let kinds = |is: fn(&EntryKind) -> bool| capture.entries.iter().filter(|e| is(&e.kind)).count();
            assert_eq!(kinds(|kind| matches!(kind, EntryKind::HardLink(_))), 2);
            assert_eq!(kinds(|kind| matches!(kind, EntryKind::Symlink(_))), 1);
            assert_eq!(kinds(|kind| matches!(kind, EntryKind::Whiteout | EntryKind::Opaque)), 2);
        }
    }
}

#[test]
fn what_a_request_or_a_link_asks_for_is_fetched_as_well() {
    for format in FORMATS {
        let built = build(&nodes(), format, 4 << 20);
        let mut spec = LayerSpec::new(built.descriptor.clone());
        spec.extra = Extra::of_paths([LayerPath::new("/etc/hosts")]);
        let globs = GlobSet::new(&["**/*.txt".to_owned(), "**/*.json".to_owned()], &[]).unwrap();
        spec.interest = Arc::new(Interest { application_files: true, globs });
        let capture = both(&built, &spec);
        assert_eq!(kept(&capture, "/etc/hosts").content.as_deref(), Some(&b"127.0.0.1"[..]));
    }
}

#[test]
fn of_a_large_layer_little_is_fetched() {
    let mut nodes = nodes();
    nodes.extend((10..40).map(filler));
    for format in FORMATS {
        let built = build(&nodes, format, 4 << 20);
        let spec = LayerSpec::new(built.descriptor.clone());
        let (_, fetched_bytes) = in_parts(&built.bytes, &spec, &Limits::default()).unwrap();
        assert!(fetched_bytes * 20 < built.bytes.len(), "{fetched_bytes} of {}", built.bytes.len());
    }
}

#[test]
fn a_layer_that_fails_costs_its_image_nothing_and_one_that_is_read_costs_the_same() {
    let mut nodes = nodes();
    let mut archive = b"PK\x03\x04".to_vec();
    archive.resize(5 << 20, 0);
    nodes.insert(1, file("app/spooled.jar", archive));
    let built = build(&nodes, Format::STARGZ, 4 << 20);
    let mut spec = LayerSpec::new(built.descriptor.clone());
    let first = capture_layer(&spec, built.bytes.as_slice(), &Limits::default()).unwrap();
    // Its directory is missing, so that it is read as a whole, the second time.
    let (_, missing) = Overlay::new(&[first], &Limits::default());
    spec = LayerSpec { extra: missing[0].paths.clone(), ..LayerSpec::new(spec.descriptor) };
    let left = |spec: &LayerSpec| {
        let budget = &spec.budget.kept;
        (1..=budget.limit_bytes()).rev().find(|&n| budget.spend(n)).unwrap_or_default()
    };
    let mut damaged = built.bytes.clone();
    damaged[built.places["usr/bin/node"] + 100] ^= 1;
    assert!(in_parts(&damaged, &spec, &Limits::default()).is_err());
    assert_eq!(left(&spec), Limits::default().kept_image_bytes);
    assert!(spec.budget.spooled.spend(Limits::default().spooled_image_bytes));
    let again = || LayerSpec { extra: spec.extra.clone(), ..LayerSpec::new(spec.descriptor.clone()) };
    let (whole, parts) = (again(), again());
    capture_layer(&whole, built.bytes.as_slice(), &Limits::default()).unwrap();
    in_parts(&built.bytes, &parts, &Limits::default()).unwrap();
    assert_eq!(left(&whole), left(&parts));
    for spec in [whole, parts] {
        let spooled = &spec.budget.spooled;
        assert!(!spooled.spend(Limits::default().spooled_image_bytes - (5 << 20) + 1));
        assert!(spooled.spend(Limits::default().spooled_image_bytes - (5 << 20)));
    }
}

/// Some entry, at one of few names, so that they meet.
fn any_node() -> impl Strategy<Value = Node> {
    let names = prop::sample::select(vec![
        "var/lib/dpkg/status",
        "./var/lib/dpkg/info/a.list",
        "/etc/os-release",
        "etc",
        "etc/",
        "usr/bin/node",
        "usr/bin/tool",
        "usr/bin/tool.sh",
        "root/tool",
        "usr/lib/libx.so",
        "app/package.json",
        "app/.wh.package.json",
        "app/.wh..wh..opq",
        "app/x.jar",
        "a/../a/b",
        ".no.prefetch.landmark",
        "node_modules/b/package.json",
    ]);
    let content = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 1..40),
        (1_usize..4000).prop_map(|n| vec![0; n]),
        (1_usize..4000, any::<u64>()).prop_map(|(n, seed)| noise(seed, n)),
        Just(b"{\"name\": \"x\", \"version\": \"1.0.0\"}".to_vec()),
        Just(go_program("example.org/module")),
    ];
    let kind = prop_oneof![
        6 => content.prop_map(Kind::File),
        1 => Just(Kind::Directory),
        1 => Just(Kind::Symlink("../etc/os-release".to_owned())),
        1 => prop::sample::select(vec!["usr/bin/tool", "usr/bin/node", "./etc/os-release"])
            .prop_map(|target| Kind::HardLink(target.to_owned())),
        1 => Just(Kind::Pipe),
    ];
    let mode = prop::sample::select(vec![0o644_u32, 0o755, 0o600, 0o4711, 0o100_644, 0]);
    (names, kind, mode).prop_map(|(name, kind, mode)| Node { name: name.to_owned(), mode, kind })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_layer_gives_the_same_capture_both_ways(
        nodes in prop::collection::vec(any_node(), 0..24),
        places in prop::collection::vec(any::<prop::sample::Index>(), 3),
        format in prop::sample::select(FORMATS.to_vec()),
        chunk_bytes in prop::sample::select(vec![64_usize, 1000, 4 << 20]),
    ) {
        let mut nodes = nodes;
        for (seed, place) in places.iter().enumerate() {
            nodes.insert(place.index(nodes.len() + 1), filler(seed as u64));
        }
        let built = build(&nodes, format, chunk_bytes);
        let spec = LayerSpec::new(built.descriptor.clone());
        let whole = capture_layer(&spec, built.bytes.as_slice(), &Limits::default()).unwrap();
        match in_parts(&built.bytes, &spec, &Limits::default()) {
            Ok((layer, _)) => prop_assert_eq!(layer.capture(), whole.capture()),
            Err(Unfit::TooMuch { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
