//! Debian's machine-readable `copyright` files (copyright-format 1.0): which licences a package's files have. The texts
//! of the licences, which are most of such files, are left out.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Distilled, Distiller};

/// Licences of one package, at most. Those with the most, browsers, have some fifty.
const MAX_LICENSES: usize = 64;
/// Bytes of a line that are looked at. What it begins with decides, and names of licences are shorter.
const MAX_LINE_BYTES: usize = 256;

/// What a `copyright` file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebianCopyright {
    /// Short names of licences, such as `GPL-2+ or Artistic`, each once, in the order of the file. Those of the whole
    /// package and of its files: that a text is quoted is no licence.
    pub licenses: Vec<String>,
}

impl DebianCopyright {
    pub(super) fn cost_bytes(&self) -> usize {
        self.licenses.iter().map(|license| license.len() + size_of::<String>()).sum()
    }
}

/// Reads line by line.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    is_machine_readable: bool,
    /// Whether the paragraph is about files, or is the first.
    is_about_files: bool,
    found: DebianCopyright,
}

impl Reader {
    /// Takes the line that was gathered. False: it is no such file.
    fn end_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii_end();
        if line.is_empty() {
            self.is_about_files &= !self.is_machine_readable;
            return true;
        }
        if !self.is_machine_readable {
            self.is_machine_readable = value(line, b"format").is_some();
            self.is_about_files = true;
            return self.is_machine_readable;
        }
        if value(line, b"files").is_some() {
            self.is_about_files = true;
        } else if let Some(license) = value(line, b"license").filter(|_| self.is_about_files) {
            let license = String::from_utf8_lossy(license).into_owned();
            let licenses = &mut self.found.licenses;
            if !license.is_empty() && licenses.len() < MAX_LICENSES && !licenses.contains(&license) {
                licenses.push(license);
            }
        }
        true
    }
}

/// The value of the field of that name, if the line begins with it.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

impl Distiller for Reader {
    fn take(&mut self, piece: &[u8]) -> bool {
        for (n, part) in piece.split(|&byte| byte == b'\n').enumerate() {
            if n > 0 && !self.end_line() {
                return false;
            }
            let room = MAX_LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
        }
        true
    }

    fn finish(mut self: Box<Self>) -> io::Result<Option<Distilled>> {
        self.end_line();
        let has_any = self.is_machine_readable && !self.found.licenses.is_empty();
        Ok(has_any.then_some(Distilled::DebianCopyright(self.found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licenses(text: &str, n_bytes: usize) -> Option<Vec<String>> {
        let mut reader = Box::new(Reader::default());
        for piece in text.as_bytes().chunks(n_bytes) {
            if !reader.take(piece) {
                break;
            }
        }
        match reader.finish().unwrap()? {
            Distilled::DebianCopyright(found) => Some(found.licenses),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn licences_of_files_are_listed_and_quoted_texts_are_not() {
        const FORMAT: &str =
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: a\n";
        let rows: [(&str, &str, Option<&[&str]>); 6] = [
            (
                "files, and the text of one licence",
                "\nFiles: *\nCopyright: 1995 A\nLicense: GPL-2+ or Artistic\n\nFiles: x/*\nCopyright: B\nlicense:  Expat\n \
                 License: no\n .\n text\n\nFiles: y\nLicense: Expat\n\nLicense: GPL-2+\n On Debian systems\n",
                Some(&["GPL-2+ or Artistic", "Expat"]),
            ),
            ("of the whole package", "License: Zlib\n\n\nFiles: *\r\nLicense: Zlib\r\n", Some(&["Zlib"])),
            ("nothing about files", "\nLicense: MIT\n text\n", None),
            ("no licence", "\nFiles: *\nLicense:\n", None),
            ("a last line without an end", "\nFiles: *\nLicense: BSD-3-clause", Some(&["BSD-3-clause"])),
            ("fields whose names only begin alike", "\nFilesystem: x\nLicenses: MIT\n", None),
        ];
        for (name, text, expected) in rows {
            let expected = expected.map(|list| list.iter().map(|&l| l.to_owned()).collect::<Vec<_>>());
            for n_bytes in [1, 7, 4096] {
                assert_eq!(licenses(&format!("{FORMAT}{text}"), n_bytes), expected, "{name}, {n_bytes}");
            }
        }
    }

    #[test]
    fn text_for_people_is_not_read_further() {
        let mut reader = Reader::default();
        assert!(!reader.take(b"\n\nThis package was debianized by A\nFiles: *\nLicense: MIT\n"));
        assert_eq!(Box::new(reader).finish().unwrap(), None);
    }

    #[test]
    fn long_lines_and_many_licences_are_cut() {
        let lines: Vec<_> = (0..1000).map(|n| format!("License: l{n}{}", "x".repeat(5000))).collect();
        let found = licenses(&format!("Format: 1\n{}\n", lines.join("\n")), 4096).unwrap();
        assert_eq!(found.len(), MAX_LICENSES);
        assert!(found.iter().all(|license| license.len() < MAX_LINE_BYTES));
    }
}
