//! What is broken, or meant to break something.

use std::path::Path;

use regent_oci::{Digest, MediaType};
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::testkit::Script;
use regent_plugin_api::transport::Class;
use regent_plugin_api::{BlobHandle, Outcome, Settings};
use serde_json::json;
use tar::EntryType;

use crate::connection::{connect, manifest, now, repository};
use crate::image::{Described as _, Layout, Tar, config, element, gzip, layer, on_disk, zstd};

fn docker() -> Vec<u8> {
    let json = json!([element("c.json", &["demo/app:v1"], &["a.tar"])]).to_string();
    Tar::new()
        .file("manifest.json", json)
        .file("c.json", config("linux/amd64", &[]))
        .file("a.tar", layer("x"))
        .bytes()
}

/// Class and code of what a file leads to when it is read as an archive.
fn failure(bytes: &[u8]) -> (Class, String) {
    let (_keep, path) = on_disk("x.tar", bytes);
    let error = manifest(&*connect("docker-archive", &path), "image", "latest").unwrap_err();
    (error.class(), error.code().to_owned())
}

#[test]
fn what_is_no_image_is_unsupported_and_the_error_says_what_was_looked_for() {
    let json = |text: &str| Tar::new().file("manifest.json", text).bytes();
    for (name, bytes) in [
        ("a tar of something else", Tar::new().file("hello.txt", "hi").bytes()),
        ("nothing", Vec::new()),
        ("an empty tar", Tar::new().bytes()),
        ("another manifest.json", json(r#"{"name": "web app"}"#)),
        ("no image", json("[]")),
        ("no configuration", json(r#"[{"Config": "c.json", "Layers": []}]"#)),
        ("a configuration outside", json(r#"[{"Config": "../../etc/passwd", "Layers": []}]"#)),
        (
            "no layer at all",
            Tar::new()
                .file("c.json", "{}")
                .file("manifest.json", r#"[{"Config": "c.json", "Layers": ["a.tar"]}]"#)
                .bytes(),
        ),
    ] {
        let (_keep, path) = on_disk("x.tar", &bytes);
        let driver = connect("kaniko-archive", &path);
        let error = manifest(&*driver, "image", "latest").unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Unsupported, "archive_unsupported"), "{name}");
        for part in ["unsupported archive type", "no docker archive", "no OCI archive", "no kaniko archive"] {
            assert!(error.message().contains(part), "{name}: {error}");
        }
        let validation = now(driver.validate()).unwrap();
        assert_eq!(validation.checks[1].outcome, Outcome::Failed, "{name}");
        assert!(validation.checks[1].detail.contains("unsupported archive type"));
    }
}

#[test]
fn truncated_and_damaged_archives_are_told_from_other_files() {
    let tar = docker();
    let packed = gzip(&tar);
    let mut flipped = tar.clone();
    flipped[512 + 512 + 3] ^= 1;
    let mut garbled = packed.clone();
    // The first block behind the header of ten bytes, of a type that deflate does not have.
    garbled[10] = 0xff;
    let truncated = (Class::Corrupt, "archive_truncated");
    let damaged = (Class::Corrupt, "archive_damaged");
    let rows = [
        ("within the last entry", tar[..tar.len() - 2048].to_vec(), truncated),
        ("within a header", tar[..1100].to_vec(), truncated),
        ("within gzip", packed[..packed.len() - 20].to_vec(), truncated),
        ("within zstd", zstd(&tar)[..60].to_vec(), truncated),
        ("a bit of a header", flipped, damaged),
        ("not gzip after all", garbled, damaged),
        ("text", b"hello ".repeat(500), damaged),
    ];
    for (name, bytes, (class, code)) in rows {
        assert_eq!(failure(&bytes), (class, code.to_owned()), "{name}");
    }
}

#[test]
fn limits_hold() {
    let tar = docker();
    let mut huge_pax = tar::Header::new_ustar();
    huge_pax.set_entry_type(EntryType::XHeader);
    huge_pax.set_size(2 << 20);
    huge_pax.set_cksum();
    let huge_pax = [huge_pax.as_bytes().to_vec(), vec![0; 2 << 20]].concat();
    let bomb = {
        // 200 MB of zeros in some kilobytes: allowed ratios are those of one compression.
        let zeros = vec![0; 200 << 20];
        gzip(&zstd(&zeros))
    };
    let layers: Vec<String> = (0..5000).map(|n| format!("{n}.tar")).collect();
    let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
    let json = json!([element("c.json", &[], &layers)]).to_string();
    let many_layers = Tar::new().file("manifest.json", json).file("c.json", "{}").bytes();
    let long_json = Tar::new().file("manifest.json", vec![b' '; (4 << 20) + 1]).bytes();
    let rows = [
        ("four compressions", gzip(&gzip(&gzip(&gzip(&tar))))),
        ("a pax header of 2 MiB", huge_pax),
        ("an archive bomb", bomb),
        ("5000 layers", many_layers),
        ("a manifest.json over 4 MiB", long_json),
    ];
    for (name, bytes) in rows {
        assert_eq!(failure(&bytes), (Class::Limit, "limit_exceeded".to_owned()), "{name}");
    }
}

#[test]
fn links_in_an_archive_lead_nowhere_else() {
    let rows = [
        ("a loop", "b.tar"),
        ("out of the archive", "../../../../etc/passwd"),
        ("an absolute path", "/etc/passwd"),
        ("nothing", "nothing.tar"),
    ];
    for (name, target) in rows {
        let json = json!([element("c.json", &[], &["a.tar", "b.tar"])]).to_string();
        let tar = Tar::new()
            .file("manifest.json", json)
            .file("c.json", config("linux/amd64", &[]))
            .file("a.tar", layer("x"))
            .link(EntryType::Symlink, "b.tar", target)
            .bytes();
        let (_keep, path) = on_disk("x.tar", &tar);
        let driver = connect("docker-archive", &path);
        let image = crate::connection::image(&*driver, "latest");
        let error = now(driver.open_blob(&repository("image"), &image.layers[1].digest)).unwrap_err();
        assert_eq!(error.code(), "layer_missing", "{name}");
    }
}

#[test]
fn indexes_that_nest_without_end_are_given_up() {
    let mut layout = Layout::new();
    let image = layout.image("linux/amd64", &[layer("x")]).on("linux/amd64");
    let mut chain = image.clone();
    let mut bush = image.clone();
    for _ in 0..20 {
        chain = layout.nested(&[chain]);
        bush = layout.nested(&[bush.clone(), bush, image.clone()]);
    }
    for deep in [chain, bush] {
        layout.index(&[deep]);
        let (_keep, path) = on_disk("x.tar", &layout.tar());
        let error = manifest(&*connect("oci-archive", &path), "image", "latest").unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Limit, "limit_exceeded"));
    }
}

#[test]
fn an_index_that_names_itself_ends() {
    // No one can make a digest loop; a blob with a wrong name can. It is refused as what it is.
    let mut layout = Layout::new();
    let nested = layout.nested(&[]);
    let looped = json!({"schemaVersion": 2, "manifests": [nested, nested]}).to_string();
    layout.replace(&nested, looped.as_bytes());
    layout.index(std::slice::from_ref(&nested));
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let error = manifest(&*connect("oci-archive", &path), "image", "latest").unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Corrupt, "digest_mismatch"));
}

#[test]
fn documents_that_are_none_are_refused_without_being_quoted() {
    for text in [
        "[]",
        "secret",
        r#"{"schemaVersion":2}"#,
        r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:../../x"}]}"#,
    ] {
        let mut layout = Layout::new();
        layout.files.insert("index.json".into(), text.as_bytes().to_vec());
        let (_keep, path) = on_disk("x.tar", &layout.tar());
        let error = manifest(&*connect("oci-archive", &path), "image", "latest").unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Corrupt, "document_invalid"), "{text}");
        assert!(!error.message().contains("secret"));
    }
}

#[test]
fn a_manifest_that_is_missing_is_absent() {
    let mut layout = Layout::new();
    let image = layout.image("linux/amd64", &[layer("x")]);
    layout.remove(&image);
    layout.index(&[image]);
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let error = manifest(&*connect("oci-archive", &path), "image", "latest").unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Absent, "manifest_missing"));
}

#[test]
fn handles_are_bounded_and_known() {
    let mut layout = Layout::new();
    let blob = layout.blob(MediaType::OCI_LAYER, b"content");
    let image = layout.image("linux/amd64", &[]);
    layout.index(&[image]);
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let driver = connect("oci-archive", &path);
    let open = || now(driver.open_blob(&repository("image"), &blob.digest));
    let handles: Vec<BlobHandle> = (0..256).map(|_| open().unwrap()).collect();
    let error = open().unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Limit, "too_many_open_blobs"));
    now(driver.close_blob(handles[7])).unwrap();
    let reopened = open().unwrap();
    assert!(!handles.contains(&reopened), "a handle is never given out twice");
    for error in [
        now(driver.read_blob(handles[7], 10)).unwrap_err(),
        now(driver.close_blob(BlobHandle(0))).unwrap_err(),
    ] {
        assert_eq!((error.class(), error.code()), (Class::Invalid, "blob_handle_unknown"));
    }
    assert_eq!(now(driver.read_blob(reopened, 0)).unwrap(), "c", "a read of nothing would look like the end");
    assert_eq!(now(driver.read_blob(reopened, usize::MAX)).unwrap(), "ontent");
    assert_eq!(now(driver.read_blob(reopened, 10)).unwrap(), "");
}

#[test]
fn a_blob_that_shrinks_while_it_is_read_is_no_end() {
    let root = tempfile::tempdir().unwrap();
    let mut layout = Layout::new();
    let blob = layout.blob(MediaType::OCI_LAYER, &[7; 1000]);
    let image = layout.image("linux/amd64", &[]);
    layout.index(&[image]).write(root.path());
    let driver = connect("oci-layout", root.path());
    let handle = now(driver.open_blob(&repository("image"), &blob.digest)).unwrap();
    std::fs::write(root.path().join(crate::image::path_of(&blob)), [7; 500]).unwrap();
    let error = now(driver.read_blob(handle, 1000)).unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Corrupt, "archive_truncated"));
}

#[test]
fn paths_that_do_not_fit_the_type_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let (_keep, file) = on_disk("x.tar", &docker());
    let gone = directory.path().join("gone");
    let rows: [(&str, &Path, Class, &str); 4] = [
        ("oci-layout", &gone, Class::Absent, "path_not_found"),
        ("docker-archive", &gone, Class::Absent, "path_not_found"),
        ("oci-layout", &file, Class::Invalid, "setting_invalid"),
        ("oci-archive", directory.path(), Class::Invalid, "setting_invalid"),
    ];
    for (kind, path, class, code) in rows {
        let driver = connect(kind, path);
        let error = now(driver.validate()).unwrap_err();
        assert_eq!((error.class(), error.code()), (class, code), "{kind} {}", path.display());
        assert_eq!(manifest(&*driver, "image", "latest").unwrap_err().code(), code);
    }
}

#[test]
fn settings_that_are_missing_or_unusable_are_refused() {
    for (kind, base, code) in [
        ("docker-archive", "", "setting_invalid"),
        ("docker-archive", "a\0b", "setting_invalid"),
        ("tarball", "/x", "unsupported"),
    ] {
        let settings = Settings::new(kind, [("registryBase".to_owned(), SecretString::from(base))], false);
        let error = regent_driver_local::DRIVER.connect(settings, Script::new().shared()).err().unwrap();
        assert_eq!(error.code(), code, "{kind} {base:?}");
    }
}

#[test]
fn other_digests_of_sha512_are_looked_for_under_their_own_name() {
    let mut layout = Layout::new();
    let image = layout.image("linux/amd64", &[]);
    let digest = Digest::of(regent_oci::Algorithm::Sha512, b"content");
    layout.files.insert(format!("blobs/sha512/{}", digest.hex()), b"content".to_vec());
    layout.index(&[image]);
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let driver = connect("oci-archive", &path);
    assert_eq!(crate::connection::bytes_of(&*driver, "image", &digest).unwrap(), b"content");
}
