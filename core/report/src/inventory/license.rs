//! What a package says of its licence, told apart: an identifier of the SPDX list, an expression of such, or a text.
//!
//! Nothing is guessed: `GPLv2+` or `Apache License` stay texts. The one translation is that of Debian's short names,
//! which its own standard defines.

use std::collections::HashMap;

use regent_scan::PackageDetail;
use spdx::{Expression, LicenseItem, ParseMode};

/// A licence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum License {
    /// An identifier of the SPDX licence list.
    Id(&'static str),
    /// An SPDX licence expression.
    Expression {
        /// The expression, with operators in capitals.
        text: String,
        /// Its references to licences that are on no list, `LicenseRef-…`.
        references: Vec<String>,
    },
    /// Anything else, as it is written.
    Text(String),
}

/// Longest text that is taken for an expression, in bytes. Those of packages with very many licences have some 1,000.
const MAX_EXPRESSION_BYTES: usize = 4096;
/// Characters of a text that are kept: some packages have the licence's whole text in the place of its name.
const MAX_TEXT: usize = 500;
/// Distinct texts that are remembered. Images have some hundred.
const MAX_REMEMBERED: usize = 10_000;

/// What is written where nothing is known.
const SAYS_NOTHING: [&str; 3] = ["", "NOASSERTION", "NONE"];

/// Strict but for identifiers that are out of use: what was declared years ago says `GPL-2.0`.
const MODE: ParseMode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };

/// Reads licences, and remembers them: packages mostly have the same few.
#[derive(Debug, Default)]
pub(super) struct Reader {
    known: HashMap<String, License>,
}

impl Reader {
    /// What an application's texts say, each once.
    pub(super) fn read_all(&mut self, texts: &[String]) -> Vec<License> {
        self.read_with(texts, read)
    }

    /// What a distribution's texts say.
    pub(super) fn read_all_of(&mut self, texts: &[String], detail: &PackageDetail) -> Vec<License> {
        let is_debian = matches!(detail, PackageDetail::Deb | PackageDetail::Chisel);
        self.read_with(texts, if is_debian { read_debian } else { read })
    }

    fn read_with(&mut self, texts: &[String], read: fn(&str) -> License) -> Vec<License> {
        let mut licenses = Vec::new();
        for text in texts.iter().map(|text| text.trim()).filter(|text| !SAYS_NOTHING.contains(text)) {
            let license = self.remember(text, read);
            if !licenses.contains(&license) {
                licenses.push(license);
            }
        }
        licenses
    }

    fn remember(&mut self, text: &str, read: fn(&str) -> License) -> License {
        if let Some(license) = self.known.get(text) {
            return license.clone();
        }
        let license = read(text);
        if self.known.len() < MAX_REMEMBERED && text.len() <= MAX_EXPRESSION_BYTES {
            self.known.insert(text.to_owned(), license.clone());
        }
        license
    }
}

fn read(text: &str) -> License {
    expression(text).unwrap_or_else(|| License::Text(text.chars().take(MAX_TEXT).collect()))
}

/// An identifier or expression. Identifiers alone may be written in any case (SPDX 2.3, annex D.2).
fn expression(text: &str) -> Option<License> {
    if text.is_empty() || text.len() > MAX_EXPRESSION_BYTES {
        return None;
    }
    let is_text = |id: &&spdx::License| id.name.eq_ignore_ascii_case(text);
    if let Some(id) = spdx::identifiers::LICENSES.iter().find(is_text) {
        return Some(License::Id(id.name));
    }
    let parsed = Expression::parse_mode(text, MODE).ok()?;
    let mut references = Vec::new();
    for requirement in parsed.requirements() {
        match &requirement.req.license {
            LicenseItem::Other(reference) if reference.doc_ref.is_none() => {
                references.push(format!("LicenseRef-{}", reference.lic_ref));
            }
            // Of a document that isn't here.
            LicenseItem::Other(_) => return None,
            LicenseItem::Spdx { id, .. } if SAYS_NOTHING.contains(&id.name) => return None,
            LicenseItem::Spdx { .. } => {}
        }
        // Additions that are on no list came with SPDX 3.
        if requirement.req.addition.as_ref().is_some_and(|addition| addition.id().is_none()) {
            return None;
        }
    }
    references.sort();
    references.dedup();
    Some(License::Expression { text: with_capital_operators(text), references })
}

/// Operators may be written in small letters, and not every reader knows.
fn with_capital_operators(text: &str) -> String {
    let words = text.split_whitespace().map(|word| match word {
        "and" => "AND",
        "or" => "OR",
        "with" => "WITH",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Debian's short names (copyright-format 1.0, "Short license names") that are not SPDX' own. GNU's come by rule.
const DEBIAN: [(&str, &str); 16] = [
    ("Artistic", "Artistic-1.0"),
    ("Artistic-2", "Artistic-2.0"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("BSD-4-clause", "BSD-4-Clause"),
    ("Apache-2", "Apache-2.0"),
    ("CC0", "CC0-1.0"),
    ("CPL-1", "CPL-1.0"),
    ("EFL-2", "EFL-2.0"),
    ("Expat", "MIT"),
    ("MPL-1", "MPL-1.0"),
    ("MPL-2", "MPL-2.0"),
    ("Perl", "(GPL-1.0-or-later OR Artistic-1.0-Perl)"),
    ("Python", "PSF-2.0"),
    ("W3C-Software", "W3C"),
    ("ZLIB", "Zlib"),
];

/// Licences of GNU, whose names end in a version and perhaps a plus.
const GNU: [&str; 4] = ["GPL", "LGPL", "AGPL", "GFDL"];

/// `GPL-2+ or Artistic, and Expat`: a comma binds less than the words.
fn read_debian(text: &str) -> License {
    let mut parts = Vec::new();
    let mut group = Vec::new();
    for word in text.split_whitespace() {
        let (word, ends_group) = word.strip_suffix(',').map_or((word, false), |word| (word, true));
        match word.to_ascii_lowercase().as_str() {
            "and" => group.push("AND".to_owned()),
            "or" => group.push("OR".to_owned()),
            _ => match debian_name(word) {
                Some(name) => group.push(name),
                None => return read(text),
            },
        }
        if ends_group {
            parts.push(std::mem::take(&mut group));
        }
    }
    parts.push(group);
    let is_one = parts.len() == 1;
    let shown = parts.iter().map(|part| {
        // After a comma a part begins with the operator that joins it.
        let (joint, rest) = match part.split_first() {
            Some((first, rest)) if first == "AND" || first == "OR" => (format!("{first} "), rest),
            _ => (String::new(), part.as_slice()),
        };
        match rest {
            [_] => format!("{joint}{}", rest.join(" ")),
            _ if is_one => format!("{joint}{}", rest.join(" ")),
            _ => format!("{joint}({})", rest.join(" ")),
        }
    });
    expression(&shown.collect::<Vec<_>>().join(" ")).unwrap_or_else(|| read(text))
}

fn debian_name(name: &str) -> Option<String> {
    if let Some((_, spdx)) = DEBIAN.iter().find(|(debian, _)| debian.eq_ignore_ascii_case(name)) {
        return Some((*spdx).to_owned());
    }
    let (base, is_later) = name.strip_suffix('+').map_or((name, false), |base| (base, true));
    if let Some((gnu, version)) = base.split_once('-').filter(|(gnu, _)| GNU.contains(gnu)) {
        let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
        let full = format!("{gnu}-{version}-{}", if is_later { "or-later" } else { "only" });
        return spdx::license_id(&full).map(|id| id.name.to_owned());
    }
    (!is_later).then(|| spdx::license_id(name).map(|id| id.name.to_owned())).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(license: License) -> String {
        match license {
            License::Id(id) => format!("id {id}"),
            License::Expression { text, references } if references.is_empty() => format!("expression {text}"),
            License::Expression { text, references } => format!("expression {text} {references:?}"),
            License::Text(text) => format!("text {text}"),
        }
    }

    #[test]
    fn what_is_no_expression_stays_as_it_is() {
        let rows = [
            ("MIT", "id MIT"),
            (" mit ", "id MIT"),
            ("GPL-2.0", "id GPL-2.0"),
            ("MIT AND GPL-2.0-only", "expression MIT AND GPL-2.0-only"),
            ("(MIT or  Apache-2.0)", "expression (MIT OR Apache-2.0)"),
            (
                "GPL-2.0-or-later WITH Classpath-exception-2.0",
                "expression GPL-2.0-or-later WITH Classpath-exception-2.0",
            ),
            ("Apache-2.0+", "expression Apache-2.0+"),
            (
                "MIT AND LicenseRef-Fedora-Public-Domain",
                "expression MIT AND LicenseRef-Fedora-Public-Domain [\"LicenseRef-Fedora-Public-Domain\"]",
            ),
            ("DocumentRef-a:LicenseRef-b", "text DocumentRef-a:LicenseRef-b"),
            ("GPLv2+ and BSD", "text GPLv2+ and BSD"),
            ("MIT/Apache-2.0", "text MIT/Apache-2.0"),
            ("Apache License, Version 2.0", "text Apache License, Version 2.0"),
            ("SEE LICENSE IN LICENSE.md", "text SEE LICENSE IN LICENSE.md"),
            ("MIT AND", "text MIT AND"),
            ("MIT AND NOASSERTION", "text MIT AND NOASSERTION"),
        ];
        for (text, expected) in rows {
            let licenses = Reader::default().read_all(&[text.to_owned(), text.to_owned()]);
            assert_eq!(licenses.into_iter().map(shown).collect::<Vec<_>>(), [expected], "{text}");
        }
    }

    #[test]
    fn debians_names_are_translated() {
        let rows = [
            ("Expat", "id MIT"),
            ("GPL-2", "id GPL-2.0-only"),
            ("GPL-2+", "id GPL-2.0-or-later"),
            ("LGPL-2.1+", "id LGPL-2.1-or-later"),
            ("BSD-3-clause", "id BSD-3-Clause"),
            ("GPL-2+ or Artistic", "expression GPL-2.0-or-later OR Artistic-1.0"),
            ("GPL-2+ or Artistic, and Expat", "expression (GPL-2.0-or-later OR Artistic-1.0) AND MIT"),
            ("Zlib, or Expat and ISC", "expression Zlib OR (MIT AND ISC)"),
            ("Perl", "expression (GPL-1.0-or-later OR Artistic-1.0-Perl)"),
            ("GPL-2+ with OpenSSL exception", "text GPL-2+ with OpenSSL exception"),
            ("public-domain", "text public-domain"),
            ("GPL-99", "text GPL-99"),
            ("Zlib+", "expression Zlib+"),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(read_debian(text)), expected, "{text}");
        }
        let of = |detail| Reader::default().read_all_of(&["Expat".to_owned()], &detail);
        assert_eq!(of(PackageDetail::Deb), [License::Id("MIT")]);
        assert_eq!(of(PackageDetail::Apk), [License::Text("Expat".into())]);
    }

    #[test]
    fn what_says_nothing_is_no_licence() {
        let texts = ["", " ", "NOASSERTION", "NONE"].map(str::to_owned);
        assert_eq!(Reader::default().read_all(&texts), []);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[ ,()+A-Za-z0-9.:ä-]{0,80}", words in prop::collection::vec(
            prop::sample::select(vec!["MIT", "GPL-2+", "and", "or", "AND", "OR", "WITH", "(", ")", "Expat,", ",", "LicenseRef-a"]), 0..20,
        )) {
            for text in [text, words.join(" ")] {
                read(&text);
                // What is told as an expression is one.
                if let License::Expression { text, .. } = read_debian(&text) {
                    prop_assert!(Expression::parse_mode(&text, MODE).is_ok(), "{text}");
                }
            }
        }
    }

    #[test]
    fn endless_texts_are_cut() {
        let text = format!("MIT{}", " AND MIT".repeat(100_000));
        let License::Text(kept) = read(&text) else { panic!("no text") };
        assert_eq!(kept.chars().count(), MAX_TEXT);
        let nested = format!("{}MIT{}", "(".repeat(2000), ")".repeat(2000));
        assert!(matches!(read(&nested), License::Expression { .. } | License::Text(_)));
    }
}
