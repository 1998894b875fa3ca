//! Berkeley DB hash tables, rpm's database until RHEL 8 (Berkeley DB, `src/dbinc/db_page.h`).

use super::integers::Endian::{self, Big, Little};
use super::{Records, Unreadable};

const HASH_MAGIC: u32 = 0x0006_1561;

const PAGE_HASH_UNSORTED: u8 = 2;
const PAGE_OVERFLOW: u8 = 7;
const PAGE_HASH_METADATA: u8 = 8;
const PAGE_HASH: u8 = 13;

const ITEM_INLINE: u8 = 1;
const ITEM_OFF_PAGE: u8 = 3;

const PAGE_HEADER_BYTES: usize = 26;

/// The record under this key is not a package but the highest number given to one.
const COUNTER_KEY: &[u8] = &[0; 4];

const CUT_OFF: Unreadable = Unreadable("it is cut off");

/// Hands out the values of all hash pages, in page order. A damaged page doesn't hide those after it.
pub(super) fn read(data: &[u8], records: &mut Records<'_>) -> Result<(), Unreadable> {
    let mut file = File::open(data)?;
    let mut outcome = Ok(());
    for number in 1..=file.last_page {
        let Some(page) = file.page(number) else { return Err(CUT_OFF) };
        if matches!(page.get(25), Some(&(PAGE_HASH | PAGE_HASH_UNSORTED))) {
            outcome = outcome.and(file.read_page(page, records));
        }
    }
    outcome
}

struct File<'a> {
    data: &'a [u8],
    endian: Endian,
    page_bytes: usize,
    last_page: usize,
    /// Overflow pages that are part of a value that was read.
    used: Vec<bool>,
}

impl<'a> File<'a> {
    fn open(data: &'a [u8]) -> Result<Self, Unreadable> {
        let endian = [Little, Big]
            .into_iter()
            .find(|endian| endian.u32(data, 12) == Some(HASH_MAGIC))
            .filter(|_| data.get(25) == Some(&PAGE_HASH_METADATA))
            .ok_or(Unreadable("it is no Berkeley DB hash table"))?;
        if data.get(24) != Some(&0) {
            return Err(Unreadable("it is encrypted"));
        }
        let page_bytes = endian
            .usize(data, 20)
            .filter(|bytes| bytes.is_power_of_two() && (512..=65_536).contains(bytes))
            .ok_or(Unreadable("its page size is out of bounds"))?;
        let last_page = endian.usize(data, 32).ok_or(CUT_OFF)?;
        Ok(Self { data, endian, page_bytes, last_page, used: vec![false; data.len() / page_bytes] })
    }

    fn page(&self, number: usize) -> Option<&'a [u8]> {
        self.data.get(number.checked_mul(self.page_bytes)?..)?.get(..self.page_bytes)
    }

    /// The entries of a hash page are keys and values by turns. They lie at the page's end, the first one last.
    fn read_page(&mut self, page: &'a [u8], records: &mut Records<'_>) -> Result<(), Unreadable> {
        const DAMAGED: Unreadable = Unreadable("a hash page is damaged");
        let n_entries = usize::from(self.endian.u16(page, 20).ok_or(DAMAGED)?);
        let mut end = page.len();
        let mut key: Option<&[u8]> = None;
        for entry in 0..n_entries {
            let start = usize::from(self.endian.u16(page, PAGE_HEADER_BYTES + 2 * entry).ok_or(DAMAGED)?);
            let item = page.get(start..end).ok_or(DAMAGED)?;
            end = start;
            let Some(key) = key.take() else {
                key = Some(item);
                continue;
            };
            match item {
                [ITEM_OFF_PAGE, ..] => records.take(&self.off_page(item).unwrap_or_default())?,
                [ITEM_INLINE, value @ ..] if !key.ends_with(COUNTER_KEY) => records.take(value)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A value on pages of its own. Each page belongs to one value only. `None` if the chain of pages is damaged.
    fn off_page(&mut self, item: &[u8]) -> Option<Vec<u8>> {
        let mut number = self.endian.usize(item, 4)?;
        let n_bytes = self.endian.usize(item, 8)?;
        let mut value = Vec::new();
        while number != 0 {
            if std::mem::replace(self.used.get_mut(number)?, true) {
                return None;
            }
            let page = self.page(number).filter(|page| page.get(25) == Some(&PAGE_OVERFLOW))?;
            let n_used = usize::from(self.endian.u16(page, 22)?);
            value.extend_from_slice(page.get(PAGE_HEADER_BYTES..)?.get(..n_used)?);
            number = self.endian.usize(page, 16)?;
        }
        (value.len() == n_bytes).then_some(value)
    }
}
