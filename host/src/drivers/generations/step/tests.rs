use regent_oci::Digest;

use super::*;
use crate::drivers::SignatureState;
use crate::drivers::fixtures::described;
use crate::drivers::index::{Refused, Source};

/// A file: its name, its bytes, and the driver's name and version, or nothing where it is refused.
type File<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>);

fn entry((file, bytes, driver): File<'_>) -> Arc<Entry> {
    let source = Source::File { path: format!("/plugins/{file}").into(), directory: "/plugins".into() };
    let outcome = driver.map(|(name, version)| described(name, version, &[name]));
    let refused = || Refused::new("truncated", "cut short".to_owned());
    let digest = (!bytes.is_empty()).then(|| Digest::sha256(bytes.as_bytes()));
    let signature = SignatureState::Missing;
    Arc::new(Entry { source, digest, signature, outcome: outcome.ok_or_else(refused) })
}

#[test]
fn what_serves_changes_for_a_better_file_and_for_nothing_else() {
    const LIVE: File<'_> = ("a.so", "two", Some(("a", "2.0.0")));
    let rows: [(&str, &[File<'_>], &str); 13] = [
        ("nothing changed", &[LIVE], "stay"),
        ("the file was renamed", &[("b.so", "two", LIVE.2)], "stay"),
        ("an older one lies beside it", &[("0.so", "one", Some(("a", "1.0.0"))), LIVE], "stay"),
        ("a newer one lies beside it", &[LIVE, ("b.so", "three", Some(("a", "3.0.0")))], "try b.so"),
        ("another driver lies beside it", &[LIVE, ("b.so", "three", Some(("b", "3.0.0")))], "stay"),
        ("it was replaced by a newer one", &[("a.so", "three", Some(("a", "3.0.0")))], "try a.so"),
        ("it was replaced by an older one", &[("a.so", "one", Some(("a", "1.0.0")))], "try a.so"),
        ("it was rebuilt under the same version", &[("a.so", "new", LIVE.2)], "try a.so"),
        ("it was replaced by a bad one", &[("a.so", "bad", None)], "keep"),
        ("it was replaced by one that can't be read", &[("a.so", "", None)], "keep"),
        (
            "it was replaced by a bad one, and an older one lies there",
            &[("0.so", "one", Some(("a", "1.0.0"))), ("a.so", "bad", None)],
            "keep",
        ),
        ("it was removed", &[("b.so", "three", Some(("b", "3.0.0")))], "leave"),
        ("its bytes are no longer trusted", &[("a.so", "two", None)], "leave"),
    ];
    for (case, files, expected) in rows {
        let files = Snapshot { entries: files.iter().copied().map(entry).collect() };
        let told = match next(&files, &entry(LIVE)) {
            Step::Stay => "stay".to_owned(),
            Step::Keep(_) => "keep".to_owned(),
            Step::Leave(_) => "leave".to_owned(),
            Step::Try(entry) => format!("try {}", entry.label()),
        };
        assert_eq!(told, expected, "{case}");
    }
}

#[test]
fn when_the_newest_file_is_removed_the_one_before_takes_over() {
    let live = entry(("b.so", "two", Some(("a", "2.0.0"))));
    let files = Snapshot { entries: vec![entry(("a.so", "one", Some(("a", "1.0.0"))))] };
    assert!(matches!(next(&files, &live), Step::Try(entry) if entry.label() == "a.so"));
}
