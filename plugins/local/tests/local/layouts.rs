//! Layouts in directories.

use std::fs;
use std::os::unix::fs::symlink;

use futures_util::FutureExt as _;
use regent_oci::Digest;
use regent_plugin_api::testkit::contract;
use regent_plugin_api::transport::Class;
use regent_plugin_api::{Outcome, PageRequest};

use crate::connection::{blob, connect, image, manifest, now, repositories, repository, tags};
use crate::image::{Described as _, Layout, REF_NAME, layer, path_of};

const CONTAINERD: &str = "io.containerd.image.name";

fn tagged(name: &str) -> Layout {
    let mut layout = Layout::new();
    let image = layout.image("linux/amd64", &[layer(name)]).named(REF_NAME, name);
    layout.index(&[image]);
    layout
}

#[test]
fn every_layout_below_a_root_is_a_repository() {
    let root = tempfile::tempdir().unwrap();
    for name in ["app", "team/app", "team/tools/x", "Upper", "team/app/nested"] {
        tagged("v1").write(&root.path().join(name));
    }
    fs::create_dir_all(root.path().join("empty/dir")).unwrap();
    let driver = connect("oci-layout", root.path());
    // What is within a layout is its own affair.
    assert_eq!(repositories(&*driver), ["app", "team/app", "team/tools/x"]);
    assert_eq!(tags(&*driver, "team/app"), ["v1"]);
    assert!(manifest(&*driver, "team/tools/x", "v1").is_ok());
    assert!(manifest(&*driver, "team/tools/x", "latest").is_ok());
    for name in ["team", "empty/dir", "nothing", "image"] {
        let error = manifest(&*driver, name, "v1").unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Absent, "not_found"), "{name}");
    }
    let validation = now(driver.validate()).unwrap();
    let checks: Vec<_> = validation.checks.iter().map(|c| (c.name.as_str(), c.outcome)).collect();
    assert_eq!(checks, [("reached", Outcome::Passed), ("list", Outcome::Passed)]);
    assert!(validation.checks[1].detail.contains("1 more"), "{}", validation.checks[1].detail);
}

#[test]
fn the_driver_keeps_to_the_contract() {
    let root = tempfile::tempdir().unwrap();
    for name in ["app", "team/app"] {
        let mut layout = Layout::new();
        let images: Vec<_> = ["v1", "v2", "v3"]
            .iter()
            .map(|tag| layout.image("linux/amd64", &[layer(tag)]).named(REF_NAME, tag))
            .collect();
        layout.index(&images).write(&root.path().join(name));
    }
    let driver = connect("oci-layout", root.path());
    let description = regent_driver_local::DRIVER.description();
    assert!(description.serves_content());
    let breaches = contract(&*driver, &description).now_or_never().unwrap();
    assert_eq!(breaches, Vec::<String>::new());
}

#[test]
fn a_path_that_is_a_layout_is_one_repository() {
    let root = tempfile::tempdir().unwrap();
    let mut layout = Layout::new();
    let old = layout.image("linux/amd64", &[layer("old")]);
    let new = layout.image("linux/amd64", &[layer("new")]);
    let bare = layout.image("linux/amd64", &[layer("bare")]);
    layout.index(&[
        old.named(REF_NAME, "v1"),
        new.clone().named(CONTAINERD, "docker.io/team/app:v1").named(REF_NAME, "latest"),
        bare.clone(),
    ]);
    layout.write(root.path());
    let driver = connect("oci-layout", root.path());
    assert_eq!(repositories(&*driver), ["team/app"]);
    assert_eq!(tags(&*driver, "image"), ["latest", "v1"]);
    // Of two with one name it is the last; a tag `latest` that is there is not the whole; some have no name.
    for (reference, expected) in
        [("v1", &new.digest), ("latest", &new.digest), (bare.digest.as_str(), &bare.digest)]
    {
        assert_eq!(&manifest(&*driver, "team/app", reference).unwrap().digest, expected, "{reference}");
    }
    let details = now(driver.tag_details(&repository("image"), PageRequest::first())).unwrap();
    let sizes: Vec<_> = details.items.iter().map(|d| (d.tag.as_str(), &d.digest, d.size_bytes)).collect();
    let size = image(&*driver, "v1").size_bytes();
    assert_eq!(sizes, [("latest", &new.digest, Some(size)), ("v1", &new.digest, Some(size))]);
}

#[test]
fn layouts_of_other_versions_are_refused_by_name() {
    let marker = |version: &str| format!(r#"{{"imageLayoutVersion":"{version}","more":1}}"#).into_bytes();
    let mut future = tagged("v1");
    future.files.insert("oci-layout".into(), marker("2.0.0"));
    let mut draft = tagged("v1");
    draft.files.remove("index.json");
    draft.files.insert("refs/v1".into(), b"{}".to_vec());
    let mut empty = Layout::new();
    empty.files.insert("blobs/sha256/junk".into(), b"{}".to_vec());
    let mut current = tagged("v1");
    current.files.insert("oci-layout".into(), marker("1.1.0"));
    for (name, layout, part) in [
        ("future", future, Some("version other than 1")),
        ("draft", draft, Some("draft")),
        ("empty", empty, Some("holds no image layout")),
        ("current", current, None),
    ] {
        let root = tempfile::tempdir().unwrap();
        layout.write(root.path());
        let got = manifest(&*connect("oci-layout", root.path()), "image", "v1");
        match (got, part) {
            (Ok(_), None) => {}
            (Err(e), Some(part)) => {
                assert_eq!((e.class(), e.code()), (Class::Unsupported, "layout_unsupported"), "{name}");
                assert!(e.message().contains(part), "{name}: {e}");
            }
            (got, _) => panic!("{name}: {got:?}"),
        }
    }
}

#[test]
fn blobs_may_be_shared_by_links_within_the_root() {
    let root = tempfile::tempdir().unwrap();
    tagged("v1").write(&root.path().join("one"));
    tagged("v1").write(&root.path().join("two"));
    fs::remove_dir_all(root.path().join("two/blobs")).unwrap();
    symlink("../one/blobs", root.path().join("two/blobs")).unwrap();
    let driver = connect("oci-layout", root.path());
    let found = manifest(&*driver, "two", "v1").unwrap();
    let regent_oci::Document::Image(image) = found.document else { panic!("no image") };
    assert_eq!(blob(&*driver, "two", &image.layers[0]).unwrap(), layer("v1"));
}

#[test]
fn links_that_leave_the_root_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, b"secret").unwrap();
    tagged("v1").write(&outside.path().join("layout"));
    let root = tempfile::tempdir().unwrap();
    let layout = tagged("v1");
    layout.write(&root.path().join("app"));
    let digest = Digest::sha256(b"secret");
    let blobs = root.path().join("app/blobs/sha256");
    symlink(&secret, blobs.join(digest.hex())).unwrap();
    symlink(outside.path().join("layout"), root.path().join("linked")).unwrap();
    let driver = connect("oci-layout", root.path());
    assert_eq!(repositories(&*driver), ["app"]);
    let of_blob = now(driver.open_blob(&repository("app"), &digest)).unwrap_err();
    let of_layout = manifest(&*driver, "linked", "v1").unwrap_err();
    for error in [of_blob, of_layout] {
        assert_eq!((error.class(), error.code()), (Class::Refused, "path_outside_root"));
    }
    fs::remove_file(root.path().join("app/index.json")).unwrap();
    symlink(outside.path().join("layout/index.json"), root.path().join("app/index.json")).unwrap();
    assert_eq!(manifest(&*driver, "app", "v1").unwrap_err().code(), "path_outside_root");
}

#[test]
fn a_directory_of_the_wrong_digest_is_not_repaired() {
    let root = tempfile::tempdir().unwrap();
    let mut layout = Layout::new();
    let stored = layout.image("linux/amd64", &[layer("one")]);
    layout.index(std::slice::from_ref(&stored)).write(root.path());
    let path = root.path().join(path_of(&stored));
    let other = fs::read_to_string(&path).unwrap().replace("\"schemaVersion\":2", "\"schemaVersion\":2 ");
    fs::write(&path, other).unwrap();
    let error = manifest(&*connect("oci-layout", root.path()), "image", "latest").unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Corrupt, "digest_mismatch"));
}
