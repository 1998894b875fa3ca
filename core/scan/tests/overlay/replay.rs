//! The view of random layers equals that of the simplest implementation there is: all files of all layers unpacked,
//! one layer over the other, and links followed on the result.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use regent_scan::{CapturedLayer, LayerSpec, Limits, MissingTarget, Overlay, capture_layer};

use super::archive::{Archive, layer, spec};

/// Wanted paths, all of which may be links, and others in reach of them.
const WANTED: [&str; 5] = [
    "/etc/os-release",
    "/usr/lib/os-release",
    "/lib/apk/db/installed",
    "/var/lib/dpkg/status",
    "/opt/java/openjdk/release",
];
const PATHS: [&str; 24] = [
    "/etc",
    "/etc/os-release",
    "/etc/x",
    "/usr",
    "/usr/lib",
    "/usr/lib/os-release",
    "/usr/lib/apk",
    "/usr/lib/apk/db/installed",
    "/lib",
    "/lib/apk",
    "/lib/apk/db",
    "/lib/apk/db/installed",
    "/var",
    "/var/lib",
    "/var/lib/dpkg",
    "/var/lib/dpkg/status",
    "/opt",
    "/opt/java",
    "/opt/java/openjdk",
    "/opt/java/openjdk/release",
    "/opt/dpkg",
    "/opt/dpkg/status",
    "/opt/status",
    "/x",
];
const TARGETS: [&str; 16] = [
    "/usr/lib",
    "usr/lib",
    "../usr/lib",
    "../lib",
    "x",
    "..",
    "/",
    "../usr/lib/os-release",
    "/etc/os-release",
    "/opt/dpkg",
    "../../opt/dpkg",
    "/opt/status",
    "../x/../lib",
    "status",
    "/lib/apk/../../etc",
    "/opt/java/openjdk",
];

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Directory,
    File(String),
    Symlink(&'static str),
}

#[derive(Debug, Clone)]
enum Op {
    Put(&'static str, Node),
    Whiteout(&'static str),
    Opaque(&'static str),
}

/// No path comes twice in a layer, in any order; whiteouts and markers anywhere between.
fn layer_ops() -> impl Strategy<Value = Vec<Op>> {
    let node = |path| {
        prop_oneof![
            2 => Just(Op::Put(path, Node::Directory)),
            4 => "[a-c]{1,3}".prop_map(move |text| Op::Put(path, Node::File(text))),
            3 => select(&TARGETS[..]).prop_map(move |target| Op::Put(path, Node::Symlink(target))),
        ]
    };
    let nodes = subsequence(&PATHS[..], 0..9)
        .prop_flat_map(move |paths| paths.into_iter().map(node).collect::<Vec<_>>());
    let mark =
        prop_oneof![select(&PATHS[..]).prop_map(Op::Whiteout), select(&PATHS[..]).prop_map(Op::Opaque),];
    (nodes, prop::collection::vec(mark, 0..3))
        .prop_map(|(nodes, marks)| nodes.into_iter().chain(marks).collect::<Vec<_>>())
        .prop_shuffle()
}

fn archive(ops: &[Op]) -> Vec<u8> {
    let put = |archive: Archive, op: &Op| match op {
        Op::Put(path, Node::Directory) => archive.directory(&format!(".{path}/")),
        Op::Put(path, Node::File(text)) => archive.file(path, text),
        Op::Put(path, Node::Symlink(target)) => archive.symlink(path, target),
        Op::Whiteout(path) => {
            let (directory, name) = path.rsplit_once('/').unwrap();
            archive.file(&format!("{directory}/.wh.{name}"), "")
        }
        Op::Opaque(path) => archive.file(&format!("{path}/.wh..wh..opq"), ""),
    };
    ops.iter().fold(Archive::new(), put).end()
}

type FileSystem = BTreeMap<String, Node>;

fn remove_below(files: &mut FileSystem, directory: &str) {
    files.retain(|path, _| !path.starts_with(&format!("{directory}/")));
}

fn put(files: &mut FileSystem, path: &str, node: &Node) {
    if *node != Node::Directory {
        remove_below(files, path);
    }
    files.insert(path.to_owned(), node.clone());
}

fn replay(layers: &[Vec<Op>]) -> FileSystem {
    let mut files = FileSystem::new();
    for ops in layers {
        let mut own = FileSystem::new();
        for op in ops {
            match op {
                Op::Put(path, node) => put(&mut own, path, node),
                Op::Whiteout(path) => {
                    files.remove(*path);
                    remove_below(&mut files, path);
                }
                Op::Opaque(path) => remove_below(&mut files, path),
            }
        }
        for (path, node) in &own {
            put(&mut files, path, node);
        }
    }
    files
}

/// The content at a path, links followed. An entry counts at its own path even where a link stands above it.
fn read(files: &FileSystem, path: &str, links_left: u32) -> Option<String> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let mut at: Vec<&str> = Vec::new();
    for (i, &name) in names.iter().enumerate() {
        if name == ".." {
            at.pop();
            continue;
        }
        at.push(name);
        let here = format!("/{}", at.join("/"));
        let rest = names[i + 1..].join("/");
        let literal = format!("{here}/{rest}");
        if !rest.is_empty() && matches!(files.get(&literal), Some(Node::File(_) | Node::Symlink(_))) {
            continue;
        }
        match files.get(&here) {
            Some(Node::File(text)) if rest.is_empty() => return Some(text.clone()),
            Some(Node::Symlink(target)) => {
                at.pop();
                let directory =
                    if target.starts_with('/') { String::new() } else { format!("/{}", at.join("/")) };
                return read(files, &format!("{directory}/{target}/{rest}"), links_left.checked_sub(1)?);
            }
            Some(Node::File(_) | Node::Directory) | None => {}
        }
    }
    None
}

fn merged(layers: &[Vec<Op>]) -> (Overlay, Vec<MissingTarget>) {
    let archives: Vec<Vec<u8>> = layers.iter().map(|ops| archive(ops)).collect();
    let mut captured: Vec<CapturedLayer> = archives.iter().map(|bytes| layer(bytes)).collect();
    let (_, missing) = Overlay::new(&captured, &Limits::default());
    for target in missing {
        let bytes = &archives[target.layer];
        let spec = LayerSpec { extra: target.paths, ..spec(bytes) };
        captured[target.layer] = capture_layer(&spec, &bytes[..], &Limits::default()).unwrap();
    }
    Overlay::new(&captured, &Limits::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_overlay_equals_a_naive_replay(layers in prop::collection::vec(layer_ops(), 1..5)) {
        let (overlay, missing) = merged(&layers);
        let files = replay(&layers);
        for path in WANTED {
            let expected = read(&files, path, 40);
            let content = overlay.content(path).map(|content| String::from_utf8(content.to_vec()).unwrap());
            prop_assert_eq!(content, expected, "{} in {:?}", path, files);
        }
        prop_assert!(missing.iter().all(|missing| missing.paths.paths().all(|path| !files.contains_key(path.as_str())
            || files[path.as_str()] == Node::Directory)), "{:?}", missing);
    }

    #[test]
    fn merging_twice_gives_the_same_view(layers in prop::collection::vec(layer_ops(), 1..4)) {
        let (first, second) = (merged(&layers), merged(&layers));
        prop_assert!(first.0.files().eq(second.0.files()));
        prop_assert_eq!(first.1, second.1);
    }
}
