//! Layers to measure with, made by a generator of fixed numbers: the same on every machine.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::content::Content;
use super::programs::{go_program, plain_program};
use super::tar::Tar;
use super::zip::jar;

/// A kind of layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Files of 1 KiB to 1 MiB: words for the most part, noise for the rest.
    Files,
    /// Very many small files at deep paths, as in `node_modules`.
    Many,
    /// Java archives.
    Jars,
    /// Programs in Go, in C, and shared libraries.
    Programs,
    /// The root of a small Debian: package databases, lists of files, copyrights, links.
    Debian,
    /// [`Layer::Files`] by Zstandard.
    Zstd,
    /// [`Layer::Many`] as it is.
    Plain,
}

impl Layer {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Files, Self::Many, Self::Jars, Self::Programs, Self::Debian, Self::Zstd, Self::Plain];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Many => "many",
            Self::Jars => "jars",
            Self::Programs => "programs",
            Self::Debian => "debian",
            Self::Zstd => "zstd",
            Self::Plain => "plain",
        }
    }

    /// The blob of about `mebibytes` when it is inflated.
    pub(crate) fn blob(self, mebibytes: usize) -> Vec<u8> {
        let bytes = mebibytes << 20;
        match self {
            Self::Files => gzip(&files(bytes)),
            Self::Many => gzip(&many(bytes)),
            Self::Jars => gzip(&jars(bytes)),
            Self::Programs => gzip(&programs(bytes)),
            Self::Debian => gzip(&debian(bytes)),
            Self::Zstd => zstd::encode_all(&*files(bytes), 3).unwrap(),
            Self::Plain => many(bytes),
        }
    }
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
    gzip.write_all(tar).unwrap();
    gzip.finish().unwrap()
}

fn files(bytes: usize) -> Vec<u8> {
    let mut content = Content::new(1);
    let mut tar = Tar::default();
    for n in 0.. {
        let size = 1 << (10 + content.below(11));
        let data = if content.below(4) == 0 { content.noise(size) } else { content.text(size) };
        tar.file(&format!("usr/share/things/directory-{}/file-{n}", n % 97), 0o644, &data);
        if tar.len() >= bytes {
            break;
        }
    }
    tar.finish()
}

/// Extensions as they are in real `node_modules`, by how often they occur.
const NODE_NAMES: [&str; 12] = [
    "index.js",
    "util.js",
    "types.d.ts",
    "index.js.map",
    "README.md",
    "parse.mjs",
    "LICENSE",
    "Error.cjs",
    "test.spec.js",
    "style.css",
    "data.json",
    "package.json",
];

fn many(bytes: usize) -> Vec<u8> {
    let mut content = Content::new(2);
    let mut tar = Tar::default();
    for n in 0.. {
        let package = format!("app/node_modules/package-{n}/node_modules/@scope/nested-{n}");
        tar.directory(&package);
        tar.directory(&format!("{package}/lib"));
        for (i, name) in NODE_NAMES.into_iter().enumerate() {
            let folder = if i % 3 == 0 { "" } else { "lib/internal/" };
            let path = format!("{package}/{folder}{name}");
            let data = if name == "package.json" {
                format!(r#"{{"name":"nested-{n}","version":"1.{n}.0","dependencies":{{"x":"^1.0.0"}}}}"#)
                    .into()
            } else {
                let size = 512 + content.below(3584);
                content.text(size)
            };
            tar.file(&path, 0o644, &data);
        }
        if tar.len() >= bytes {
            break;
        }
    }
    tar.finish()
}

fn jars(bytes: usize) -> Vec<u8> {
    let mut content = Content::new(3);
    let mut tar = Tar::default();
    for n in 0.. {
        let classes = 40 + content.below(400);
        tar.file(&format!("opt/app/lib/artifact-{n}-1.0.jar"), 0o644, &jar(&mut content, n, classes));
        if tar.len() >= bytes {
            break;
        }
    }
    tar.finish()
}

fn programs(bytes: usize) -> Vec<u8> {
    let mut content = Content::new(4);
    let mut tar = Tar::default();
    for n in 0.. {
        let size = (256 << 10) + content.below(2 << 20);
        let (path, data) = match n % 4 {
            0 => (format!("usr/local/bin/go-{n}"), go_program(&mut content, 3 * size)),
            1 => (format!("usr/bin/program-{n}"), plain_program(&mut content, size)),
            _ => (format!("usr/lib/libthing-{n}.so.1"), plain_program(&mut content, size)),
        };
        tar.file(&path, 0o755, &data);
        if tar.len() >= bytes {
            break;
        }
    }
    tar.finish()
}

fn debian(bytes: usize) -> Vec<u8> {
    let mut content = Content::new(5);
    let mut tar = Tar::default();
    tar.file("etc/os-release", 0o644, b"ID=debian\nVERSION_ID=\"12\"\n");
    let mut status = String::new();
    for n in 0.. {
        let name = format!("package-{n}");
        let about = String::from_utf8_lossy(&content.text(400)).into_owned();
        status += "Package: ";
        status += &name;
        status += "\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.2-3\nDescription: ";
        status += &about;
        status += "\n\n";
        let mut list = String::from("/.\n/usr\n");
        for i in 0..40 {
            let path = format!("usr/share/{name}/some/where/file-{i}.txt");
            list += "/";
            list += &path;
            list += "\n";
            let size = 512 + content.below(8192);
            tar.file(&path, 0o644, &content.text(size));
            if i % 8 == 0 {
                tar.symlink(&format!("usr/share/{name}/link-{i}"), "some/where");
            }
        }
        tar.file(&format!("var/lib/dpkg/info/{name}.list"), 0o644, list.as_bytes());
        tar.file(&format!("var/lib/dpkg/info/{name}.md5sums"), 0o644, &content.text(2048));
        tar.file(&format!("usr/share/doc/{name}/copyright"), 0o644, b"License: GPL-2+\n text\n");
        if tar.len() + status.len() >= bytes {
            break;
        }
    }
    tar.file("var/lib/dpkg/status", 0o644, status.as_bytes());
    tar.finish()
}
