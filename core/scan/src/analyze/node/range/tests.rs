//! Ranges against versions, with the answers that npm gives.

use proptest::prelude::*;

use super::*;

fn check(rows: &[(&str, &[&str])], expected: bool) {
    for (text, versions) in rows {
        let range = Range::parse(text).unwrap_or_else(|| panic!("{text} is a range"));
        for version in *versions {
            assert_eq!(range.accepts(&Version::parse(version).unwrap()), expected, "{version} in {text}");
        }
    }
}

#[test]
fn ranges_accept_what_npm_accepts() {
    check(
        &[
            ("1.0.0 - 2.0.0", &["1.2.3", "2.0.0"]),
            ("1.2.3+asdf - 2.4.3+asdf", &["1.2.3"]),
            ("1.2.3-pre+asdf - 2.4.3-pre+asdf", &["1.2.3-pre.2", "2.4.3-alpha"]),
            ("1.2 - 2", &["1.2.0", "2.9.9"]),
            ("* - 2", &["0.0.1"]),
            ("^1.2.3", &["1.2.3", "1.8.1"]),
            ("^0.1", &["0.1.2"]),
            ("^0.1.2", &["0.1.2"]),
            ("^0.0.1", &["0.0.1"]),
            ("^0.0.1-beta", &["0.0.1-beta.2", "0.0.1"]),
            ("^0.0.1-alpha", &["0.0.1-beta"]),
            ("^1.2.0-alpha", &["1.2.0-pre", "1.9.0"]),
            ("^0", &["0.9.9"]),
            ("^x", &["3.2.1"]),
            ("^ 1.2", &["1.4.2"]),
            ("~2.4", &["2.4.0", "2.4.5"]),
            ("~>3.2.1", &["3.2.2"]),
            ("~1", &["1.2.3"]),
            ("~> 1", &["1.2.3"]),
            ("~1.0.3-beta", &["1.0.3-beta.1", "1.0.9"]),
            ("1.2.3", &["1.2.3"]),
            ("v1.2.3", &["1.2.3"]),
            ("=v1", &["1.9.0"]),
            ("", &["1.0.0"]),
            ("*", &["1.2.3", "0.0.0"]),
            ("x", &["1.2.3"]),
            (">=1.0.0", &["1.0.0", "1.1.0"]),
            (">1.0.0", &["1.0.1"]),
            ("<=2.0.0", &["2.0.0", "0.2.9"]),
            ("<=  2.0.0", &["1.9999.9999"]),
            ("<\t2.0.0", &["0.2.9"]),
            (">1", &["2.0.0"]),
            (">1.2", &["1.3.0"]),
            ("<=1", &["1.9.9"]),
            ("<=7.x", &["7.9.9"]),
            (">=1.x", &["1.0.0"]),
            (">=*", &["0.2.4"]),
            ("0.1.20 || 1.2.4", &["1.2.4"]),
            (">=0.2.3 || <0.0.1", &["0.0.0", "0.2.4"]),
            ("1.2.x || 2.x", &["2.1.3", "1.2.3"]),
            ("2.*.*", &["2.1.3"]),
            ("~v0.5.4-pre", &["0.5.5", "0.5.4"]),
        ],
        true,
    );
}

#[test]
fn ranges_refuse_what_npm_refuses() {
    check(
        &[
            ("*", &["1.0.0-beta"]),
            ("", &["1.0.0-rc.1"]),
            (">=0.0.0", &["1.0.0-rc.1"]),
            ("^1.2.3", &["2.0.0", "2.0.0-alpha", "1.2.3-pre", "1.2.2"]),
            ("^1.2.3-beta", &["1.3.0-beta"]),
            ("^0.1.2", &["0.2.0"]),
            ("^0.0.1", &["0.0.2", "0.0.2-alpha"]),
            ("~1.2.3", &["1.3.0"]),
            ("~1", &["2.0.0"]),
            ("<1", &["1.0.0", "1.0.0-beta"]),
            (">1", &["1.9.9"]),
            (">1.2", &["1.2.8"]),
            ("<x", &["0.0.0"]),
            (">*", &["9.0.0"]),
            ("1.2 - 2", &["3.0.0", "3.0.0-0"]),
            ("1.0.0 - 2.0.0", &["2.2.3"]),
            (">=1.0.0 <1.1.0-alpha", &["1.1.0-beta"]),
            ("=1.2.3", &["1.2.4"]),
            ("1 >2.0.0 || <0.1", &["1.5.0", "2.5.0"]),
        ],
        false,
    );
}

#[test]
fn what_is_no_range_is_none() {
    for text in [
        "latest",
        "next",
        "github:o/r",
        "file:../x",
        "npm:a@1",
        "workspace:*",
        "1.2.3.4",
        "git+ssh://x/y.git",
        "> ",
        "^",
        "1.2-beta",
        "==1.2.3",
        "1.0.0 latest",
        "1 || nope",
        "01.2.3",
        "^9007199254740991",
        "1.2.3-01",
        "~~1",
        "a - b",
    ] {
        assert_eq!(Range::parse(text), None, "{text}");
    }
    assert_eq!(Range::parse(&"1 ".repeat(MAX_LENGTH)), None, "longer than any real range");
}

#[test]
fn a_range_lies_within_another_as_npm_sees_it() {
    let rows = [
        ("1.2.3", "1.2.3", true),
        ("1.2.3", "1.x", true),
        ("1.2.3", ">1.2.3", false),
        ("^1.2.3", "1", true),
        ("^1.2.3", "*", true),
        ("*", "*", true),
        ("*", "^1", false),
        ("", ">=0.0.0", true),
        ("1", "^1.2.3", false),
        (">=1.2.3 <2", "1 || 2", true),
        ("1 || 2", "1 || 2 || 3", true),
        ("1 || 4", "1 || 2 || 3", false),
        ("^2 || ^3", "^3", false),
        (">2 <1", "3", true),
        ("1 2", "3", true),
        (">=1.2.3-pre", ">=1", false),
        ("^1.2.3-pre.0", "1.x", false),
        (">1.2.3", "<3", false),
        ("<1.2.3", ">0.1", false),
        (">=1.2.3 <=1.2.3", "1.2.3", true),
        ("1.2.3-alpha", "1.2.3-alpha || 2", true),
        ("1.2.3-alpha", "^1.0.0", false),
        // It accepts 1.2.3-beta, by its last part, and to npm it is empty all the same.
        ("1.2 1 1.2.3-beta", "13.1.3", true),
    ];
    for (part, whole, expected) in rows {
        let (part_range, whole_range) = (Range::parse(part).unwrap(), Range::parse(whole).unwrap());
        assert_eq!(part_range.is_within(&whole_range), expected, "{part} in {whole}");
    }
}

/// Texts of ranges, most of which are some.
fn ranges() -> impl Strategy<Value = String> {
    let version = "[0-2](\\.[0-2x]){0,2}|[0-2]\\.[0-2]\\.[0-2]-(0|1|a|b\\.1)";
    let comparator = ("(|\\^|~|>=|<=|<|>|=)", version).prop_map(|(op, version)| op + &version);
    let set = prop::collection::vec(comparator, 1..3).prop_map(|set| set.join(" "));
    let hyphen = (version, version).prop_map(|(from, to)| format!("{from} - {to}"));
    prop::collection::vec(prop_oneof![4 => set, 1 => hyphen], 1..3).prop_map(|sets| sets.join(" || "))
}

proptest! {
    #[test]
    fn what_a_range_accepts_every_range_around_it_accepts(
        part in ranges(),
        whole in ranges(),
        // No prerelease: for those npm's own answers are at odds with each other.
        version in "[0-2]\\.[0-2]\\.[0-2]",
    ) {
        let version = Version::parse(&version).unwrap();
        if let (Some(part), Some(whole)) = (Range::parse(&part), Range::parse(&whole)) {
            prop_assert!(part.is_within(&part));
            prop_assert!(!part.is_within(&whole) || !part.accepts(&version) || whole.accepts(&version));
        }
    }

    #[test]
    fn any_text_is_a_range_or_none(text in "[\\^~<>=|. xX*0-9a-z@:/+\u{e4}-]{0,30}") {
        if let Some(range) = Range::parse(&text) {
            prop_assert!(range.is_within(&range));
        }
    }
}
