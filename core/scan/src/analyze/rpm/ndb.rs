//! NDB, rpm's own database: pages of slots that point to blobs (rpm, `lib/backend/ndb/rpmpkg.c`).

use super::integers::Endian::Little;
use super::{Records, Unreadable};

/// First bytes of the file.
pub(super) const MAGIC: &[u8] = b"RpmP";

const SLOT_MAGIC: &[u8] = b"Slot";
const BLOB_MAGIC: &[u8] = b"BlbS";

const PAGE_BYTES: usize = 4096;
/// Slots follow the file's header at once, in the place of the first two.
const HEADER_BYTES: usize = 32;
const SLOT_BYTES: usize = 16;
/// Package index of a slot that isn't in use.
const FREE: u32 = 0;
/// Unit of a blob's place.
const BLOCK_BYTES: usize = 16;
const BLOB_HEADER_BYTES: usize = 16;

/// Pages of slots: room for half a million packages. rpm's own limit.
const MAX_SLOT_PAGES: usize = 2048;

/// Hands out the blobs in the order of their slots. A slot that doesn't fit its blob counts as an unreadable record;
/// checksums aren't looked at.
pub(super) fn read(data: &[u8], records: &mut Records<'_>) -> Result<(), Unreadable> {
    let n_slot_pages = Little.usize(data, 12).ok_or(Unreadable("it is cut off"))?;
    if !data.starts_with(MAGIC) || Little.u32(data, 4) != Some(0) {
        return Err(Unreadable("it is no NDB database of version 0"));
    }
    if n_slot_pages == 0 || n_slot_pages > MAX_SLOT_PAGES {
        return Err(Unreadable("its number of slot pages is out of bounds"));
    }
    let slots = data.get(HEADER_BYTES..n_slot_pages * PAGE_BYTES).ok_or(Unreadable("it is cut off"))?;
    for slot in slots.chunks_exact(SLOT_BYTES) {
        if Little.u32(slot, 4) != Some(FREE) {
            records.take(blob(data, slot).unwrap_or_default())?;
        }
    }
    Ok(())
}

/// What a slot points to. `None` if they don't fit.
fn blob<'a>(data: &'a [u8], slot: &[u8]) -> Option<&'a [u8]> {
    let blob = data.get(Little.usize(slot, 8)?.checked_mul(BLOCK_BYTES)?..)?;
    let is_consistent = slot.starts_with(SLOT_MAGIC)
        && blob.starts_with(BLOB_MAGIC)
        && Little.u32(blob, 4)? == Little.u32(slot, 4)?;
    if !is_consistent {
        return None;
    }
    blob.get(BLOB_HEADER_BYTES..)?.get(..Little.usize(blob, 12)?)
}
