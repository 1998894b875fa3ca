//! The headers of a tar file: where each entry's bytes stand.
//!
//! The tar crate reads header blocks here, but does not walk: its walker holds long names and pax records in memory
//! whatever size they claim, and does not notice an archive that ends within its last entry.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tar::{EntryType, Header, PaxExtensions};

use super::{Entry, normalise};
use crate::error::{Error, Result};

/// The unit of tar.
const BLOCK: u64 = 512;
/// The most entries that an archive may have. An image archive has a few for each layer; one that was unpacked and
/// packed again by hand may have its layers' files beside them.
const MAX_ENTRIES: usize = 200_000;
/// The longest pax record block or long name, in bytes.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;

/// What extension headers say about the entry that follows them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size_bytes: Option<u64>,
}

struct Walk<'a> {
    file: &'a File,
    len_bytes: u64,
    path: &'a Path,
}

/// All files and links of the archive, in order.
///
/// # Errors
/// [`Error::Damaged`] when it is no tar file, [`Error::Truncated`] when it ends too early.
pub(super) fn read(file: &File, path: &Path) -> Result<Vec<(String, Entry)>> {
    let len_bytes =
        file.metadata().map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?.len();
    let walk = Walk { file, len_bytes, path };
    let mut found = Vec::new();
    let mut extended = Extended::default();
    let mut at = 0;
    let mut n_headers = 0;
    while let Some(header) = walk.header(at)? {
        n_headers += 1;
        if n_headers > MAX_ENTRIES {
            let (what, limit) = (format!("over {MAX_ENTRIES} entries"), MAX_ENTRIES as u64);
            return Err(Error::Limit { what, path: path.to_owned(), limit });
        }
        let kind = header.entry_type();
        let claimed = header.entry_size().map_err(|_| walk.damaged(at, "has no valid size"))?;
        let data_at = walk.past_sparse_map(&header, at + BLOCK)?;
        let size_bytes = match kind {
            _ if is_extension(kind) => claimed,
            // POSIX gives links no data; some writers state the size of the file they lead to.
            EntryType::Symlink | EntryType::Link | EntryType::Directory => 0,
            _ => extended.size_bytes.unwrap_or(claimed),
        };
        let end = data_at.checked_add(size_bytes).filter(|&end| end <= len_bytes);
        let Some(end) = end else {
            let within = format!("the entry at byte {at}");
            return Err(Error::Truncated { path: path.to_owned(), within });
        };
        if is_extension(kind) {
            walk.extend(&mut extended, kind, at, data_at, size_bytes)?;
        } else {
            let this = std::mem::take(&mut extended);
            let name = this.path.unwrap_or_else(|| header.path_bytes().into_owned());
            if let Some(name) = normalise(&String::from_utf8_lossy(&name))
                && let Some(entry) = entry(kind, &header, &name, this.link, data_at, size_bytes)
            {
                found.push((name, entry));
            }
        }
        at = end.next_multiple_of(BLOCK);
    }
    Ok(found)
}

fn is_extension(kind: EntryType) -> bool {
    kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
        || kind.is_gnu_longname()
        || kind.is_gnu_longlink()
}

fn entry(
    kind: EntryType,
    header: &Header,
    name: &str,
    link: Option<Vec<u8>>,
    offset: u64,
    len_bytes: u64,
) -> Option<Entry> {
    if kind.is_file() || kind.is_contiguous() {
        return Some(Entry::File { offset, len_bytes });
    }
    if !(kind.is_symlink() || kind.is_hard_link()) {
        return None;
    }
    let target = link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))?;
    let target = String::from_utf8_lossy(&target).into_owned();
    // A symbolic link is relative to its own directory, a hard link to the root of the archive.
    let target = match name.rsplit_once('/') {
        Some((directory, _)) if kind.is_symlink() && !target.starts_with('/') => {
            format!("{directory}/{target}")
        }
        _ => target,
    };
    normalise(&target).map(Entry::Link)
}

impl Walk<'_> {
    /// The header at this place; `None` at the end of the archive. An archive may end without its two zero blocks:
    /// many writers leave them out.
    fn header(&self, at: u64) -> Result<Option<Header>> {
        if at >= self.len_bytes {
            return Ok(None);
        }
        let mut header = Header::new_old();
        self.read_exact(at, header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|&b| b == 0) {
            return Ok(None);
        }
        let sum: u32 = header
            .as_bytes()
            .iter()
            .enumerate()
            .map(|(i, &b)| if (148..156).contains(&i) { u32::from(b' ') } else { u32::from(b) })
            .sum();
        if header.cksum().is_ok_and(|stored| stored == sum) {
            Ok(Some(header))
        } else if at == 0 {
            Err(Error::Damaged { path: self.path.to_owned(), reason: "it is no tar file".into() })
        } else {
            Err(self.damaged(at, "has a wrong checksum"))
        }
    }

    /// Where the data begins when a GNU sparse file has more map than fits into its header.
    fn past_sparse_map(&self, header: &Header, mut at: u64) -> Result<u64> {
        let mut more =
            header.entry_type().is_gnu_sparse() && header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            self.read_exact(at, block.as_mut_bytes())?;
            more = block.is_extended();
            at += BLOCK;
        }
        Ok(at)
    }

    fn extend(
        &self,
        extended: &mut Extended,
        kind: EntryType,
        at: u64,
        data_at: u64,
        size_bytes: u64,
    ) -> Result<()> {
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        if size_bytes > MAX_EXTENSION_BYTES {
            let (what, limit) = (format!("a header of {size_bytes} bytes"), MAX_EXTENSION_BYTES);
            return Err(Error::Limit { what, path: self.path.to_owned(), limit });
        }
        let mut data = vec![0; usize::try_from(size_bytes).unwrap_or(0)];
        self.read_exact(data_at, &mut data)?;
        if kind.is_pax_local_extensions() {
            for record in PaxExtensions::new(&data) {
                let record = record.map_err(|_| self.damaged(at, "has a malformed pax record"))?;
                match record.key_bytes() {
                    b"path" => extended.path = Some(record.value_bytes().to_vec()),
                    b"linkpath" => extended.link = Some(record.value_bytes().to_vec()),
                    b"size" => {
                        let size = record.value().ok().and_then(|v| v.parse().ok());
                        extended.size_bytes =
                            Some(size.ok_or_else(|| self.damaged(at, "has no valid size"))?);
                    }
                    _ => {}
                }
            }
            return Ok(());
        }
        while data.last() == Some(&0) {
            data.pop();
        }
        if kind.is_gnu_longname() {
            extended.path = Some(data);
        } else {
            extended.link = Some(data);
        }
        Ok(())
    }

    fn read_exact(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, at).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::Truncated { path: self.path.to_owned(), within: format!("the header at byte {at}") }
            }
            _ => Error::Io { action: "read", path: self.path.to_owned(), source },
        })
    }

    fn damaged(&self, at: u64, what: &str) -> Error {
        Error::Damaged { path: self.path.to_owned(), reason: format!("the entry at byte {at} {what}") }
    }
}
