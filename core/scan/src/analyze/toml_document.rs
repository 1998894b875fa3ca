//! TOML within bounds, as borrowed text: manifests and locks of Python.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml_parser::Source;

use super::pairs::Text;
use crate::finding::Gap;

/// Tokens of one document, at most: what its memory depends on. They cost some 80 bytes each, and the
/// locks of projects with a thousand packages have half as many.
/// (Nesting is bounded by the parser, to 80 levels.)
const MAX_TOKENS: usize = 1_000_000;

/// Reads a document and makes something of it. One that can't be read is a gap, and costs itself only.
pub(super) fn read<T>(text: &Text<'_>, make: impl FnOnce(&DeTable<'_>) -> T) -> Result<T, Gap> {
    let content = String::from_utf8_lossy(text.content);
    if !is_bounded(&content) {
        return Err(text.gap("document_limit_reached", "the file has more than 1,000,000 TOML tokens"));
    }
    let document = DeTable::parse(&content).map_err(|error| {
        text.gap("file_unreadable", &format!("the file is not what its name says: {}", error.message()))
    })?;
    Ok(make(document.get_ref()))
}

/// Whether a document has no more tokens than are read of one. Looked at before it is parsed.
pub(super) fn is_bounded(content: &str) -> bool {
    Source::new(content).lex().take(MAX_TOKENS + 1).count() <= MAX_TOKENS
}

/// The value at a path of keys.
pub(super) fn value<'d, 'i>(table: &'d DeTable<'i>, path: &[&str]) -> Option<&'d DeValue<'i>> {
    let (last, path) = path.split_last()?;
    let table = path.iter().try_fold(table, |table, key| table.get(*key)?.get_ref().as_table())?;
    Some(table.get(*last)?.get_ref())
}

/// The text there, if it isn't empty.
pub(super) fn text<'d>(table: &'d DeTable<'_>, path: &[&str]) -> Option<&'d str> {
    value(table, path)?.as_str().filter(|text| !text.is_empty())
}

/// The table there.
pub(super) fn table<'d, 'i>(table: &'d DeTable<'i>, path: &[&str]) -> Option<&'d DeTable<'i>> {
    value(table, path)?.as_table()
}

/// The values of the list there; none if there is no list.
pub(super) fn list<'d, 'i>(table: &'d DeTable<'i>, path: &[&str]) -> impl Iterator<Item = &'d DeValue<'i>> {
    value(table, path)
        .and_then(DeValue::as_array)
        .into_iter()
        .flat_map(|list| list.iter())
        .map(Spanned::get_ref)
}

/// The tables of the list there.
pub(super) fn tables<'d, 'i>(
    document: &'d DeTable<'i>,
    path: &[&str],
) -> impl Iterator<Item = &'d DeTable<'i>> {
    list(document, path).filter_map(DeValue::as_table)
}

/// The texts of the list there.
pub(super) fn texts<'d>(document: &'d DeTable<'_>, path: &[&str]) -> impl Iterator<Item = &'d str> {
    list(document, path).filter_map(DeValue::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Kept;
    use crate::overlay::OverlayFile;
    use crate::path::LayerPath;

    fn outcome(content: &str) -> Result<bool, &'static str> {
        let kept = Kept { size_bytes: 0, content: None, sha256: None, distilled: None };
        let file =
            OverlayFile { path: LayerPath::new("/a.toml"), kept: kept.into(), layer: 0, linked_to: None };
        let text = Text { file: &file, content: content.as_bytes() };
        read(&text, |document| document.contains_key("a")).map_err(|gap| gap.code)
    }

    #[test]
    fn documents_that_are_none_or_too_much_are_refused_by_name() {
        let rows = [
            ("a table", "a = 1\n[b]\nc = []\n".to_owned(), Ok(true)),
            ("a byte order mark", "\u{feff}a = 1\n".into(), Ok(true)),
            ("no document", "= 1".into(), Err("file_unreadable")),
            ("a key twice", "a = 1\na = 2\n".into(), Err("file_unreadable")),
            ("nested arrays", format!("a = {}", "[".repeat(1 << 19)), Err("file_unreadable")),
            ("nested tables", format!("a = {}", "{a=".repeat(200_000)), Err("file_unreadable")),
            ("a long key", format!("{}b = 1", "a.".repeat(400_000)), Err("file_unreadable")),
            ("a long header", format!("[{}b]", "a.".repeat(400_000)), Err("file_unreadable")),
            ("headers below headers", "[a]\n[[a.b]]\n".repeat(2), Err("file_unreadable")),
            ("empty lines", "\n".repeat(4 << 20), Err("document_limit_reached")),
            ("many values", format!("a = [{}]", "1,".repeat(1 << 20)), Err("document_limit_reached")),
        ];
        for (name, content, expected) in rows {
            assert_eq!(outcome(&content), expected, "{name}");
        }
    }
}
