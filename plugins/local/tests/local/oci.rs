//! OCI layouts in archives, and what a layout's index is served as.

use regent_oci::{Choice, Digest, Index, MediaType, Platform, annotation};
use regent_plugin_api::transport::Class;
use serde_json::json;

use crate::connection::{blob, bytes_of, connect, image, index, manifest, repositories, tags};
use crate::image::{Described as _, Layout, REF_NAME, Tar, config, element, gzip, layer, on_disk};

fn platforms(index: &Index) -> Vec<String> {
    index.manifests.iter().filter_map(|d| d.platform.as_ref()).map(ToString::to_string).collect()
}

#[test]
fn an_index_of_one_image_is_served_as_that_image() {
    let mut layout = Layout::new();
    let bytes = layer("one");
    let stored = layout.image("linux/arm64", std::slice::from_ref(&bytes));
    layout.index(&[stored.clone().named(REF_NAME, "demo:v1")]);
    for (name, tar) in [("plain", layout.tar()), ("gzipped", gzip(&layout.tar()))] {
        let (_keep, path) = on_disk("x.tar", &tar);
        let driver = connect("oci-archive", &path);
        for reference in ["latest", "v1", stored.digest.as_str()] {
            assert_eq!(
                manifest(&*driver, "image", reference).unwrap().digest,
                stored.digest,
                "{name} {reference}"
            );
        }
        assert_eq!(blob(&*driver, "image", &image(&*driver, "latest").layers[0]).unwrap(), bytes);
        assert_eq!(
            (repositories(&*driver), tags(&*driver, "demo")),
            (vec!["demo".into()], vec!["v1".into()])
        );
    }
}

#[test]
fn an_index_of_several_images_is_served_as_it_stands() {
    let mut layout = Layout::new();
    let arm = layout.image("linux/arm64", &[layer("arm")]).on("linux/arm64/v8");
    let amd = layout.image("linux/amd64", &[layer("amd")]).on("linux/amd64");
    layout.index(&[arm, amd]);
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let driver = connect("oci-archive", &path);
    let served = manifest(&*driver, "image", "latest").unwrap();
    assert_eq!(served.raw, layout.files["index.json"]);
    assert_eq!(manifest(&*driver, "image", served.digest.as_str()).unwrap().raw, served.raw);
    // More than one image: only names that mean something are taken.
    let error = manifest(&*driver, "some/other", "latest").unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Absent, "not_found"));
}

#[test]
fn a_nested_index_is_served_under_its_own_digest() {
    let mut layout = Layout::new();
    let arm = layout.image("linux/arm64", &[layer("arm")]).on("linux/arm64/v8");
    let amd = layout.image("linux/amd64", &[layer("amd")]).on("linux/amd64");
    let nested = layout.nested(&[arm, amd]);
    layout.index(std::slice::from_ref(&nested));
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let driver = connect("oci-archive", &path);
    assert_eq!(manifest(&*driver, "image", "latest").unwrap().digest, nested.digest);
}

#[test]
fn indexes_beside_images_become_one_list() {
    let mut layout = Layout::new();
    let arm = layout.image("linux/arm64", &[layer("arm")]).on("linux/arm64");
    let amd = layout.image("linux/amd64", &[layer("amd")]).on("linux/amd64");
    let s390 = layout.image("linux/s390x", &[layer("s390")]).on("linux/s390x");
    let (one, two) = (layout.nested(&[arm]), layout.nested(&[amd]));
    layout.index(&[one, s390, two]);
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let driver = connect("oci-archive", &path);
    let index = index(&*driver, "latest");
    assert_eq!(platforms(&index), ["linux/arm64", "linux/s390x", "linux/amd64"]);
    assert_eq!(index.annotations[annotation::SYNTHETIC], "true");
}

#[test]
fn a_sparse_index_offers_only_what_is_there() {
    let mut layout = Layout::new();
    let gone = layout.image("linux/amd64", &[layer("amd")]);
    let there = layout.image("linux/arm", &[layer("arm")]);
    layout.remove(&gone);
    let nested = layout.nested(&[gone.on("linux/amd64"), there.clone().on("linux/arm/v7")]);
    layout.index(&[nested.clone().named(REF_NAME, "v1")]);
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let driver = connect("oci-archive", &path);
    for (reference, wanted) in [("latest", None), ("v1", Some("linux/arm/v7".parse::<Platform>().unwrap()))] {
        let index = index(&*driver, reference);
        assert_eq!(index.choose(wanted.as_ref()).unwrap(), Choice::Image(&there.clone().on("linux/arm/v7")));
    }
    // What was made up can be asked for again, and what is stored is served as it is.
    let made = manifest(&*driver, "image", "latest").unwrap();
    assert_eq!(manifest(&*driver, "image", made.digest.as_str()).unwrap().raw, made.raw);
    assert_eq!(manifest(&*driver, "image", nested.digest.as_str()).unwrap().digest, nested.digest);
}

#[test]
fn images_without_a_platform_get_the_one_of_their_configuration() {
    let mut layout = Layout::new();
    let first = layout.image("linux/amd64", &[layer("first")]);
    let second = layout.image("linux/amd64", &[layer("second")]);
    let arm = layout.image("linux/arm64", &[layer("arm")]);
    layout.index(&[arm, first.clone(), second]);
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let driver = connect("oci-archive", &path);
    let index = index(&*driver, "latest");
    assert_eq!(platforms(&index), ["linux/arm64", "linux/amd64", "linux/amd64"]);
    assert_eq!(index.choose(None).unwrap(), Choice::Image(&first.on("linux/amd64")));
}

#[test]
fn without_an_index_it_is_the_first_image_manifest() {
    let mut layout = Layout::new();
    let artifact = json!({
        "schemaVersion": 2,
        "config": layout.blob("application/vnd.example.config", b"{}"),
        "layers": [],
    });
    layout.blob(MediaType::OCI_MANIFEST, artifact.to_string().as_bytes());
    let image = layout.image("linux/amd64", &[layer("one")]);
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let driver = connect("oci-archive", &path);
    assert_eq!(manifest(&*driver, "image", "latest").unwrap().digest, image.digest);
}

#[test]
fn an_archive_that_is_both_kinds_is_read_by_the_names_of_its_layers() {
    let mut layout = Layout::new();
    let layers = [layer("one")];
    let stored = layout.image("linux/amd64", &layers);
    layout.index(std::slice::from_ref(&stored));
    let blob_name = format!("blobs/sha256/{}", Digest::sha256(&layers[0]).hex());
    let config_name = format!("blobs/sha256/{}", Digest::sha256(&config("linux/amd64", &[])).hex());
    let modern = json!([element(&config_name, &["demo/app:v1"], &[&blob_name])]).to_string();
    layout.files.insert("manifest.json".into(), modern.into_bytes());
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    assert_eq!(
        manifest(&*connect("docker-archive", &path), "image", "latest").unwrap().digest,
        stored.digest
    );

    layout.files.insert("l.tar".into(), layers[0].clone());
    let older = json!([element(&config_name, &["demo/app:v1"], &["l.tar"])]).to_string();
    layout.files.insert("manifest.json".into(), older.into_bytes());
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let docker = image(&*connect("docker-archive", &path), "latest");
    assert_eq!(docker.layers[0].annotations[annotation::LAYER_NAME], "l.tar");
    assert_eq!(manifest(&*connect("oci-archive", &path), "image", "latest").unwrap().digest, stored.digest);
}

#[test]
fn a_damaged_layer_goes_by_its_actual_digest_and_says_so() {
    let mut layout = Layout::new();
    let layers = [layer("good"), layer("cut"), layer("gone")];
    let stored = layout.image("linux/amd64", &layers);
    let declared: Vec<_> =
        layers.iter().map(|l| regent_oci::Descriptor::of(MediaType::OCI_LAYER, l)).collect();
    let cut = layer("cut by hand");
    layout.replace(&declared[1], &cut);
    layout.remove(&declared[2]);
    let other = layout.image("linux/arm64", &[layer("good")]).on("linux/arm64");
    // Served as an image, and as one of several in an index.
    for index in [vec![stored.clone()], vec![stored.clone().on("linux/amd64"), other]] {
        layout.index(&index);
        let (_keep, path) = on_disk("x.tar", &layout.tar());
        let driver = connect("oci-archive", &path);
        let reference = match manifest(&*driver, "image", "latest").unwrap().document {
            regent_oci::Document::Index(index) => index.manifests[0].digest.to_string(),
            _ => "latest".to_owned(),
        };
        let image = image(&*driver, &reference);
        assert_eq!(image.annotations[annotation::SYNTHETIC], "true");
        assert_eq!(image.layers[0], declared[0]);
        assert_eq!(image.layers[1].annotations[annotation::LAYER_NAME], declared[1].digest.as_str());
        assert_eq!(image.layers[1].annotations[annotation::VERIFY], annotation::VERIFY_NOTHING);
        assert_eq!(blob(&*driver, "image", &image.layers[1]).unwrap(), cut);
        assert_eq!(image.layers[2], declared[2]);
        let error = blob(&*driver, "image", &image.layers[2]).unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Absent, "layer_missing"));
        assert!(error.message().contains(declared[2].digest.as_str()));
    }
}

#[test]
fn attestations_stay_in_the_index_for_the_host_to_skip() {
    let mut layout = Layout::new();
    let image = layout.image("linux/amd64", &[layer("one")]).on("linux/amd64");
    let attestation = layout.image("unknown/unknown", &[b"{}".to_vec()]).on("unknown/unknown");
    let nested = layout.nested(&[image.clone(), attestation]);
    layout.index(&[nested]);
    let (_keep, path) = on_disk("x.tar", &layout.tar());
    let index = index(&*connect("oci-archive", &path), "latest");
    assert_eq!(index.manifests.len(), 2);
    assert_eq!(index.choose(None).unwrap(), Choice::Image(&image));
}

#[test]
fn entries_with_a_leading_dot_are_found() {
    let mut layout = Layout::new();
    let bytes = layer("one");
    let stored = layout.image("linux/amd64", std::slice::from_ref(&bytes));
    layout.index(&[stored]);
    let tar = layout
        .files
        .iter()
        .fold(Tar::new(), |tar, (path, bytes)| tar.pax("path", &format!("./{path}")).file("x", bytes));
    let (_keep, path) = on_disk("x.tar", &tar.bytes());
    let driver = connect("oci-archive", &path);
    assert_eq!(bytes_of(&*driver, "image", &Digest::sha256(&bytes)).unwrap(), bytes);
}
