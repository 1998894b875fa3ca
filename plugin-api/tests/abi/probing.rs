//! Libraries of which nothing else is at hand.

use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::testkit::probe;

use crate::loaded;

fn breaches(fixture: &str, values: &[(&str, &str)]) -> String {
    let values: Vec<_> =
        values.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
    probe(&loaded(fixture), &values).join("\n")
}

#[test]
fn a_library_is_held_against_the_contract_without_its_registry() {
    let rows = [
        ("fixture-panic", ("where", "before-await"), "validate panics: the driver panicked: a panic before"),
        ("fixture-panic", ("where", "connect"), "connect panics: the driver panicked: a panic in connect"),
        ("fixture-panic", ("where", "drop"), "the driver panicked: a panic in the driver's own drop"),
        ("fixture-panic", ("where", "local-drop"), "validate waits for something that is not its host"),
    ];
    for (fixture, value, sentence) in rows {
        let found = breaches(fixture, &[value]);
        assert!(found.contains(sentence), "{value:?}: {found}");
    }
    // What it can't be asked without is asked for, and that is all that is known of it then.
    assert_eq!(breaches("fixture-panic", &[]), "");
    assert_eq!(breaches("fixture-echo", &[]), "");
}
