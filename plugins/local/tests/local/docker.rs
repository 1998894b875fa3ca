//! Archives of `docker save` and kaniko.

use regent_oci::{Descriptor, Digest, MediaType, annotation};
use regent_plugin_api::transport::Class;
use serde_json::json;
use tar::EntryType;

use crate::connection::{blob, connect, image, manifest, now, repositories, repository, tags};
use crate::image::{Tar, config, element, gzip, layer, on_disk, zlib, zstd};

struct Archive {
    tar: Vec<u8>,
    config: Vec<u8>,
    layers: [Vec<u8>; 2],
}

fn archive() -> Archive {
    let layers = [layer("one"), layer("two")];
    let diff_ids: Vec<String> = layers.iter().map(|l| Digest::sha256(l).to_string()).collect();
    let config = config("linux/amd64", &diff_ids);
    let name = format!("{}.json", Digest::sha256(&config).hex());
    let json = json!([element(&name, &["demo/app:v1", "demo/app:v2"], &["./aa/layer.tar", "bb/layer.tar"])]);
    let tar = Tar::new()
        .file("aa/layer.tar", &layers[0])
        .file("bb/layer.tar", &layers[1])
        .file(&name, &config)
        .file("manifest.json", json.to_string())
        .bytes();
    Archive { tar, config, layers }
}

fn named(descriptor: &Descriptor, key: &str) -> Option<String> {
    descriptor.annotations.get(key).cloned()
}

#[test]
fn a_docker_archive_is_an_image_with_the_archives_own_names() {
    let archive = archive();
    let (_keep, path) = on_disk("app.tar", &archive.tar);
    let driver = connect("docker-archive", &path);
    let image = image(&*driver, "latest");
    assert!(image.media_type.as_ref().unwrap().is_docker());
    assert_eq!(image.annotations.get(annotation::SYNTHETIC).unwrap(), "true");
    assert_eq!(blob(&*driver, "image", &image.config).unwrap(), archive.config);
    assert_eq!(named(&image.config, annotation::IMAGE_ID).unwrap(), Digest::sha256(&archive.config).as_str());
    for (layer, (name, bytes)) in
        image.layers.iter().zip([("aa/layer.tar", &archive.layers[0]), ("bb/layer.tar", &archive.layers[1])])
    {
        assert_eq!(named(layer, annotation::LAYER_NAME).unwrap(), name);
        assert_eq!(named(layer, annotation::VERIFY), None, "the diff ID is the digest");
        assert_eq!(&blob(&*driver, "image", layer).unwrap(), bytes);
    }
}

#[test]
fn archives_compressed_as_a_whole_read_the_same() {
    let tar = archive().tar;
    let plain = on_disk("app.tar", &tar);
    let expected = image(&*connect("docker-archive", &plain.1), "latest");
    let rows = [
        ("gzip", gzip(&tar)),
        ("zlib", zlib(&tar)),
        ("zstd", zstd(&tar)),
        ("gzip in gzip", gzip(&gzip(&tar))),
        ("three deep", zstd(&gzip(&zlib(&tar)))),
        ("gzip members", [gzip(&tar[..700]), gzip(&tar[700..])].concat()),
        ("zstd frames", [zstd(&tar[..700]), zstd(&tar[700..])].concat()),
    ];
    for (name, bytes) in rows {
        let (_keep, path) = on_disk("app.bin", &bytes);
        let driver = connect("docker-archive", &path);
        assert_eq!(image(&*driver, "latest"), expected, "{name}");
        blob(&*driver, "image", &expected.layers[1]).unwrap();
    }
}

#[test]
fn names_come_from_repo_tags_and_latest_is_the_image() {
    let (_keep, path) = on_disk("app.tar", &archive().tar);
    let driver = connect("docker-archive", &path);
    assert_eq!(repositories(&*driver), ["demo/app"]);
    assert_eq!(tags(&*driver, "image"), ["v1", "v2"]);
    let latest = manifest(&*driver, "image", "latest").unwrap();
    for (name, reference) in
        [("demo/app", "v2"), ("image", "v1"), ("some/other", "latest"), ("image", latest.digest.as_str())]
    {
        assert_eq!(manifest(&*driver, name, reference).unwrap().raw, latest.raw, "{name} {reference}");
    }
    let error = manifest(&*driver, "image", "v3").unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Absent, "not_found"));
    let unknown = manifest(&*driver, "image", Digest::sha256(b"?").as_str()).unwrap_err();
    assert_eq!((unknown.class(), unknown.code()), (Class::Absent, "manifest_missing"));
    let page = regent_plugin_api::PageRequest { size: 1, after: None };
    let details = now(driver.tag_details(&repository("image"), page)).unwrap();
    assert_eq!(details.items[0].digest, latest.digest);
    assert_eq!((details.items[0].pushed, details.next.unwrap().0), (None, "v1".to_owned()));
}

#[test]
fn an_archive_without_tags_is_named_by_its_file() {
    let config = config("linux/amd64", &[]);
    let json = json!([{"Config": "c.json", "RepoTags": null, "Layers": ["l.tar"]}]).to_string();
    let tar =
        Tar::new().file("l.tar", layer("x")).file("c.json", &config).file("manifest.json", json).bytes();
    let (_keep, path) = on_disk("My App_1.0.tar", &tar);
    let driver = connect("docker-archive", &path);
    assert_eq!(repositories(&*driver), ["my-app_1.0"]);
    assert_eq!(tags(&*driver, "my-app_1.0"), ["latest"]);
}

#[test]
fn the_configuration_is_the_file_that_the_manifest_names() {
    let (good, bad) = (config("linux/arm64", &[]), config("linux/amd64", &[]));
    let decoy = format!("{}.json", "ab".repeat(32));
    let json = json!([element("config.json", &[], &["l.tar"]), element(&decoy, &["other:v1"], &["l.tar"]),]);
    let tar = Tar::new()
        .file("config.json", &good)
        .file("l.tar", layer("x"))
        .file(&decoy, &bad)
        .file("manifest.json", json.to_string())
        .bytes();
    let (_keep, path) = on_disk("app.tar", &tar);
    let driver = connect("docker-archive", &path);
    let image = image(&*driver, "latest");
    assert_eq!(blob(&*driver, "image", &image.config).unwrap(), good);
    assert_eq!(named(&image.config, annotation::IMAGE_ID).unwrap(), Digest::sha256(&good).as_str());
}

#[test]
fn layers_stored_as_links_are_followed() {
    let bytes = layer("shared");
    let json = json!([element("c.json", &[], &["aa/layer.tar", "bb/layer.tar", "cc/layer.tar"])]);
    let tar = Tar::new()
        .link(EntryType::Symlink, "bb/layer.tar", "../aa/layer.tar")
        .file("aa/layer.tar", &bytes)
        .link(EntryType::Link, "cc/layer.tar", "bb/layer.tar")
        .file("c.json", config("linux/amd64", &[]))
        .file("manifest.json", json.to_string())
        .bytes();
    let (_keep, path) = on_disk("app.tar", &tar);
    let driver = connect("docker-archive", &path);
    let image = image(&*driver, "latest");
    let names: Vec<_> = image.layers.iter().filter_map(|l| named(l, annotation::LAYER_NAME)).collect();
    assert_eq!(names, ["aa/layer.tar", "bb/layer.tar", "cc/layer.tar"]);
    for layer in &image.layers {
        assert_eq!(blob(&*driver, "image", layer).unwrap(), bytes);
    }
}

#[test]
fn layers_that_no_diff_id_vouches_for_are_marked() {
    let (plain, packed) = (layer("plain"), gzip(&layer("packed")));
    let wrong = Digest::sha256(b"something else").to_string();
    let id = |bytes: &[u8]| Digest::sha256(bytes).to_string();
    let rows = [
        ("as it says", vec![id(&plain), id(&layer("packed"))], [None, Some("diff-id")]),
        ("wrong", vec![wrong, id(&packed)], [Some("diff-id"), None]),
        ("another number", vec![id(&plain)], [Some("diff-id"), Some("diff-id")]),
        ("none", vec![], [Some("diff-id"), Some("diff-id")]),
    ];
    for (name, diff_ids, expected) in rows {
        let tar = Tar::new()
            .file("a.tar", &plain)
            .file("b.tar", &packed)
            .file("c.json", config("linux/amd64", &diff_ids))
            .file("manifest.json", json!([element("c.json", &[], &["a.tar", "b.tar"])]).to_string())
            .bytes();
        let (_keep, path) = on_disk("app.tar", &tar);
        let driver = connect("docker-archive", &path);
        let image = image(&*driver, "latest");
        let marks: Vec<_> = image.layers.iter().map(|l| named(l, annotation::VERIFY)).collect();
        assert_eq!(marks, expected.map(|m| m.map(str::to_owned)), "{name}");
        assert_eq!(image.layers[1].media_type.as_str(), MediaType::DOCKER_LAYER_GZIP);
        assert_eq!(blob(&*driver, "image", &image.layers[1]).unwrap(), packed, "{name}");
    }
}

#[test]
fn a_missing_layer_is_named_when_it_is_opened() {
    let config = config("linux/amd64", &[]);
    let json = json!([element("c.json", &[], &["a.tar", "feedface.tar"])]).to_string();
    let tar =
        Tar::new().file("a.tar", layer("x")).file("c.json", &config).file("manifest.json", json).bytes();
    let (_keep, path) = on_disk("app.tar", &tar);
    let driver = connect("docker-archive", &path);
    let image = image(&*driver, "latest");
    let error = blob(&*driver, "image", &image.layers[1]).unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Absent, "layer_missing"));
    assert!(error.message().contains("feedface.tar"), "{error}");
    assert_eq!(named(&image.layers[1], annotation::LAYER_NAME).unwrap(), "feedface.tar");
    blob(&*driver, "image", &image.layers[0]).unwrap();
}

#[test]
fn an_image_without_layers_is_an_image() {
    for layers in [json!([]), json!(null)] {
        let json = json!([{"Config": "c.json", "RepoTags": ["demo/app:v1"], "Layers": layers}]).to_string();
        let tar = Tar::new().file("c.json", config("linux/amd64", &[])).file("manifest.json", json).bytes();
        let (_keep, path) = on_disk("app.tar", &tar);
        let image = image(&*connect("docker-archive", &path), "latest");
        assert_eq!(image.layers, []);
    }
}

#[test]
fn a_kaniko_archive_is_told_by_its_layers() {
    let config = config("linux/amd64", &[]);
    let id = Digest::sha256(&config).to_string();
    let packed = gzip(&layer("kaniko"));
    let tar = Tar::new()
        .file(&id, &config)
        .file("0a.tar.gz", &packed)
        .file("manifest.json", json!([element(&id, &["busybox:latest"], &["0a.tar.gz"])]).to_string())
        .bytes();
    let (_keep, path) = on_disk("app.tar", &tar);
    for kind in ["kaniko-archive", "docker-archive", "OCI-Archive"] {
        let driver = connect(kind, &path);
        let image = image(&*driver, "latest");
        assert_eq!(named(&image.config, annotation::IMAGE_ID).unwrap(), id, "{kind}");
        assert_eq!(named(&image.layers[0], annotation::LAYER_NAME).unwrap(), "0a.tar.gz");
        assert_eq!(blob(&*driver, "image", &image.layers[0]).unwrap(), packed);
        assert_eq!(repositories(&*driver), ["busybox"]);
    }
}

#[test]
fn long_names_in_either_format_are_read() {
    let long = format!("{}/layer.tar", "d".repeat(150));
    let bytes = layer("x");
    let json = json!([element("c.json", &[], &[&long])]).to_string();
    let gnu = Tar::new().file(&long, &bytes);
    let pax = Tar::new().pax("path", &long).file("short.tar", &bytes);
    for tar in [gnu, pax] {
        let tar = tar.file("c.json", config("linux/amd64", &[])).file("manifest.json", &json).bytes();
        let (_keep, path) = on_disk("app.tar", &tar);
        let driver = connect("docker-archive", &path);
        let image = image(&*driver, "latest");
        assert_eq!(blob(&*driver, "image", &image.layers[0]).unwrap(), bytes);
    }
}

#[test]
fn an_archive_that_is_written_anew_is_read_anew() {
    let (_keep, path) = on_disk("app.tar", &archive().tar);
    let driver = connect("docker-archive", &path);
    let before = image(&*driver, "latest");
    let json = json!([element("c.json", &[], &[])]).to_string();
    let tar = Tar::new().file("c.json", config("linux/amd64", &[])).file("manifest.json", json).bytes();
    std::fs::write(&path, tar).unwrap();
    assert_ne!(image(&*driver, "latest"), before);
}
