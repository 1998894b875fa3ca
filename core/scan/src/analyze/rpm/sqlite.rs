//! SQLite, as much as it takes to read one table (SQLite, "Database File Format"): table b-trees and overflow pages.
//!
//! SQLite itself isn't used: it is a large parser in C, and image content is hostile. A write-ahead log beside the file
//! isn't read; rpm leaves none behind when it closes the database.

use super::integers::Endian::Big;
use super::{Records, Unreadable};

/// First bytes of the file.
pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

/// The first page begins with the file's header.
const FILE_HEADER_BYTES: usize = 100;

const PAGE_TABLE_INTERIOR: u8 = 5;
const PAGE_TABLE_LEAF: u8 = 13;

/// Columns of one row that are looked at; the schema's rows have five, those of rpm's table two.
const MAX_COLUMNS: usize = 16;

const CUT_OFF: Unreadable = Unreadable("it is cut off");
const DAMAGED: Unreadable = Unreadable("a page is damaged");

/// Hands out the blobs of table `Packages` in the order of its rows.
pub(super) fn read(data: &[u8], records: &mut Records<'_>) -> Result<(), Unreadable> {
    let mut file = File::open(data)?;
    let mut root = None;
    file.for_each_row(1, |row| {
        // Columns: type, name, table name, root page, statement.
        if let [Column::Text(b"table"), Column::Text(b"Packages"), _, Column::Integer(page), ..] =
            columns(row)?[..]
        {
            root = usize::try_from(page).ok();
        }
        Ok(())
    })?;
    let root = root.ok_or(Unreadable("it has no table of packages"))?;
    file.for_each_row(root, |row| {
        // Columns: number (which the row ID stands for) and header. Later versions may add some.
        let blob = columns(row)?.into_iter().find_map(|column| match column {
            Column::Blob(blob) => Some(blob),
            _ => None,
        });
        records.take(blob.unwrap_or_default())
    })
}

struct File<'a> {
    data: &'a [u8],
    page_bytes: usize,
    /// Bytes of a page without the ones reserved for extensions.
    usable_bytes: usize,
    /// Pages that were read. In a sound file each belongs to one place of one table.
    used: Vec<bool>,
}

impl<'a> File<'a> {
    fn open(data: &'a [u8]) -> Result<Self, Unreadable> {
        let header = data.get(..FILE_HEADER_BYTES).ok_or(CUT_OFF)?;
        if !header.starts_with(MAGIC) {
            return Err(Unreadable("it is no SQLite database"));
        }
        let page_bytes = match Big.u16(header, 16).ok_or(CUT_OFF)? {
            1 => 65_536,
            bytes => usize::from(bytes),
        };
        let reserved_bytes = usize::from(*header.get(20).ok_or(CUT_OFF)?);
        let is_sound =
            page_bytes.is_power_of_two() && page_bytes >= 512 && page_bytes - reserved_bytes >= 480;
        if !is_sound {
            return Err(Unreadable("its page size is out of bounds"));
        }
        // UTF-8 is 1; 0 is a database without a table yet.
        if Big.u32(header, 56).ok_or(CUT_OFF)? > 1 {
            return Err(Unreadable("its text is not UTF-8"));
        }
        let n_pages = data.len() / page_bytes;
        Ok(Self {
            data,
            page_bytes,
            usable_bytes: page_bytes - reserved_bytes,
            used: vec![false; n_pages + 1],
        })
    }

    /// The usable part of a page, numbered from 1. Each can be taken once.
    fn take_page(&mut self, number: usize) -> Result<&'a [u8], Unreadable> {
        let used = self.used.get_mut(number).ok_or(CUT_OFF)?;
        if number == 0 || std::mem::replace(used, true) {
            return Err(Unreadable("a page is used twice"));
        }
        let start = (number - 1).checked_mul(self.page_bytes).ok_or(CUT_OFF)?;
        self.data.get(start..).and_then(|rest| rest.get(..self.usable_bytes)).ok_or(CUT_OFF)
    }

    /// Walks a table's b-tree and hands out the records of its rows.
    fn for_each_row(
        &mut self,
        root: usize,
        mut each: impl FnMut(&[u8]) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        // Pages still to be read, the next one last.
        let mut pages = vec![root];
        while let Some(number) = pages.pop() {
            let page = self.take_page(number)?;
            let node = page.get(if number == 1 { FILE_HEADER_BYTES } else { 0 }..).ok_or(DAMAGED)?;
            let n_cells = usize::from(Big.u16(node, 3).ok_or(DAMAGED)?);
            match node.first() {
                Some(&PAGE_TABLE_LEAF) => {
                    for pointer in node.get(8..).ok_or(DAMAGED)?.chunks_exact(2).take(n_cells) {
                        let cell = usize::from(Big.u16(pointer, 0).ok_or(DAMAGED)?);
                        self.read_cell(page.get(cell..).ok_or(DAMAGED)?, &mut each)?;
                    }
                }
                Some(&PAGE_TABLE_INTERIOR) => {
                    pages.push(Big.usize(node, 8).ok_or(DAMAGED)?);
                    let pointers = node.get(12..).ok_or(DAMAGED)?.get(..2 * n_cells).ok_or(DAMAGED)?;
                    for pointer in pointers.chunks_exact(2).rev() {
                        let cell = usize::from(Big.u16(pointer, 0).ok_or(DAMAGED)?);
                        pages.push(Big.usize(page, cell).ok_or(DAMAGED)?);
                    }
                }
                _ => return Err(DAMAGED),
            }
            // Each page can be pushed by one other only, or the file is damaged: no need to keep more.
            if pages.len() > self.used.len() {
                return Err(DAMAGED);
            }
        }
        Ok(())
    }

    /// A cell of a leaf: the record's size, the row ID, the record, and the page on which it goes on if it is too large.
    fn read_cell(
        &mut self,
        cell: &[u8],
        each: &mut impl FnMut(&[u8]) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let (n_bytes, rest) = varint(cell).ok_or(DAMAGED)?;
        let (_, rest) = varint(rest).ok_or(DAMAGED)?;
        let n_bytes = usize::try_from(n_bytes).map_err(|_| DAMAGED)?;
        let n_local = local_bytes(n_bytes, self.usable_bytes);
        let (local, rest) = rest.split_at_checked(n_local).ok_or(DAMAGED)?;
        if n_local == n_bytes {
            return each(local);
        }
        if n_bytes > self.data.len() {
            return Err(DAMAGED);
        }
        let mut record = local.to_vec();
        let mut number = Big.usize(rest, 0).ok_or(DAMAGED)?;
        while record.len() < n_bytes {
            let page = self.take_page(number)?;
            number = Big.usize(page, 0).ok_or(DAMAGED)?;
            let content = page.get(4..).ok_or(DAMAGED)?;
            record.extend(content.iter().take(n_bytes - record.len()));
        }
        each(&record)
    }
}

/// How much of a record of `n_bytes` lies in a leaf's cell ("Cell Payload Overflow Pages").
fn local_bytes(n_bytes: usize, usable_bytes: usize) -> usize {
    let most = usable_bytes - 35;
    if n_bytes <= most {
        return n_bytes;
    }
    let least = (usable_bytes - 12) * 32 / 255 - 23;
    let wanted = least + (n_bytes - least) % (usable_bytes - 4);
    if wanted <= most { wanted } else { least }
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Column<'a> {
    Integer(i64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
    /// NULL, or a floating-point number.
    Other,
}

/// The values of a record ("Record Format").
fn columns(record: &[u8]) -> Result<Vec<Column<'_>>, Unreadable> {
    const DAMAGED: Unreadable = Unreadable("a row is damaged");
    let (header_bytes, after) = varint(record).ok_or(DAMAGED)?;
    let header_bytes = usize::try_from(header_bytes).map_err(|_| DAMAGED)?;
    let (_, mut values) = record.split_at_checked(header_bytes).ok_or(DAMAGED)?;
    let header_rest = header_bytes.checked_sub(record.len() - after.len()).ok_or(DAMAGED)?;
    let mut kinds = after.get(..header_rest).ok_or(DAMAGED)?;
    let mut columns = Vec::new();
    while !kinds.is_empty() && columns.len() < MAX_COLUMNS {
        let (kind, rest) = varint(kinds).ok_or(DAMAGED)?;
        kinds = rest;
        let n_bytes = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return Err(DAMAGED),
            _ => (kind - 12) / 2,
        };
        let n_bytes = usize::try_from(n_bytes).map_err(|_| DAMAGED)?;
        let (value, rest) = values.split_at_checked(n_bytes).ok_or(DAMAGED)?;
        values = rest;
        columns.push(match kind {
            1..=6 => Column::Integer(integer(value)),
            8 => Column::Integer(0),
            9 => Column::Integer(1),
            0 | 7 => Column::Other,
            _ if kind % 2 == 0 => Column::Blob(value),
            _ => Column::Text(value),
        });
    }
    Ok(columns)
}

/// A big-endian integer of up to eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|&byte| byte >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(sign, |value, &byte| value << 8 | i64::from(byte))
}

/// A variable-length integer, and what follows it: seven bits a byte, and all eight of a ninth.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().enumerate().take(9) {
        let rest = bytes.get(i + 1..)?;
        if i == 8 {
            return Some((value << 8 | u64::from(byte), rest));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((value, rest));
        }
    }
    None
}
