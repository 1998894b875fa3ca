//! The parsers on their own, bytes in and findings out, for fuzzing and measuring.
//!
//! Scans call [`analyze`](crate::analyze), which knows which file is parsed by what and reports what can't be read.
//! All of them take arbitrary bytes: they never panic, and need time and memory in proportion to the input.

mod image;

use std::io;

use super::pairs::Text;
use super::{apk, cargo, chisel, dpkg, mix, node, os_release, rpm, ruby, runtime, swift};
use crate::application::Component;
use crate::capture::Kept;
use crate::distil::{self, Crate, Distil, Distilled, Executable, Gemspec, JavaArchive};
use crate::finding::{OsRelease, Package};
use crate::overlay::OverlayFile;
use crate::ownership::PackageIndex;
use crate::path::LayerPath;
use crate::yaml::{Yaml, YamlValue};

pub use image::image_of;

/// The packages of a dpkg `status` file or of a file in `status.d`.
pub fn dpkg_status(data: &[u8]) -> Vec<Package> {
    dpkg::parse_status(data).into_packages()
}

/// The licences that a Debian package's `copyright` file tells.
pub fn debian_copyright(data: &[u8]) -> Vec<String> {
    match Distil::DebianCopyright.of_content(data) {
        Ok(Some(Distilled::DebianCopyright(copyright))) => copyright.licenses,
        _ => Vec::new(),
    }
}

/// The packages of an apk `installed` file.
pub fn apk_installed(data: &[u8]) -> Vec<Package> {
    apk::parse_installed(data).into_packages()
}

/// The packages of an rpm database, whose kind (Berkeley DB hash, NDB, SQLite) is told by its content. Of a damaged one
/// what can be read; none of what is no database.
pub fn rpm_database(data: &[u8]) -> Vec<Package> {
    rpm::parse_database(data).packages.into_packages()
}

/// The packages of a chisel `manifest.wall`; of a damaged one what can be read.
pub fn chisel_manifest(data: &[u8]) -> Vec<Package> {
    chisel::parse_manifest(data).0.into_packages()
}

/// The release that an `os-release` file tells.
pub fn os_release(data: &[u8]) -> Option<OsRelease> {
    os_release::parse("/etc/os-release", data)
}

/// The version that a Java runtime's `release` file tells.
pub fn java_release(data: &[u8]) -> Option<String> {
    runtime::parse_release(data)
}

/// What a Java archive says of itself.
///
/// # Errors
/// Where it needed the disk and that failed.
pub fn java_archive(data: &[u8]) -> io::Result<Option<JavaArchive>> {
    Ok(match Distil::WholeJavaArchive.of_content(data)? {
        Some(Distilled::JavaArchive(archive)) => Some(*archive),
        _ => None,
    })
}

/// The same, read in what is kept of it as it passes in these pieces.
///
/// # Errors
/// As [`java_archive`].
pub fn passing_java_archive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> io::Result<JavaArchive> {
    distil::java_archive_in_pieces(pieces)
}

/// How many files and directories the packages of an apk `installed` file have.
pub fn apk_files(data: &[u8]) -> usize {
    let packages = apk_installed(data);
    let mut n_told = 0;
    apk::files::read(data, &PackageIndex::new(&packages), &mut |_, _, _| n_told += 1);
    n_told
}

/// How many files the packages of an rpm database have.
pub fn rpm_files(data: &[u8]) -> usize {
    let packages = rpm_database(data);
    let mut n_told = 0;
    rpm::files::read(data, &PackageIndex::new(&packages), &mut |_, _, _| n_told += 1);
    n_told
}

/// How many files a list of dpkg's has.
pub fn dpkg_list(data: &[u8]) -> usize {
    match Distil::PathList.of_content(data) {
        Ok(Some(Distilled::PathList(list))) => list.hashes().count(),
        _ => 0,
    }
}

/// The gems of a `Gemfile.lock`; `None` for what is no such file.
pub fn gemfile_lock(data: &[u8]) -> Option<Vec<Component>> {
    ruby::gemfile::read(&String::from_utf8_lossy(data), &file_at("/Gemfile.lock")).ok()
}

/// The specification of an installed gem.
pub fn gemspec(data: &[u8]) -> Gemspec {
    Gemspec::parse(data)
}

/// What an executable tells of itself. `None` for files that tell nothing, and where the disk fails.
pub fn executable(data: &[u8]) -> Option<Executable> {
    match Distil::Executable.of_content(data) {
        Ok(Some(Distilled::Executable(executable))) => Some(executable),
        _ => None,
    }
}

/// The crates that the section of `cargo auditable` lists; `None` for a damaged one.
pub fn crate_list(section: &[u8]) -> Option<Vec<Crate>> {
    distil::executable::crate_list(section)
}

/// The crates of a `Cargo.lock`; `None` for a damaged one.
pub fn cargo_lock(data: &[u8]) -> Option<Vec<Component>> {
    cargo::parse_lock(data)
}

/// The locked packages of a Node project; the lock file's name tells its format.
pub fn node_lock(lock_name: &str, manifest: &[u8], lock: &[u8]) -> Vec<Component> {
    let (manifest_file, lock_file) = (file_at("/package.json"), file_at(&format!("/{lock_name}")));
    let manifest = Text { file: &manifest_file, content: manifest };
    let lock = Text { file: &lock_file, content: lock };
    node::read_pair(manifest, lock).map(|application| application.components).unwrap_or_default()
}

/// How many packages with a hash npm's record of what it installed has.
pub fn npm_record(data: &[u8]) -> usize {
    match Distil::NpmRecord.of_content(data) {
        Ok(Some(Distilled::NpmRecord(record))) => record.packages.len(),
        _ => 0,
    }
}

/// The names in the documents of a YAML file.
pub fn yaml_names(text: &str) -> Vec<String> {
    let documents = Yaml::parse(text).unwrap_or_default();
    documents.documents().flat_map(YamlValue::entries).map(|(name, _)| name.to_owned()).collect()
}

/// The locked packages of a `mix.lock`.
pub fn mix_lock(data: &[u8]) -> Vec<Component> {
    mix::read(&Text { file: &file_at("/mix.lock"), content: data }).unwrap_or_default()
}

/// The locked packages of a `Package.resolved`.
pub fn swift_lock(data: &[u8]) -> Vec<Component> {
    swift::read(&Text { file: &file_at("/Package.resolved"), content: data }).unwrap_or_default()
}

/// Whether a version range of npm's lies within another, and whether it accepts a version; `None` for what is no range.
pub fn npm_range(range: &str, whole: &str, version: &str) -> Option<(bool, bool)> {
    node::compare_range(range, whole, version)
}

/// A file of which nothing was kept.
fn file_at(path: &str) -> OverlayFile {
    let kept = Kept { size_bytes: 0, content: None, sha256: None, distilled: None };
    OverlayFile { path: LayerPath::new(path), kept: kept.into(), layer: 0, linked_to: None }
}
