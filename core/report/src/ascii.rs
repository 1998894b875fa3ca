//! JSON for channels that damage everything but ASCII.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Compact JSON in which every character outside ASCII is written as `\uXXXX` (a surrogate pair above U+FFFF; RFC
/// 8259, section 7).
///
/// # Errors
/// Those of the value's own [`Serialize`]; results of this crate have none.
pub fn to_ascii_json(value: &(impl Serialize + ?Sized)) -> Result<String, serde_json::Error> {
    let mut text = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut text, AsciiFormatter(CompactFormatter)))?;
    // Pure ASCII by construction, hence the same text.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

struct AsciiFormatter(CompactFormatter);

impl Formatter for AsciiFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| !c.is_ascii()) {
            let (plain, tail) = rest.split_at(at);
            self.0.write_string_fragment(writer, plain)?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = tail.split_at(c.len_utf8()).1;
        }
        self.0.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn characters_outside_ascii_are_escaped() {
        let rows = [
            ("plain", r#""plain""#),
            ("naïve", r#""na\u00efve""#),
            ("a😀b", r#""a\ud83d\ude00b""#),
            ("\u{2028}", r#""\u2028""#),
            ("q\"\\\n", r#""q\"\\\n""#),
        ];
        for (text, expected) in rows {
            assert_eq!(to_ascii_json(text).unwrap(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_text_is_ascii_and_reads_back(text: String) {
            let json = to_ascii_json(&serde_json::json!({ text.clone(): [text.clone()] })).unwrap();
            prop_assert!(json.is_ascii());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), serde_json::json!({ text.clone(): [text] }));
        }
    }
}
