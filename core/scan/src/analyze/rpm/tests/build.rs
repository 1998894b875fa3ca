//! Small writers of the formats: just what a reader must cope with.

use super::super::integers::Endian;

/// A package header under construction.
#[derive(Default)]
pub(super) struct Header {
    /// Tag, type, count, and the value's bytes.
    entries: Vec<(u32, u32, usize, Vec<u8>)>,
}

impl Header {
    /// A header with these texts; an empty one is left out.
    pub(super) fn new(name: &str, version: &str, release: &str) -> Self {
        [(1000, name), (1001, version), (1002, release)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .fold(Self::default(), |header, (tag, text)| header.text(tag, text))
    }

    pub(super) fn text(mut self, tag: u32, text: &str) -> Self {
        self.entries.push((tag, 6, 1, [text.as_bytes(), b"\0"].concat()));
        self
    }

    pub(super) fn texts(mut self, tag: u32, texts: &[&str]) -> Self {
        let value = texts.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect();
        self.entries.push((tag, 8, texts.len(), value));
        self
    }

    pub(super) fn int(mut self, tag: u32, value: u32) -> Self {
        self.entries.push((tag, 4, 1, value.to_be_bytes().into()));
        self
    }

    pub(super) fn ints(mut self, tag: u32, values: &[u32]) -> Self {
        let value = values.iter().flat_map(|value| value.to_be_bytes()).collect();
        self.entries.push((tag, 4, values.len(), value));
        self
    }

    pub(super) fn long(mut self, tag: u32, value: u64) -> Self {
        self.entries.push((tag, 5, 1, value.to_be_bytes().into()));
        self
    }

    /// A binary tag of this many bytes.
    pub(super) fn padding(mut self, n_bytes: usize) -> Self {
        self.entries.push((261, 7, 1, vec![0xaa; n_bytes]));
        self
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let mut index = Vec::new();
        let mut data = Vec::new();
        for (tag, kind, count, value) in &self.entries {
            for field in [*tag, *kind, u32_of(data.len()), u32_of(*count)] {
                index.extend(field.to_be_bytes());
            }
            data.extend(value);
        }
        let intro = [u32_of(self.entries.len()).to_be_bytes(), u32_of(data.len()).to_be_bytes()];
        [&intro.concat()[..], &index, &data].concat()
    }
}

fn u32_of(n: usize) -> u32 {
    u32::try_from(n).unwrap()
}

fn u16_of(n: usize) -> u16 {
    u16::try_from(n).unwrap()
}

/// An NDB database with one page of slots per 254 blobs.
pub(super) fn ndb(blobs: &[Vec<u8>]) -> Vec<u8> {
    let n_slot_pages = (blobs.len() + 2).div_ceil(256);
    let mut slots = Vec::new();
    let mut content = Vec::new();
    for (i, blob) in blobs.iter().enumerate() {
        let index = u32_of(i + 1).to_le_bytes();
        let offset = n_slot_pages * 4096 + content.len();
        let n_blocks = (blob.len() + 16 + 12).div_ceil(16);
        slots.extend(
            [*b"Slot", index, u32_of(offset / 16).to_le_bytes(), u32_of(n_blocks).to_le_bytes()].concat(),
        );
        content.extend([*b"BlbS", index, [0; 4], u32_of(blob.len()).to_le_bytes()].concat());
        content.extend(blob);
        content.resize((content.len() + 12).next_multiple_of(16), 0);
    }
    let mut data =
        [*b"RpmP", [0; 4], [0; 4], u32_of(n_slot_pages).to_le_bytes(), [0; 4], [0; 4], [0; 4], [0; 4]]
            .concat();
    data.extend(slots);
    // A free slot has the magic and nothing else.
    while data.len() < n_slot_pages * 4096 {
        data.extend(b"Slot\0\0\0\0\0\0\0\0\0\0\0\0");
    }
    data.extend(content);
    data
}

const BDB_PAGE: usize = 512;

/// A Berkeley DB hash table of 512-byte pages: short values inline, the others off page, and rpm's counter first.
pub(super) fn bdb(endian: Endian, values: &[Vec<u8>]) -> Vec<u8> {
    let u16_bytes = |n: usize| match endian {
        Endian::Little => u16_of(n).to_le_bytes(),
        Endian::Big => u16_of(n).to_be_bytes(),
    };
    let u32_bytes = |n: usize| match endian {
        Endian::Little => u32_of(n).to_le_bytes(),
        Endian::Big => u32_of(n).to_be_bytes(),
    };
    let mut pages = vec![[0_u8; BDB_PAGE]];
    // Ten entries a page fit with values of at most 60 bytes inline.
    let entries: Vec<(usize, Vec<u8>)> = [(0, vec![1, 0, 0, 0])]
        .into_iter()
        .chain(values.iter().enumerate().map(|(i, value)| (i + 1, value.clone())))
        .collect();
    for group in entries.chunks(5) {
        let at = pages.len();
        pages.push([0; BDB_PAGE]);
        let mut items = Vec::new();
        for (number, value) in group {
            items.push([&[1][..], &u32_bytes(*number)].concat());
            if value.len() <= 60 {
                items.push([&[1][..], value].concat());
                continue;
            }
            let first = pages.len();
            for (i, part) in value.chunks(BDB_PAGE - 26).enumerate() {
                let is_last = (i + 1) * (BDB_PAGE - 26) >= value.len();
                let mut page = [0; BDB_PAGE];
                page[16..20].copy_from_slice(&u32_bytes(if is_last { 0 } else { pages.len() + 1 }));
                page[22..24].copy_from_slice(&u16_bytes(part.len()));
                page[25] = 7;
                page[26..26 + part.len()].copy_from_slice(part);
                pages.push(page);
            }
            items.push([&[3, 0, 0, 0][..], &u32_bytes(first), &u32_bytes(value.len())].concat());
        }
        let page = &mut pages[at];
        page[20..22].copy_from_slice(&u16_bytes(items.len()));
        page[25] = 13;
        let mut end = BDB_PAGE;
        for (i, item) in items.iter().enumerate() {
            end -= item.len();
            page[end..end + item.len()].copy_from_slice(item);
            page[26 + 2 * i..28 + 2 * i].copy_from_slice(&u16_bytes(end));
        }
    }
    let last_page = pages.len() - 1;
    let metadata = &mut pages[0];
    metadata[12..16].copy_from_slice(&u32_bytes(0x0006_1561));
    metadata[20..24].copy_from_slice(&u32_bytes(BDB_PAGE));
    metadata[25] = 8;
    metadata[32..36].copy_from_slice(&u32_bytes(last_page));
    pages.concat()
}

const SQLITE_PAGE: usize = 512;

/// An SQLite database of 512-byte pages. Page 1 is the schema, page 2 the root of `Packages`.
pub(super) fn sqlite(blobs: &[Vec<u8>]) -> Vec<u8> {
    let mut file = SqliteFile { pages: vec![vec![0; SQLITE_PAGE]; 2] };
    let cells: Vec<Vec<u8>> = blobs
        .iter()
        .enumerate()
        .map(|(i, blob)| file.leaf_cell(i + 1, &record(&[Value::Null, Value::Blob(blob)])))
        .collect();
    let (mut kind, mut nodes) = (13, cells);
    // Level by level: nodes into pages, pages into cells of the level above, until one page is left.
    file.pages[1] = loop {
        let mut groups: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
        let mut n_bytes = 0;
        for node in nodes {
            n_bytes += node.len() + 2;
            if n_bytes > SQLITE_PAGE - 12 {
                n_bytes = node.len() + 2;
                groups.push(Vec::new());
            }
            groups.last_mut().unwrap().push(node);
        }
        if let [group] = &groups[..] {
            break page(kind, group, 0);
        }
        nodes = Vec::new();
        for group in &groups {
            file.pages.push(page(kind, group, 0));
            nodes.push([&u32_of(file.pages.len()).to_be_bytes()[..], &varint(1)].concat());
        }
        kind = 5;
    };
    let sql = b"CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)";
    let table = |name: &'static [u8], root| {
        record(&[
            Value::Text(b"table"),
            Value::Text(name),
            Value::Text(name),
            Value::Byte(root),
            Value::Text(if name == b"Packages" { sql } else { b"" }),
        ])
    };
    let schema: Vec<_> = [table(b"Name", 9), table(b"Packages", 2)]
        .iter()
        .enumerate()
        .map(|(i, row)| file.leaf_cell(i + 1, row))
        .collect();
    file.pages[0] = page(13, &schema, 100);
    let n_pages = file.pages.len();
    let header = &mut file.pages[0];
    header[..16].copy_from_slice(b"SQLite format 3\0");
    header[16..18].copy_from_slice(&u16_of(SQLITE_PAGE).to_be_bytes());
    header[18..20].copy_from_slice(&[2, 2]); // as a database that used a write-ahead log
    header[28..32].copy_from_slice(&u32_of(n_pages).to_be_bytes());
    header[56..60].copy_from_slice(&1_u32.to_be_bytes());
    file.pages.concat()
}

struct SqliteFile {
    pages: Vec<Vec<u8>>,
}

impl SqliteFile {
    /// A leaf's cell; what doesn't fit goes to new overflow pages ("Cell Payload Overflow Pages", for 512 bytes).
    fn leaf_cell(&mut self, row: usize, record: &[u8]) -> Vec<u8> {
        let (most, least) = (512 - 35, (512 - 12) * 32 / 255 - 23);
        let n_local = if record.len() <= most {
            record.len()
        } else {
            let wanted = least + (record.len() - least) % (512 - 4);
            if wanted <= most { wanted } else { least }
        };
        let (local, rest) = record.split_at(n_local);
        let mut cell = [&varint(record.len())[..], &varint(row), local].concat();
        if !rest.is_empty() {
            cell.extend(u32_of(self.pages.len() + 1).to_be_bytes());
        }
        let n_parts = rest.len().div_ceil(SQLITE_PAGE - 4);
        for (i, part) in rest.chunks(SQLITE_PAGE - 4).enumerate() {
            let next = if i + 1 == n_parts { 0 } else { u32_of(self.pages.len() + 2) };
            let mut page = [&next.to_be_bytes()[..], part].concat();
            page.resize(SQLITE_PAGE, 0);
            self.pages.push(page);
        }
        cell
    }
}

/// A b-tree page: of an interior one the last cell is the right-most pointer.
fn page(kind: u8, cells: &[Vec<u8>], header_at: usize) -> Vec<u8> {
    let mut page = vec![0; SQLITE_PAGE];
    let (cells, pointers_at) = if kind == 5 {
        let (last, cells) = cells.split_last().unwrap();
        page[header_at + 8..header_at + 12].copy_from_slice(&last[..4]);
        (cells, header_at + 12)
    } else {
        (cells, header_at + 8)
    };
    page[header_at] = kind;
    page[header_at + 3..header_at + 5].copy_from_slice(&u16_of(cells.len()).to_be_bytes());
    let mut end = SQLITE_PAGE;
    for (i, cell) in cells.iter().enumerate() {
        end -= cell.len();
        page[end..end + cell.len()].copy_from_slice(cell);
        let pointer = pointers_at + 2 * i;
        page[pointer..pointer + 2].copy_from_slice(&u16_of(end).to_be_bytes());
    }
    page
}

enum Value<'a> {
    Null,
    Byte(u8),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

fn record(values: &[Value<'_>]) -> Vec<u8> {
    let mut kinds = Vec::new();
    let mut content = Vec::new();
    for value in values {
        match value {
            Value::Null => kinds.extend(varint(0)),
            Value::Byte(byte) => {
                kinds.extend(varint(1));
                content.push(*byte);
            }
            Value::Text(text) => {
                kinds.extend(varint(13 + 2 * text.len()));
                content.extend(*text);
            }
            Value::Blob(blob) => {
                kinds.extend(varint(12 + 2 * blob.len()));
                content.extend(*blob);
            }
        }
    }
    // All headers here are shorter than 127 bytes, so that their length takes one byte.
    [&varint(kinds.len() + 1)[..], &kinds, &content].concat()
}

fn varint(n: usize) -> Vec<u8> {
    let groups = (usize::BITS - n.leading_zeros()).div_ceil(7).max(1);
    (0..groups)
        .rev()
        .map(|group| {
            let bits = u8::try_from(n >> (7 * group) & 0x7f).unwrap();
            if group == 0 { bits } else { bits | 0x80 }
        })
        .collect()
}
