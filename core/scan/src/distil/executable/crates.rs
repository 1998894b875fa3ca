//! The crates of a Rust program: the JSON that `cargo auditable` embeds
//! (github.com/rust-secure-code/cargo-auditable, PARSING.md).

use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use serde::{Deserialize, Serialize};

use super::elf::Elf;
use super::spool::{Spool, damaged};

/// The section that holds it.
const SECTION: &[u8] = b".dep-v0";
/// The list, compressed and inflated, in bytes. A crate takes some hundred.
const MAX_COMPRESSED_BYTES: u64 = 1 << 20;
const MAX_BYTES: u64 = 4 << 20;
/// Crates of one program, and what all of them depend on, at most. The largest have some thousand.
const MAX_CRATES: usize = 50_000;
const MAX_DEPENDENCIES: usize = 500_000;

/// A crate that was built into a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it depends on: places in the list.
    pub depends: Vec<usize>,
}

impl Crate {
    pub(super) fn cost_bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.version.len() + size_of_val(self.depends.as_slice())
    }
}

/// Reads the list. `None` if there is none.
pub(super) fn read(elf: &Elf, file: &mut Spool) -> io::Result<Option<Vec<Crate>>> {
    let Some(section) = elf.section(SECTION) else { return Ok(None) };
    if section.length > MAX_COMPRESSED_BYTES {
        return Err(damaged());
    }
    parse(&file.bytes(section.offset, section.length)?).map(Some)
}

#[derive(Deserialize)]
struct List {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    dependencies: Vec<usize>,
}

#[derive(Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Of build scripts and procedural macros: not in the program.
    Build,
    #[default]
    #[serde(other)]
    Runtime,
}

/// Reads the content of the section.
pub(super) fn parse(section: &[u8]) -> io::Result<Vec<Crate>> {
    let mut json = Vec::new();
    ZlibDecoder::new(section).take(MAX_BYTES + 1).read_to_end(&mut json).map_err(|_| damaged())?;
    if json.len() as u64 > MAX_BYTES {
        return Err(damaged());
    }
    let List { packages } = serde_json::from_slice(&json).map_err(|_| damaged())?;
    let dependencies: usize = packages.iter().map(|package| package.dependencies.len()).sum();
    if packages.len() > MAX_CRATES || dependencies > MAX_DEPENDENCIES {
        return Err(damaged());
    }
    // Places among the crates that were built in.
    let mut next = 0;
    let places: Vec<Option<usize>> = packages
        .iter()
        .map(|package| {
            (package.kind == Kind::Runtime).then(|| {
                next += 1;
                next - 1
            })
        })
        .collect();
    let built_in = packages.into_iter().filter(|package| package.kind == Kind::Runtime);
    Ok(built_in
        .map(|package| Crate {
            name: package.name,
            version: package.version,
            depends: package
                .dependencies
                .iter()
                .filter_map(|&place| places.get(place).copied().flatten())
                .collect(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn crates_of_the_build_are_left_out_and_places_follow() {
        let list = br#"{"packages":[
            {"name":"autocfg","version":"1.1.0","source":"crates.io","kind":"build"},
            {"name":"app","version":"0.1.0","source":"local","dependencies":[0,2],"root":true},
            {"name":"libc","version":"0.2.155","source":"crates.io"}]}"#;
        let crates = parse(&compressed(list)).unwrap();
        let shown: Vec<_> = crates.iter().map(|c| (c.name.as_str(), c.depends.as_slice())).collect();
        assert_eq!(shown, [("app", &[1][..]), ("libc", &[])]);
    }

    #[test]
    fn what_inflates_to_too_much_or_is_no_list_is_damaged() {
        let bomb = compressed(&vec![b' '; usize::try_from(MAX_BYTES).unwrap() + 1]);
        assert!(bomb.len() < 100_000);
        for section in [bomb, compressed(b"[]"), b"text".to_vec(), Vec::new()] {
            assert!(parse(&section).is_err());
        }
    }
}
