//! `METADATA` and `PKG-INFO` of an installed Python distribution (packaging.python.org, core metadata): what it is, and
//! what it requires. Descriptions, which are most of such files, are left out.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Distilled, Distiller};

/// Longest line that is read, in bytes. Longer ones are passed over.
const MAX_LINE_BYTES: usize = 4096;
/// All that is kept of one file, in bytes. The largest real ones, with hundreds of requirements, have some 100 KiB.
const MAX_KEPT_BYTES: usize = 256 << 10;
/// Longest licence that is kept, in bytes: some put the whole text there.
const MAX_LICENSE_BYTES: usize = 128;

/// What the metadata of an installed Python distribution says.
///
/// Lines count wherever they stand, also in the description behind the header, since the scanner being replaced looks at
/// them all; how much of it the header says is told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonMetadata {
    /// The first `Name`.
    pub name: Option<String>,
    /// The first `Version`.
    pub version: Option<String>,
    /// The values of `Requires-Dist`, in their order.
    pub requires: Vec<String>,
    /// How many of `requires` are in the header.
    pub requires_in_header: usize,
    /// The values of `Provides-Extra`.
    pub extras: Vec<String>,
    /// `License-Expression`, or else `License`, or else what the classifiers say.
    pub licenses: Vec<String>,
    /// Whether lines were passed over since there are too many, or too long ones.
    pub is_cut: bool,
}

impl PythonMetadata {
    /// Reads the text of a `METADATA` or `PKG-INFO` file.
    pub fn parse(content: &[u8]) -> Self {
        let mut reader = Reader::default();
        reader.take(content);
        reader.into_metadata()
    }

    pub(super) fn cost_bytes(&self) -> usize {
        let texts = self.name.iter().chain(&self.version);
        let lists = self.requires.iter().chain(&self.extras).chain(&self.licenses);
        texts.chain(lists).map(|text| text.len() + size_of::<String>()).sum()
    }
}

/// Reads line by line.
#[derive(Default)]
pub(super) struct Reader {
    metadata: PythonMetadata,
    /// The beginning of a line whose end hasn't come yet.
    line: Vec<u8>,
    is_line_too_long: bool,
    is_behind_header: bool,
    kept_bytes: usize,
    has_content: bool,
    license_expression: Option<String>,
    license: Option<String>,
    classifiers: Vec<String>,
}

impl Reader {
    fn into_metadata(mut self) -> PythonMetadata {
        self.end_line(&[]);
        let said = self.license_expression.or(self.license);
        self.metadata.licenses = said.map_or(self.classifiers, |license| vec![license]);
        self.metadata
    }

    /// A line has ended: with `rest`, which follows what was put aside of it.
    fn end_line(&mut self, rest: &[u8]) {
        if !self.is_line_too_long {
            if self.line.is_empty() {
                self.read_line(rest);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(rest);
                self.read_line(&line);
            }
        }
        self.line.clear();
        self.is_line_too_long = false;
    }

    fn read_line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            self.is_behind_header = true;
            return;
        }
        let Some((key, value)) =
            FIELDS.iter().find_map(|(key, start)| Some((*key, line.strip_prefix(*start)?)))
        else {
            return;
        };
        if line.len() > MAX_LINE_BYTES || self.kept_bytes + line.len() > MAX_KEPT_BYTES {
            self.metadata.is_cut = true;
            return;
        }
        let value = String::from_utf8_lossy(value).trim().to_owned();
        self.kept_bytes += line.len();
        self.set(key, value);
    }

    fn set(&mut self, field: Field, value: String) {
        let metadata = &mut self.metadata;
        match field {
            Field::Name => drop(metadata.name.get_or_insert(value)),
            Field::Version => drop(metadata.version.get_or_insert(value)),
            Field::Extra => metadata.extras.push(value),
            Field::Requires => {
                metadata.requires.push(value);
                if !self.is_behind_header {
                    metadata.requires_in_header = metadata.requires.len();
                }
            }
            Field::LicenseExpression | Field::License | Field::Classifier if self.is_behind_header => {}
            Field::LicenseExpression => self.license_expression = Some(value),
            // What old tools write where nothing is said.
            Field::License if value.is_empty() || value == "UNKNOWN" || value.len() > MAX_LICENSE_BYTES => {}
            Field::License => drop(self.license.get_or_insert(value)),
            Field::Classifier => {
                self.classifiers.extend(value.rsplit(" :: ").next().map(str::to_owned));
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Field {
    Name,
    Version,
    Requires,
    Extra,
    LicenseExpression,
    License,
    Classifier,
}

const FIELDS: [(Field, &[u8]); 7] = [
    (Field::Name, b"Name: "),
    (Field::Version, b"Version: "),
    (Field::Requires, b"Requires-Dist: "),
    (Field::Extra, b"Provides-Extra: "),
    (Field::LicenseExpression, b"License-Expression: "),
    (Field::License, b"License: "),
    (Field::Classifier, b"Classifier: License :: "),
];

impl Distiller for Reader {
    fn take(&mut self, piece: &[u8]) -> bool {
        self.has_content |= !piece.is_empty();
        let mut rest = piece;
        while let Some((line, next)) = memchr::memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end))
        {
            self.end_line(line);
            rest = next.get(1..).unwrap_or_default();
        }
        if self.is_line_too_long {
            return true;
        }
        if self.line.len() + rest.len() > MAX_LINE_BYTES {
            self.is_line_too_long = true;
            // Descriptions may have lines of any length; a field is cut.
            let mut start = std::mem::take(&mut self.line);
            start.extend_from_slice(rest.get(..MAX_FIELD_BYTES.min(rest.len())).unwrap_or_default());
            self.metadata.is_cut |= FIELDS.iter().any(|(_, field)| start.starts_with(field));
        } else {
            self.line.extend_from_slice(rest);
        }
        true
    }

    fn finish(self: Box<Self>) -> io::Result<Option<Distilled>> {
        // An empty file counts as no file at all.
        Ok(self.has_content.then(|| Distilled::PythonMetadata(Box::new(self.into_metadata()))))
    }
}

/// The longest of [`FIELDS`].
const MAX_FIELD_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Metadata-Version: 2.1\r\nName: Flask\r\nVersion: 3.0.0\nLicense: UNKNOWN\n\
        Classifier: License :: OSI Approved :: BSD License\nRequires-Dist: Jinja2>=3.1.2\n\
        Requires-Dist: asgiref>=3.2 ; extra == \"async\"\nProvides-Extra: async\n\nAbout\nName: other\n\
        Requires-Dist: example\nLicense: no\n";

    #[test]
    fn lines_count_wherever_they_stand_and_licences_in_the_header_only() {
        let expected = PythonMetadata {
            name: Some("Flask".into()),
            version: Some("3.0.0".into()),
            requires: vec![
                "Jinja2>=3.1.2".into(),
                "asgiref>=3.2 ; extra == \"async\"".into(),
                "example".into(),
            ],
            requires_in_header: 2,
            extras: vec!["async".into()],
            licenses: vec!["BSD License".into()],
            is_cut: false,
        };
        assert_eq!(PythonMetadata::parse(TEXT.as_bytes()), expected);
    }

    #[test]
    fn the_pieces_in_which_a_file_comes_make_no_difference() {
        let whole = PythonMetadata::parse(TEXT.as_bytes());
        for size in [1, 2, 3, 7, 64] {
            let mut reader = Box::new(Reader::default());
            for piece in TEXT.as_bytes().chunks(size) {
                assert!(reader.take(piece));
            }
            assert_eq!(
                reader.finish().unwrap(),
                Some(Distilled::PythonMetadata(Box::new(whole.clone()))),
                "{size}"
            );
        }
    }

    #[test]
    fn an_expression_comes_before_other_licences_and_a_whole_text_is_none() {
        let rows = [
            ("License: MIT\nLicense-Expression: MIT-0\n", vec!["MIT-0"]),
            ("License: BSD\nClassifier: License :: OSI Approved :: MIT License\n", vec!["BSD"]),
            ("Classifier: License :: A\nClassifier: License :: B\n", vec!["A", "B"]),
            ("Name: a\n", vec![]),
        ];
        for (text, licenses) in rows {
            assert_eq!(PythonMetadata::parse(text.as_bytes()).licenses, licenses, "{text}");
        }
        let long = format!("License: {}\n", "words ".repeat(100));
        assert!(PythonMetadata::parse(long.as_bytes()).licenses.is_empty());
    }

    #[test]
    fn a_field_without_end_and_fields_without_number_are_cut_and_said() {
        let endless = format!("Name: a\nRequires-Dist: {}", "b".repeat(1 << 20));
        let countless = format!("Name: a\n{}", "Requires-Dist: b\n".repeat(100_000));
        for text in [endless, countless] {
            let mut reader = Box::new(Reader::default());
            assert!(text.as_bytes().chunks(1000).all(|piece| reader.take(piece)));
            let Some(Distilled::PythonMetadata(metadata)) = reader.finish().unwrap() else {
                panic!("metadata")
            };
            assert!(metadata.is_cut);
            assert_eq!(metadata.name.as_deref(), Some("a"));
            assert!(metadata.requires.len() < 40_000);
        }
    }

    #[test]
    fn a_description_in_one_long_line_cuts_nothing() {
        let text = format!("Name: a\n\n{}\nVersion: 1\n", "words ".repeat(10_000));
        let metadata = PythonMetadata::parse(text.as_bytes());
        assert_eq!((metadata.version.as_deref(), metadata.is_cut), (Some("1"), false));
    }
}
