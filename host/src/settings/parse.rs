//! Texts of settings → values. Every message says what was expected and never quotes a secret.

use std::time::Duration;

use url::Url;

use crate::crash_point::CrashPoint;

/// `true`, `1`, `yes`, `on` and their opposites, ignoring case.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A whole number from 1.
pub(super) fn positive(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number from 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// A whole number from 0.
pub(super) fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "must be a whole number".to_owned())
}

/// A number with a unit (`ms`, `s`, `m`, `h`, `d`); seconds without one. Zero is no duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a duration such as 90s, 15m or 24h".to_owned();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis_per_unit = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    match number.checked_mul(millis_per_unit) {
        Some(0) => Err("must be longer than nothing".to_owned()),
        // A hundred years: more would overflow a deadline when it is added to the clock.
        Some(millis) if millis <= 100 * 366 * 86_400_000 => Ok(Duration::from_millis(millis)),
        _ => Err("must be shorter than a hundred years".to_owned()),
    }
}

/// An absolute `http` or `https` URL with a host.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("must be a URL such as http://host:8000: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("must begin with http:// or https://".to_owned());
    }
    Ok(url)
}

/// The name of a crash point.
pub(super) fn crash_point(text: &str) -> Result<CrashPoint, String> {
    let found = CrashPoint::ALL.into_iter().find(|point| point.name() == text);
    found.ok_or_else(|| format!("must be one of {}", CrashPoint::ALL.map(CrashPoint::name).join(", ")))
}

/// Items with commas or blanks between them; empty ones don't count.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

/// The nearest of these names, if it is near enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.map(|k| (edits(name, k), k)).min().filter(|(distance, _)| *distance <= 4).map(|(_, k)| k)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(from != to)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let rows = [
            ("90", Some(90_000)),
            ("90s", Some(90_000)),
            ("15m", Some(900_000)),
            ("24h", Some(86_400_000)),
            ("2 d", Some(172_800_000)),
            ("500ms", Some(500)),
            ("0", None),
            ("", None),
            ("h", None),
            ("5w", None),
            ("-1s", None),
            ("1.5h", None),
            ("99999999999999999999d", None),
            ("9999999999d", None),
        ];
        for (text, millis) in rows {
            assert_eq!(duration(text).ok(), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn a_typing_error_finds_the_name_that_was_meant() {
        let known = ["REGENT_DATA_DIR", "REGENT_LISTEN", "REGENT_QUEUE_LENGTH"];
        let rows = [
            ("REGENT_DATADIR", Some("REGENT_DATA_DIR")),
            ("REGENT_LISTENS", Some("REGENT_LISTEN")),
            ("REGENT_QUEUE_LENGHT", Some("REGENT_QUEUE_LENGTH")),
            ("REGENT_SOMETHING_ELSE", None),
        ];
        for (name, expected) in rows {
            assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
        }
    }
}
