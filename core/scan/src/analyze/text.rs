//! Lines and values of text databases, byte by byte: databases are nearly always UTF-8, and never certainly.

/// The lines without their ends. A carriage return before a line feed belongs to the end.
pub(super) fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The text of a value; bytes that aren't UTF-8 become replacement characters.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// The words of a value.
pub(super) fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// What stands before the first `end`; everything if there is none.
pub(super) fn before(value: &[u8], end: u8) -> &[u8] {
    value.split(|&byte| byte == end).next().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_line_ends_are_cut_and_a_last_line_needs_none() {
        let lines: Vec<_> = lines(b"a\r\n\r\nb\n\rc").collect();
        assert_eq!(lines, [&b"a"[..], b"", b"b", b"\rc"]);
    }
}
