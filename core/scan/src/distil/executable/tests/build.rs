//! Programs as Go's linker lays them out, in small.

/// The marks around the text about modules.
const MARK_BEFORE: [u8; 16] = *b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6";
const MARK_AFTER: [u8; 16] = *b"\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2";
/// Where the program is loaded.
const ADDRESS: u64 = 0x40_0000;

/// How the build information is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Pointers to strings.
    Pointers,
    /// The strings themselves.
    Inline,
}

/// A program to be.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) is_64: bool,
    pub(crate) is_big: bool,
    pub(crate) form: Form,
    pub(crate) version: &'static str,
    pub(crate) text: String,
    /// The magic number of the table of program counters, and the source files in it.
    pub(crate) table: (u32, Vec<&'static str>),
    pub(crate) table_name: &'static str,
    pub(crate) has_sections: bool,
    /// A section with the list of crates.
    pub(crate) crates: Vec<u8>,
    /// What stands before everything else, and as much between what is read only and what is written.
    pub(crate) n_bytes_of_code: usize,
}

impl Default for Program {
    fn default() -> Self {
        Self {
            is_64: true,
            is_big: false,
            form: Form::Inline,
            version: "go1.21.13",
            text: String::new(),
            table: (0xffff_fff1, Vec::new()),
            table_name: ".gopclntab",
            has_sections: true,
            crates: Vec::new(),
            n_bytes_of_code: 0,
        }
    }
}

impl Program {
    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut file = vec![0; 256];
        file.resize(256 + self.n_bytes_of_code, 0x90);
        let mut sections = vec![(String::new(), 0, 0)];
        let text = match self.text.as_str() {
            "" => Vec::new(),
            text => [&MARK_BEFORE, text.as_bytes(), &MARK_AFTER].concat(),
        };
        let strings = [self.version.as_bytes(), &text].map(|string| place(&mut file, string));
        if !self.table_name.is_empty() {
            let at = place(&mut file, &self.table());
            sections.push((self.table_name.to_owned(), at, file.len() as u64 - at));
        }
        if !self.crates.is_empty() {
            sections.push((".dep-v0".to_owned(), place(&mut file, &self.crates), self.crates.len() as u64));
        }
        file.resize(file.len() + self.n_bytes_of_code, 0x90);
        let read_only = file.len() as u64;
        let data = place(&mut file, &[]);
        if !self.version.is_empty() {
            let info = self.info(data, strings, &text);
            file.extend_from_slice(&info);
            sections.push((".go.buildinfo".to_owned(), data, 32));
        }
        let end = file.len() as u64;
        let mut names = Vec::new();
        let mut headers = Vec::new();
        sections.push((".shstrtab".to_owned(), end, 256));
        for (name, at, length) in &sections {
            headers.extend(self.section(names.len(), *at, *length));
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        names.resize(256, 0);
        file.extend(names);
        let headers_at = place(&mut file, &headers);
        let count = if self.has_sections { sections.len() as u64 } else { 0 };
        let header = self.header(if count == 0 { 0 } else { headers_at }, count, (read_only, data, end));
        file[..header.len()].copy_from_slice(&header);
        file
    }

    fn put(&self, to: &mut Vec<u8>, number: u64, width: usize) {
        let bytes = number.to_be_bytes();
        let bytes = &bytes[8 - width..];
        if self.is_big { to.extend(bytes) } else { to.extend(bytes.iter().rev()) }
    }

    fn width(&self) -> usize {
        if self.is_64 { 8 } else { 4 }
    }

    fn header(&self, sections: u64, count: u64, (read_only, data, end): (u64, u64, u64)) -> Vec<u8> {
        let width = self.width();
        let (own, segment, section) = if self.is_64 { (64, 56, 64) } else { (52, 32, 40) };
        let mut header = b"\x7fELF".to_vec();
        header.extend([1 + u8::from(self.is_64), 1 + u8::from(self.is_big), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for (number, width) in [
            (2, 2),
            (62, 2),
            (1, 4),
            (ADDRESS, width),
            (own, width),
            (sections, width),
            (0, 4),
            (own, 2),
            (segment, 2),
            (2, 2),
            (section, 2),
            (count, 2),
            (count.saturating_sub(1), 2),
        ] {
            self.put(&mut header, number, width);
        }
        for (flags, at, end) in [(4, 0, read_only), (6, data, end)] {
            let places = [at, ADDRESS + at, ADDRESS + at, end - at, end - at];
            self.put(&mut header, 1, 4);
            if self.is_64 {
                self.put(&mut header, flags, 4);
            }
            for place in places {
                self.put(&mut header, place, width);
            }
            if !self.is_64 {
                self.put(&mut header, flags, 4);
            }
            self.put(&mut header, 4096, width);
        }
        header
    }

    fn section(&self, name: usize, at: u64, length: u64) -> Vec<u8> {
        let width = self.width();
        let mut header = Vec::new();
        let fields =
            [(name as u64, 4), (1, 4), (2, width), (ADDRESS + at, width), (at, width), (length, width)];
        for (number, width) in fields.into_iter().chain([(0, 4), (0, 4), (1, width), (0, width)]) {
            self.put(&mut header, number, width);
        }
        header
    }

    /// The build information. Its strings lie at `strings`, or behind it.
    fn info(&self, at: u64, strings: [u64; 2], text: &[u8]) -> Vec<u8> {
        let width = self.width();
        let mut info = b"\xff Go buildinf:".to_vec();
        info.push(u8::try_from(width).unwrap());
        match self.form {
            Form::Inline => {
                info.push(2);
                info.resize(32, 0);
                for string in [self.version.as_bytes(), text] {
                    // Seven bits a byte, the lowest first, each but the last with its highest bit set.
                    let mut left = string.len();
                    while left > 0x7f {
                        info.push(0x80 | u8::try_from(left & 0x7f).unwrap());
                        left >>= 7;
                    }
                    info.push(u8::try_from(left).unwrap());
                    info.extend(string);
                }
            }
            Form::Pointers => {
                info.push(u8::from(self.is_big));
                for n in 0..2 {
                    self.put(&mut info, ADDRESS + at + 32 + n * 2 * width as u64, width);
                }
                info.resize(32, 0);
                for (string, length) in strings.into_iter().zip([self.version.len(), text.len()]) {
                    self.put(&mut info, ADDRESS + string, width);
                    self.put(&mut info, length as u64, width);
                }
            }
        }
        info
    }

    /// The table of program counters: its header, and the names of source files.
    fn table(&self) -> Vec<u8> {
        let width = self.width();
        let (magic, files) = &self.table;
        let mut table = Vec::new();
        self.put(&mut table, u64::from(*magic), 4);
        table.extend([0, 0, 1, u8::try_from(width).unwrap()]);
        let names = files.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat());
        let count = files.len() as u64;
        let words: &[u64] = match magic {
            0xffff_fffb => {
                // One function, the end of its code, and where the index of files is.
                let index = 8 + 4 * width as u64 + 4;
                for word in [1, 0x1000, 0, 0x2000] {
                    self.put(&mut table, word, width);
                }
                self.put(&mut table, index, 4);
                self.put(&mut table, count + 1, 4);
                let mut name_at = index + 4 + 4 * count;
                for name in files {
                    self.put(&mut table, name_at, 4);
                    name_at += name.len() as u64 + 1;
                }
                table.extend(names);
                return table;
            }
            0xffff_fffa => &[0, count, 0x60, 0x60, 0x60, 0x60],
            _ => &[0, count, 0, 0x60, 0x60, 0x60, 0x60],
        };
        for word in words {
            self.put(&mut table, *word, width);
        }
        table.resize(0x60, 0);
        table.extend(names);
        table
    }
}

/// Adds bytes at the next multiple of 16, and says where.
fn place(file: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    file.resize(file.len().next_multiple_of(16), 0);
    let at = file.len() as u64;
    file.extend_from_slice(bytes);
    at
}
