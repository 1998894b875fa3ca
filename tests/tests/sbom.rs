//! Bills of materials against the official schemas, by validators that others have made (`.tools/sbom`).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regent_tests::artifacts::{plugin_directory, regent, tools, workspace};
use regent_tests::image::{Compression, Flavor, ImageBuilder, Layer, alpine_layer, debian_layer};
use serde_json::{Value, json};

/// A folder with an image in it, and the drivers to read it.
struct Desk {
    folder: tempfile::TempDir,
    plugins: tempfile::TempDir,
}

impl Desk {
    /// With an image of these layers.
    fn new(layers: Vec<Layer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = layers
            .into_iter()
            .fold(ImageBuilder::new(Flavor::Oci), |image, layer| image.layer(layer, Compression::Gzip));
        image.build().write_layout(&folder.path().join("image"), "1.0");
        Self { folder, plugins: plugin_directory(&["local"]) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `regent scan` writes in a format.
    fn scan(&self, format: &str, file: &str) -> PathBuf {
        let file = self.path(file);
        let image = format!("oci-layout:{}:1.0", self.path("image").display());
        let ended = Command::new(regent())
            .args(["scan", &image, "--name", "registry.example.com/team/app:1.0", "--format", format, "-o"])
            .arg(&file)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("REGENT_PLUGIN_DIR", self.plugins.path())
            .env("REGENT_DATA_DIR", self.path("data"))
            .output()
            .unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        file
    }

    fn json(&self, format: &str) -> Value {
        serde_json::from_slice(&fs::read(self.scan(format, "document.json")).unwrap()).unwrap()
    }
}

/// Runs a validator; it must have nothing to say.
fn validate(what: &str, file: &Path) {
    let python = tools().join("sbom/bin/python");
    let ended = Command::new(&python)
        .arg(workspace().join("tests/sbom/validate.py"))
        .arg(what)
        .arg(file)
        .output()
        .unwrap_or_else(|e| {
            panic!("{} can't be started ({e}); `cargo xtask test` installs it", python.display())
        });
    let said = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "{what}: {}", String::from_utf8_lossy(&said));
}

/// Lock files and installed packages of applications.
fn applications() -> Layer {
    Layer::new()
        .file("srv/php/composer.json", r#"{"name": "example/shop", "require": {"monolog/monolog": "^3.0"}}"#)
        .file(
            "srv/php/composer.lock",
            r#"{"packages": [
                {"name": "monolog/monolog", "version": "3.5.0", "license": ["MIT"], "require": {"psr/log": "^3.0"},
                 "dist": {"type": "zip", "url": "https://example.com/monolog.zip", "shasum": ""}},
                {"name": "psr/log", "version": "3.0.0", "license": ["MIT", "A licence of its own"]}
            ], "packages-dev": []}"#,
        )
        .file("srv/node/package.json", r#"{"name": "shop", "version": "1.0.0", "dependencies": {"@types/node": "20.1.0"}}"#)
        .file(
            "srv/node/package-lock.json",
            json!({"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "packages": {
                "": {"name": "shop", "version": "1.0.0", "dependencies": {"@types/node": "20.1.0"}},
                "node_modules/@types/node": {"version": "20.1.0", "integrity":
                    "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="},
            }})
            .to_string(),
        )
        .file("srv/py/requirements.txt", "Werkzeug==3.0.1\n")
        .file(
            "usr/lib/python3/site-packages/Werkzeug-3.0.1.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: Werkzeug\nVersion: 3.0.1\nLicense-Expression: BSD-3-Clause\n\nText.\n",
        )
        .file("srv/bad/composer.json", "{").file("srv/bad/composer.lock", "{}")
}

/// Debian's packages with licences, architectures, one that is removed, and names that JSON and URLs must encode.
fn packages() -> Layer {
    Layer::new()
        .file(
            "var/lib/dpkg/status",
            "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nSource: glibc\n\
             Version: 2.36-9+deb12u4\n\n\
             Package: libc6\nStatus: install ok installed\nArchitecture: i386\nSource: glibc\nVersion: 2.36-9+deb12u4\n\n\
             Package: libstdc++6\nStatus: install ok installed\nArchitecture: amd64\nSource: gcc-12 (12.2.0-14)\n\
             Version: 1:12.2.0-14\nDepends: libc6 (>= 2.36)\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n",
        )
        .file(
            "usr/share/doc/libc6/copyright",
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\n\
             Copyright: 1991 FSF\nLicense: LGPL-2.1+\n\nFiles: sunrpc/*\nLicense: Sun RPC\n Text\n",
        )
}

#[test]
fn documents_of_many_ecosystems_are_valid_and_the_same_again() {
    let desk = Desk::new(vec![debian_layer(), packages(), applications()]);
    for format in ["cyclonedx", "spdx"] {
        let (one, two) = (desk.scan(format, "one.json"), desk.scan(format, "two.json"));
        assert_eq!(fs::read(&one).unwrap(), fs::read(two).unwrap(), "{format}");
        validate(format, &one);
    }
    let bom = desk.json("cyclonedx");
    let components = bom["components"].as_array().unwrap();
    let purls: Vec<&str> = components.iter().filter_map(|component| component["purl"].as_str()).collect();
    let list = desk.path("purls");
    fs::write(&list, purls.join("\n")).unwrap();
    validate("purl", &list);

    let kinds: BTreeSet<&str> =
        purls.iter().map(|purl| purl.trim_start_matches("pkg:").split('/').next().unwrap()).collect();
    for kind in ["composer", "deb"] {
        assert!(kinds.contains(kind), "{kind} is missing among {purls:?}");
    }
    assert!(!purls.iter().any(|purl| purl.contains("gone")), "{purls:?}");
    let of_libc = purls.iter().filter(|purl| purl.starts_with("pkg:deb/debian/libc6@")).count();
    assert_eq!(of_libc, 2, "one for each architecture: {purls:?}");
    assert_eq!(bom["metadata"]["timestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(bom["compositions"][0]["aggregate"], "incomplete", "one lock file can't be read");
}

#[test]
fn documents_of_images_with_little_in_them_are_valid() {
    for layers in [Vec::new(), vec![Layer::new().file("srv/app", "text")], vec![alpine_layer()]] {
        let desk = Desk::new(layers);
        for format in ["cyclonedx", "spdx"] {
            validate(format, &desk.scan(format, "document.json"));
        }
    }
}

#[test]
fn every_licence_is_told_in_a_way_that_the_schema_takes() {
    let mut installed = String::new();
    let texts = [
        "MIT AND (GPL-2.0-only OR LicenseRef-own)",
        "GPL-2.0-or-later WITH Classpath-exception-2.0",
        "custom:ä \" \\",
        "GPLv2+ and BSD",
        "LicenseRef-own",
        "NOASSERTION",
    ];
    let ids = spdx::identifiers::LICENSES.iter().map(|license| license.name);
    for (n, text) in ids.chain(texts).enumerate() {
        write!(installed, "P:p{n}\nV:1-r0\nA:x86_64\nL:{text}\n\n").unwrap();
    }
    let desk = Desk::new(vec![alpine_layer(), Layer::new().file("lib/apk/db/installed", installed)]);
    validate("cyclonedx", &desk.scan("cyclonedx", "document.json"));
    let bom = desk.json("cyclonedx");
    let of = |name: &str| {
        let mut components = bom["components"].as_array().unwrap().iter();
        components.find(|component| component["name"] == name).unwrap()["licenses"].clone()
    };
    assert_eq!(of("p0"), json!([{ "license": { "id": "0BSD", "acknowledgement": "declared" } }]));
}
