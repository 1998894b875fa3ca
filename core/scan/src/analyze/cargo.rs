//! Cargo: `Cargo.lock`.

use std::collections::HashMap;

use serde::Deserialize;

use super::pairs::Text;
use super::toml_document;
use super::{About, Analyzer, Reported, View, Want};
use crate::application::{Application, ApplicationKind, Component, Ecosystem, HashAlgorithm};
use crate::finding::{Findings, Gap};
use crate::path::LayerPath;

/// The largest lock file that is read, in bytes. Real ones have some 100 KiB.
const MAX_BYTES: u64 = 4 << 20;
/// Dependencies of all crates together, at most.
const MAX_DEPENDENCIES: usize = 500_000;
/// Where Cargo keeps the sources of crates that it builds: their lock files lock nothing here.
const CARGO_DIRECTORIES: [&str; 2] = ["/registry/src/", "/git/checkouts/"];
/// The sources that crates come from by default, which package URLs leave out.
const DEFAULT_SOURCES: [&str; 2] =
    ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Rust crates (Cargo)",
        detects: "The locked crates, those of the workspace and for development among them, since the lock file does \
            not tell them apart.",
        files: &["**/Cargo.lock, except of crates that Cargo downloaded"],
        limits: &["4 MiB a file"],
        reported: Reported::Additions,
    },
    files: &[],
    directories: &[],
    ends: &["/Cargo.lock"],
    pattern,
    run,
};

fn pattern(path: &str) -> Want {
    if is_lock(path) { Want { content_bytes: MAX_BYTES, ..Want::NOTHING } } else { Want::NOTHING }
}

fn is_lock(path: &str) -> bool {
    path.ends_with("/Cargo.lock") && !CARGO_DIRECTORIES.iter().any(|directory| path.contains(directory))
}

fn run(view: &View<'_>, findings: &mut Findings) {
    for text in view.overlay.files().filter(|file| is_lock(file.path.as_str())).filter_map(Text::of) {
        match read(&text) {
            Ok(components) if components.is_empty() => {}
            Ok(components) => {
                findings.add(Application::unreported(ApplicationKind::Cargo, &text.file.path, components));
            }
            Err(gap) => findings.gaps.push(gap),
        }
    }
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
    /// Checksums stood here before version 2 of the format, by `checksum NAME VERSION (SOURCE)`.
    #[serde(default)]
    metadata: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

fn read(text: &Text<'_>) -> Result<Vec<Component>, Gap> {
    let lock = parse(text.content).map_err(|reason| {
        text.gap("file_unreadable", &format!("the file is not what its name says: {reason}"))
    })?;
    Ok(components(&lock, &text.file.path, text.file.layer))
}

fn parse(content: &[u8]) -> Result<Lock, String> {
    let text = str::from_utf8(content).map_err(|error| error.to_string())?;
    if !toml_document::is_bounded(text) {
        return Err("it has too many TOML tokens".to_owned());
    }
    let lock: Lock = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let dependencies: usize = lock.package.iter().map(|locked| locked.dependencies.len()).sum();
    if dependencies > MAX_DEPENDENCIES {
        return Err("its crates have too many dependencies".to_owned());
    }
    Ok(lock)
}

/// The crates of a lock file; `None` for a damaged one.
pub(super) fn parse_lock(content: &[u8]) -> Option<Vec<Component>> {
    parse(content).ok().map(|lock| components(&lock, &LayerPath::new("/Cargo.lock"), 0))
}

fn components(lock: &Lock, evidence: &LayerPath, layer: usize) -> Vec<Component> {
    let places = Places::of(&lock.package);
    lock.package
        .iter()
        .map(|locked| {
            let version = Some(locked.version.clone());
            let mut component =
                Component::new(Ecosystem::Cargo, &locked.name, version, evidence.clone(), layer);
            let named = locked.dependencies.iter();
            component.depends = named.filter_map(|name| places.find(name)).collect();
            component.qualifiers.extend(locked.source.as_deref().and_then(qualifier));
            if let Some(hash) = checksum(locked, &lock.metadata) {
                component.hashes.insert((HashAlgorithm::Sha256, hash.to_ascii_lowercase()));
            }
            component
        })
        .collect()
}

/// The SHA-256 of the crate's archive.
fn checksum<'a>(locked: &'a Locked, metadata: &'a HashMap<String, String>) -> Option<&'a str> {
    let in_metadata = || {
        let source = locked.source.as_deref()?;
        metadata.get(&format!("checksum {} {} ({source})", locked.name, locked.version))
    };
    let hash = locked.checksum.as_ref().or_else(in_metadata)?;
    (hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hash)
}

/// Where a crate comes from, unless it's where all do (package-url/purl-spec, cargo).
fn qualifier(source: &str) -> Option<(&'static str, String)> {
    if DEFAULT_SOURCES.contains(&source) {
        return None;
    }
    if let Some(repository) = source.strip_prefix("git+") {
        let (url, commit) = repository.split_once('#').unwrap_or((repository, ""));
        let url = url.split('?').next().unwrap_or(url);
        let at = if commit.is_empty() { "" } else { "@" };
        return Some(("vcs_url", format!("git+{url}{at}{commit}")));
    }
    let index = source.strip_prefix("registry+").or_else(|| source.strip_prefix("sparse+"))?;
    Some(("repository_url", index.to_owned()))
}

/// Where the crates are in the list: by name, by name and version, and with the source as well. A dependency names as
/// much as it takes to tell it from others.
struct Places<'a>(HashMap<(&'a str, Option<&'a str>, Option<&'a str>), usize>);

impl<'a> Places<'a> {
    fn of(packages: &'a [Locked]) -> Self {
        let mut places = HashMap::new();
        for (place, locked) in packages.iter().enumerate() {
            let (name, version) = (locked.name.as_str(), Some(locked.version.as_str()));
            for key in [(name, None, None), (name, version, None), (name, version, locked.source.as_deref())]
            {
                places.entry(key).or_insert(place);
            }
        }
        Self(places)
    }

    fn find(&self, dependency: &str) -> Option<usize> {
        let mut parts = dependency.splitn(3, ' ');
        let name = parts.next()?;
        let version = parts.next();
        let source = parts.next().map(|source| source.trim_start_matches('(').trim_end_matches(')'));
        self.0.get(&(name, version, source)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, overlay_of};
    use crate::application::{Application, Ecosystem};
    use crate::finding::Findings;
    use crate::interest::Interest;

    fn findings(path: &str, lock: &str) -> Findings {
        let files = vec![file(path, lock.as_bytes())];
        crate::analyze(&overlay_of([files].into_iter()), &Interest::default())
    }

    const LOCK: &str = r#"
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = ["bitflags 2.6.0", "mine", "serde"]

[[package]]
name = "bitflags"
version = "1.3.2"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "bef38d45163c2f1dde094a7dfd33ccf595c92905c8f8f4fdc18d06fb1037718a"

[[package]]
name = "bitflags"
version = "2.6.0"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "mine"
version = "1.0.0"
source = "git+https://git.example.org/mine?branch=main#0123456789abcdef0123456789abcdef01234567"

[[package]]
name = "serde"
version = "1.0.0"
source = "registry+https://crates.example.org/index"
"#;

    #[test]
    fn locked_crates_have_their_hashes_sources_and_dependencies() {
        let findings = findings("/srv/app/Cargo.lock", LOCK);
        assert_eq!(findings.gaps, []);
        let [Application { components, target_file, .. }] = findings.applications.as_slice() else {
            panic!("one application")
        };
        assert_eq!(target_file, "/srv/app/Cargo.lock");
        let names: Vec<_> =
            components.iter().map(|c| (c.name.as_str(), c.version.as_deref().unwrap())).collect();
        let expected = [
            ("app", "0.1.0"),
            ("bitflags", "1.3.2"),
            ("bitflags", "2.6.0"),
            ("mine", "1.0.0"),
            ("serde", "1.0.0"),
        ];
        assert_eq!(names, expected);
        assert!(components.iter().all(|component| component.ecosystem == Ecosystem::Cargo));
        assert_eq!(components[0].depends, [2, 3, 4]);
        assert_eq!(components[1].hashes.len(), 1);
        let qualifiers: Vec<_> = components.iter().map(|c| c.qualifiers.clone().into_iter().next()).collect();
        let commit = "git+https://git.example.org/mine@0123456789abcdef0123456789abcdef01234567";
        let expected = [
            None,
            None,
            None,
            Some(("vcs_url", commit.to_owned())),
            Some(("repository_url", "https://crates.example.org/index".to_owned())),
        ];
        assert_eq!(qualifiers, expected);
    }

    #[test]
    fn checksums_of_the_first_format_are_found() {
        let lock = r#"
[[package]]
name = "libc"
version = "0.2.62"
source = "registry+https://github.com/rust-lang/crates.io-index"

[metadata]
"checksum libc 0.2.62 (registry+https://github.com/rust-lang/crates.io-index)" = "34fcd2c08d2f832f376f4173a231990fa5aef4e99fb569867318a227ef4c06ba"
"#;
        assert_eq!(findings("/a/Cargo.lock", lock).applications[0].components[0].hashes.len(), 1);
    }

    #[test]
    fn a_damaged_lock_is_named_and_hostile_nesting_ends() {
        let nested = format!("a = {}", "[".repeat(500_000));
        for lock in ["[[package]]\nname = 1", "= x", nested.as_str()] {
            let findings = findings("/a/Cargo.lock", lock);
            assert_eq!(findings.applications, []);
            assert_eq!(findings.gaps.iter().map(|gap| gap.code).collect::<Vec<_>>(), ["file_unreadable"]);
        }
    }
}
