//! Sample images: an OCI image layout with two tags, written in code.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use regent_oci::{Descriptor, Digest, MediaType};
use serde_json::json;

const DPKG_STATUS: &str = include_str!("dpkg-status.txt");
const APK_INSTALLED: &str = include_str!("apk-installed.txt");
const DEBIAN_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
                              VERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";
const ALPINE_RELEASE: &str =
    "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.18.6\nPRETTY_NAME=\"Alpine Linux v3.18\"\n";

/// Writes the layout: tag `debian` with a base layer and a layer that adds a package, tag `alpine` with one layer.
pub(super) fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory.join("blobs/sha256"))?;
    // The upper layer brings a newer database, as `apt-get install curl` does.
    let base: String =
        DPKG_STATUS.split("\n\n").filter(|s| !s.contains("curl")).collect::<Vec<_>>().join("\n\n");
    let debian = image(
        directory,
        &[
            &[("usr/lib/os-release", DEBIAN_RELEASE), ("var/lib/dpkg/status", &base)],
            &[("var/lib/dpkg/status", DPKG_STATUS)],
        ],
        &["/bin/sh -c #(nop) ADD rootfs.tar.xz in / ", "/bin/sh -c apt-get install -y curl"],
    )?;
    let alpine = image(
        directory,
        &[&[("etc/os-release", ALPINE_RELEASE), ("lib/apk/db/installed", APK_INSTALLED)]],
        &["/bin/sh -c #(nop) ADD alpine-minirootfs.tar.gz in / "],
    )?;
    let tagged = [("debian", debian), ("alpine", alpine)].map(|(tag, mut descriptor)| {
        descriptor.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag.to_owned());
        descriptor
    });
    let index = json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": tagged });
    fs::write(directory.join("index.json"), index.to_string())?;
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
}

fn image(directory: &Path, layers: &[&[(&str, &str)]], created_by: &[&str]) -> io::Result<Descriptor> {
    let mut diff_ids = Vec::new();
    let mut descriptors = Vec::new();
    for files in layers {
        let tar = tar(files)?;
        diff_ids.push(Digest::sha256(&tar).to_string());
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&tar)?;
        descriptors.push(blob(directory, MediaType::OCI_LAYER_GZIP, &gzip.finish()?)?);
    }
    // A day apart: what is much younger than the base was installed by the image's author.
    let history: Vec<_> = created_by
        .iter()
        .enumerate()
        .map(|(day, by)| json!({ "created": format!("2026-01-0{}T00:00:00Z", day + 1), "created_by": by }))
        .collect();
    let config = json!({
        "created": "2026-01-02T00:00:00Z", "architecture": "amd64", "os": "linux",
        "config": { "Cmd": ["/bin/sh"] }, "rootfs": { "type": "layers", "diff_ids": diff_ids }, "history": history,
    });
    let config = blob(directory, MediaType::OCI_CONFIG, config.to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": descriptors,
    });
    blob(directory, MediaType::OCI_MANIFEST, manifest.to_string().as_bytes())
}

fn tar(files: &[(&str, &str)]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes())?;
    }
    tar.into_inner()
}

fn blob(directory: &Path, media_type: &str, bytes: &[u8]) -> io::Result<Descriptor> {
    let descriptor = Descriptor::of(media_type, bytes);
    fs::write(directory.join("blobs/sha256").join(descriptor.digest.hex()), bytes)?;
    Ok(descriptor)
}
