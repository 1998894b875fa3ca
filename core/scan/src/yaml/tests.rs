//! YAML as lock files have it, and as nobody's lock file has it.

use std::fmt::Write as _;

use super::*;

/// A value in one line: maps in braces, lists as brackets, nothing as `-`.
fn show(value: YamlValue<'_>) -> String {
    if value.is_map() {
        let entries: Vec<_> =
            value.entries().map(|(name, value)| format!("{name}={}", show(value))).collect();
        format!("{{{}}}", entries.join(" "))
    } else if value.is_null() {
        "-".to_owned()
    } else if let Some(text) = value.text() {
        text.to_owned()
    } else {
        "[]".to_owned()
    }
}

#[test]
fn values_are_read_as_text_and_aliases_share_them() {
    let rows = [
        ("a: 1.10\nb: 'true'\n", "{a=1.10 b=true}"),
        ("'/@a/b@1(c@2)': {integrity: x==}\n", "{/@a/b@1(c@2)={integrity=x==}}"),
        ("a: {}\nb:\nc: ~\nd: ''\n", "{a={} b=- c=- d=}"),
        ("a: &x {b: 1}\nc: *x\n", "{a={b=1} c={b=1}}"),
        ("a: &x [1, 2]\nb: &x 3\nc: *x\n", "{a=[] b=3 c=3}"),
        ("? \"a, b\"\n: 1\n", "{a, b=1}"),
        ("a: 1\na: 2\n", "{a=1 a=2}"),
        ("? [x]\n: 1\nb: 2\n", "{b=2}"),
        ("<<: {a: 1}\n", "{<<={a=1}}"),
    ];
    for (text, expected) in rows {
        let yaml = Yaml::parse(text).unwrap();
        assert_eq!(yaml.documents().map(show).collect::<Vec<_>>(), [expected], "{text}");
    }
}

#[test]
fn of_a_name_that_comes_twice_the_last_value_counts() {
    let yaml = Yaml::parse("a: 1\na: 2\n").unwrap();
    let document = yaml.documents().next().unwrap();
    assert_eq!(document.get("a").unwrap().text(), Some("2"));
    assert!(document.get("b").is_none());
}

#[test]
fn documents_are_kept_apart() {
    let yaml = Yaml::parse("---\na: 1\n---\nb: 2\n").unwrap();
    assert_eq!(yaml.documents().map(show).collect::<Vec<_>>(), ["{a=1}", "{b=2}"]);
    assert_eq!(Yaml::parse("# nothing\n").unwrap().documents().count(), 0);
}

#[test]
fn what_expands_without_end_is_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{before}]").unwrap();
    }
    assert_eq!(Yaml::parse(&bomb).err(), Some(YamlError::TooLarge));
}

#[test]
fn deep_and_large_files_are_refused() {
    for text in ["[".repeat(1_000_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000)] {
        assert!(Yaml::parse(&text).is_err());
    }
    assert_eq!(Yaml::parse(&"- ".repeat(MAX_DEPTH + 2)).err(), Some(YamlError::TooLarge));
    assert_eq!(Yaml::parse(&"-\n".repeat(MAX_NODES + 1)).err(), Some(YamlError::TooLarge));
}

#[test]
fn more_anchors_than_any_lock_file_has_are_refused() {
    let text = format!("[{}]", "&a x,".repeat(MAX_ANCHORS + 1));
    assert_eq!(Yaml::parse(&text).err(), Some(YamlError::TooLarge));
}

#[test]
fn aliases_of_nothing_or_of_themselves_are_refused() {
    assert_eq!(Yaml::parse("a: &x [1, *x]\n").err(), Some(YamlError::Alias));
    assert!(Yaml::parse("a: *x\n").is_err());
    assert!(Yaml::parse("a: [1\n").is_err());
}
