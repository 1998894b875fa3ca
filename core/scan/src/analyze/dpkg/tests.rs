use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// `name version source/source-version [provides] [depends]` of each package.
fn summary(data: &[u8]) -> Vec<String> {
    parse_status(data).into_packages().iter().map(summarize).collect()
}

fn summarize(package: &Package) -> String {
    let source = package.source.as_ref().map_or_else(String::new, |source| {
        format!(" <{}{}>", source.name, source.version.as_ref().map_or(String::new(), |v| format!(" {v}")))
    });
    format!(
        "{} {}{source} [{}] [{}]",
        package.name,
        package.version.as_deref().unwrap_or("-"),
        package.provides.join(" "),
        package.depends.join(" ")
    )
}

#[test]
fn stanzas_become_packages() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "an ordinary stanza",
            "Package: app\nStatus: install ok installed\nSource: app-src (2:1.4~rc1-3)\nVersion: 2:1.4~rc1-3+b2\n\
             Depends: liba (>= 1.0), libb | libc-alt, python3:any,\nPre-Depends: dpkg (>= 1.17)\n\
             Provides: mta (= 5), mail-agent\nDescription: app: an app\n a longer text: with colon\n .\n Version: no\n",
            &[
                "app 2:1.4~rc1-3+b2 <app-src 2:1.4~rc1-3> [mta mail-agent] [liba libb libc-alt python3:any dpkg]",
            ],
        ),
        ("a source without a version", "Package: a\nSource: b\nVersion: 1\n", &["a 1 <b> [] []"]),
        (
            "a version before the name",
            "Package: foo\nDepends: late\nVersion: 2\n\nVersion: 3\nPackage: late\n\n",
            &["foo 2 [] [late]", "late 3 [] []"],
        ),
        (
            "carriage returns",
            "Package: foo\r\nVersion: 1.0\r\n\r\nPackage: bar\r\n",
            &["foo 1.0 [] []", "bar - [] []"],
        ),
        (
            "a missing empty line",
            "Package: a\nVersion: 1\nPackage: b\nVersion: 2",
            &["a 1 [] []", "b 2 [] []"],
        ),
        (
            "a file that is cut off",
            "Package: a\nVersion: 1\n\nPackage: b\nArchitectur",
            &["a 1 [] []", "b - [] []"],
        ),
        (
            "removed packages",
            "Package: gone\nStatus: deinstall ok config-files\nVersion: 0.9\n",
            &["gone 0.9 [] []"],
        ),
        ("one name twice", "Package: a\nVersion: 1\n\nPackage: a\nVersion: 2\n", &["a 1 [] []", "a 2 [] []"]),
        ("empty lines and stanzas without a name", "\n\n\nVersion: 1\n\n\nPackage:\nVersion: 2\n", &[]),
        ("checksums", "d41d8cd98f00b204e9800998ecf8427e  usr/share/doc/tzdata/copyright\n", &[]),
        ("nothing", "", &[]),
    ];
    for (name, data, expected) in rows {
        assert_eq!(summary(data.as_bytes()), *expected, "{name}");
    }
}

#[test]
fn a_stanza_tells_state_architecture_and_alternatives() {
    let rows = [
        ("install ok installed", false),
        ("hold ok unpacked", false),
        ("deinstall ok config-files", true),
        ("purge ok not-installed", true),
        ("", false),
    ];
    for (status, is_removed) in rows {
        let stanza = format!(
            "Package: a\nStatus: {status}\nArchitecture: amd64\nPre-Depends: x | y\nDepends: b, c | d | e (>= 1),, f\n"
        );
        let package = parse_status(stanza.as_bytes()).into_packages().remove(0);
        assert_eq!(package.is_removed, is_removed, "{status}");
        assert_eq!(package.architecture.as_deref(), Some("amd64"));
        assert_eq!(package.depends, ["x", "y", "b", "c", "d", "e", "f"]);
        assert_eq!(package.alternatives, [1, 4, 5]);
    }
}

#[test]
fn text_that_is_not_utf8_does_not_end_the_reading() {
    let status =
        b"Package: foo\nMaintainer: D\xe9mo <d@example.org>\nVersion: 1.0\n\nPackage: b\xff\nVersion: 2\n";
    assert_eq!(summary(status), ["foo 1.0 [] []", "b\u{fffd} 2 [] []"]);
}

#[test]
fn automatic_installation_is_told_by_the_value_one() {
    let rows: &[(&str, &[&str])] = &[
        ("Package: a\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: b\nAuto-Installed: 0\n", &["a"]),
        ("Auto-Installed: 1\nPackage: a\n\nPackage: b\n", &["a"]),
        ("Auto-Installed: 1\n\nPackage: b\n", &[]),
        ("", &[]),
    ];
    for (states, expected) in rows {
        let expected: HashSet<&[u8]> = expected.iter().map(|name| name.as_bytes()).collect();
        assert_eq!(parse_extended_states(states.as_bytes()), expected, "{states:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_to_their_end(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        parse_status(&data);
        parse_extended_states(&data);
    }

    #[test]
    fn arbitrary_stanzas_keep_their_names_in_order(
        names in prop::collection::vec("[a-z][a-z0-9+.-]{1,8}", 0..20),
        noise in "[A-Za-z:, \n\t|()]{0,40}",
    ) {
        let mut status = String::new();
        for name in &names {
            write!(status, "Package: {name}\nX-Noise:\n {}\n\n", noise.replace('\n', "\n ")).unwrap();
        }
        let parsed: Vec<_> =
            parse_status(status.as_bytes()).into_packages().into_iter().map(|package| package.name).collect();
        prop_assert_eq!(parsed, names);
    }
}
