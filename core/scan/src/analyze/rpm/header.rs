//! A package header as the database keeps it: an index of tags over a block of data, all big endian (rpm, "RPM v4
//! header format"; here without the magic that it has in a package file).

use super::integers::Endian::Big;
use crate::finding::{Package, PackageDetail};

const TAG_NAME: u32 = 1000;
const TAG_VERSION: u32 = 1001;
const TAG_RELEASE: u32 = 1002;
const TAG_EPOCH: u32 = 1003;
const TAG_SOURCE_RPM: u32 = 1044;
const TAG_MODULARITY_LABEL: u32 = 5096;

const TYPE_INT32: u32 = 4;
const TYPE_STRING: u32 = 6;

/// Index count and length of the data.
const INTRO_BYTES: usize = 8;
/// Tag, type, offset, count.
const ENTRY_BYTES: usize = 16;

/// Index entries of one header. Packages have about a hundred; rpm's own limit is 65,535.
const MAX_ENTRIES: usize = 65_535;

/// Longest text that is taken from a header. The texts read here are names and versions.
const MAX_TEXT_BYTES: usize = 4096;

/// The package that a header describes. `None` if it lacks a name, version or release, or is damaged.
pub(super) fn parse(header: &[u8]) -> Option<Package> {
    let n_entries = Big.usize(header, 0)?;
    let data_bytes = Big.usize(header, 4)?;
    if n_entries > MAX_ENTRIES {
        return None;
    }
    let (index, data) = header.get(INTRO_BYTES..)?.split_at_checked(n_entries * ENTRY_BYTES)?;
    let data = data.get(..data_bytes)?;

    let (mut name, mut version, mut release) = (None, None, None);
    let (mut epoch, mut source_rpm, mut modularity) = (None, None, None);
    for entry in index.chunks_exact(ENTRY_BYTES) {
        let entry = Entry { entry, data };
        match Big.u32(entry.entry, 0)? {
            TAG_NAME => name = Some(entry.text()?),
            TAG_VERSION => version = Some(entry.text()?),
            TAG_RELEASE => release = Some(entry.text()?),
            TAG_EPOCH => epoch = Some(entry.int32()?),
            TAG_SOURCE_RPM => source_rpm = Some(entry.text()?),
            TAG_MODULARITY_LABEL => modularity = Some(entry.text()?),
            _ => {}
        }
    }

    let present = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (name, version, release) = (present(name)?, present(version)?, present(release)?);
    let version = match epoch {
        Some(epoch) if epoch != 0 => format!("{epoch}:{version}-{release}"),
        _ => format!("{version}-{release}"),
    };
    Some(Package {
        name,
        version: Some(version),
        source: None,
        provides: Vec::new(),
        depends: Vec::new(),
        auto_installed: false,
        layer: None,
        detail: PackageDetail::Rpm {
            epoch,
            modularity: present(modularity),
            source_rpm: present(source_rpm),
        },
    })
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

    /// Epochs are unsigned in the format, and signed in results.
    fn int32(&self) -> Option<i32> {
        Some(Big.u32(self.value(TYPE_INT32)?, 0)?.cast_signed())
    }
}
