//! A package header as the database keeps it: an index of tags over a block of data, all big endian (rpm, "RPM v4
//! header format"; here without the magic that it has in a package file).

use super::super::packages::PackageList;
use super::integers::Endian::Big;
use crate::finding::{Package, PackageDetail};
use crate::path::PathHash;

const TAG_NAME: u32 = 1000;
const TAG_VERSION: u32 = 1001;
const TAG_RELEASE: u32 = 1002;
const TAG_EPOCH: u32 = 1003;
const TAG_LICENSE: u32 = 1014;
const TAG_ARCHITECTURE: u32 = 1022;
const TAG_SOURCE_RPM: u32 = 1044;
const TAG_PROVIDES: u32 = 1047;
const TAG_REQUIRES: u32 = 1049;
const TAG_DIRECTORY_INDEXES: u32 = 1116;
const TAG_BASE_NAMES: u32 = 1117;
const TAG_DIRECTORY_NAMES: u32 = 1118;
const TAG_MODULARITY_LABEL: u32 = 5096;

const TYPE_INT32: u32 = 4;
const TYPE_STRING: u32 = 6;
const TYPE_STRING_ARRAY: u32 = 8;

/// Index count and length of the data.
const INTRO_BYTES: usize = 8;
/// Tag, type, offset, count.
const ENTRY_BYTES: usize = 16;

/// Index entries of one header. Packages have about a hundred; rpm's own limit is 65,535.
const MAX_ENTRIES: usize = 65_535;

/// Directories of one package's files. Those with the most have some ten thousand.
const MAX_DIRECTORIES: usize = 200_000;

/// Longest text that is taken from a header. The texts read here are names and versions.
const MAX_TEXT_BYTES: usize = 4096;

/// The package that a header describes. `None` if it lacks a name, version or release, or is damaged. `list` bounds the
/// names that the packages of a database may have together.
pub(super) fn parse<'a>(header: &'a [u8], list: &mut PackageList) -> Option<Package> {
    let (mut name, mut version, mut release) = (None, None, None);
    let (mut epoch, mut source_rpm, mut modularity) = (None, None, None);
    let (mut license, mut architecture) = (None, None);
    let (mut provides, mut requires) = (None, None);
    for entry in entries(header)? {
        match Big.u32(entry.entry, 0)? {
            TAG_NAME => name = Some(entry.text()?),
            TAG_VERSION => version = Some(entry.text()?),
            TAG_RELEASE => release = Some(entry.text()?),
            TAG_EPOCH => epoch = Some(entry.int32()?),
            TAG_SOURCE_RPM => source_rpm = Some(entry.text()?),
            TAG_MODULARITY_LABEL => modularity = Some(entry.text()?),
            // What only SBOMs tell: a value that is of another type than it should be is no reason to lose the package.
            TAG_LICENSE => license = entry.text(),
            TAG_ARCHITECTURE => architecture = entry.text(),
            TAG_PROVIDES => provides = Some(entry),
            TAG_REQUIRES => requires = Some(entry),
            _ => {}
        }
    }

    let present = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (name, version, release) = (present(name)?, present(version)?, present(release)?);
    let version = match epoch {
        Some(epoch) if epoch != 0 => format!("{epoch}:{version}-{release}"),
        _ => format!("{version}-{release}"),
    };
    let mut package = Package {
        architecture: present(architecture),
        licenses: present(license).into_iter().collect(),
        ..Package::new(
            name,
            Some(version),
            PackageDetail::Rpm { epoch, modularity: present(modularity), source_rpm: present(source_rpm) },
        )
    };
    let texts = |entry: Option<Entry<'a>>| entry.map(Entry::texts).into_iter().flatten();
    list.add_names(&mut package.provides, texts(provides));
    list.add_names(&mut package.depends, texts(requires));
    Some(package)
}

/// Hands out the hashes of the paths of a package's files: directory and name apart, as headers have them. Those of a
/// damaged header as far as they go.
pub(super) fn files(header: &[u8], mut each: impl FnMut(PathHash)) -> Option<()> {
    let (mut directories, mut names, mut indexes) = (None, None, None);
    for entry in entries(header)? {
        match Big.u32(entry.entry, 0)? {
            TAG_DIRECTORY_NAMES => directories = Some(entry),
            TAG_BASE_NAMES => names = Some(entry),
            TAG_DIRECTORY_INDEXES => indexes = Some(entry),
            _ => {}
        }
    }
    let directories: Vec<_> =
        directories?.all_texts().take(MAX_DIRECTORIES).map(PathHash::of_bytes).collect();
    let indexes = indexes?.value(TYPE_INT32)?.chunks_exact(4);
    for (name, index) in names?.all_texts().zip(indexes) {
        let directory = Big.usize(index, 0).and_then(|index| directories.get(index).copied());
        if let Some(Some(directory)) = directory {
            each(directory.child_bytes(name));
        }
    }
    Some(())
}

/// The index of a header.
fn entries(header: &[u8]) -> Option<impl Iterator<Item = Entry<'_>>> {
    let n_entries = Big.usize(header, 0)?;
    let data_bytes = Big.usize(header, 4)?;
    if n_entries > MAX_ENTRIES {
        return None;
    }
    let (index, data) = header.get(INTRO_BYTES..)?.split_at_checked(n_entries * ENTRY_BYTES)?;
    let data = data.get(..data_bytes)?;
    Some(index.chunks_exact(ENTRY_BYTES).map(move |entry| Entry { entry, data }))
}

/// An index entry, with the data that it points into.
struct Entry<'a> {
    entry: &'a [u8],
    data: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The value's bytes and all that follow, if the value has this type.
    fn value(&self, kind: u32) -> Option<&'a [u8]> {
        if Big.u32(self.entry, 4)? != kind {
            return None;
        }
        self.data.get(Big.usize(self.entry, 8)?..)
    }

    fn text(&self) -> Option<String> {
        let value = self.value(TYPE_STRING)?;
        let value = value.get(..MAX_TEXT_BYTES).unwrap_or(value);
        let end = memchr::memchr(0, value)?;
        Some(super::super::text::text(value.get(..end)?))
    }

    /// The texts of a list; none where it is something else. The last has no end where the header is damaged.
    fn texts(self) -> impl Iterator<Item = &'a [u8]> {
        self.all_texts().filter(|text| text.len() <= MAX_TEXT_BYTES)
    }

    /// The same with those that are longer than any that is kept.
    fn all_texts(self) -> impl Iterator<Item = &'a [u8]> {
        let value = self.value(TYPE_STRING_ARRAY).unwrap_or_default();
        let n_texts = Big.usize(self.entry, 12).unwrap_or_default();
        value.split(|&byte| byte == 0).take(n_texts)
    }

    /// Epochs are unsigned in the format, and signed in results.
    fn int32(&self) -> Option<i32> {
        Some(Big.u32(self.value(TYPE_INT32)?, 0)?.cast_signed())
    }
}
