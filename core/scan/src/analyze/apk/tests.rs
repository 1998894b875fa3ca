use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// `name version origin [provides] [depends]` of each package.
fn summary(data: &[u8]) -> Vec<String> {
    let packages = parse_installed(data).into_packages();
    packages
        .iter()
        .map(|package| {
            format!(
                "{} {} {} [{}] [{}]",
                package.name,
                package.version.as_deref().unwrap_or("-"),
                package.source.as_ref().map_or("-", |source| &source.name),
                package.provides.join(" "),
                package.depends.join(" ")
            )
        })
        .collect()
}

#[test]
fn records_become_packages() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "ordinary records",
            "C:Q1x=\nP:busybox\nV:1.36.1-r15\nA:x86_64\no:busybox\nD:so:libc.musl-x86_64.so.1\nF:bin\nR:busybox\na:0:0:755\n\n\
             P:busybox-binsh\nV:1.36.1-r15\no:busybox\nD:busybox=1.36.1-r15 !other\np:/bin/sh cmd:sh=1.36.1-r15\n\n\n",
            &[
                "busybox 1.36.1-r15 busybox [] [so:libc.musl-x86_64.so.1]",
                "busybox-binsh 1.36.1-r15 busybox [/bin/sh cmd:sh] [busybox]",
            ],
        ),
        (
            "operators other than = stay with the name",
            "P:a\nV:1\nD:musl>=1.2.3 busybox~1.36 zlib>1 b=1\n",
            &["a 1 - [] [musl> busybox~1.36 zlib>1 b]"],
        ),
        ("what it replaces", "P:a\nV:1\nr:old-a\n", &["a 1 - [] [old-a]"]),
        (
            "a version before the name",
            "C:Q1x=\nV:1.0\nP:late\n\nP:b\nV:2\n",
            &["late 1.0 - [] []", "b 2 - [] []"],
        ),
        ("a missing empty line", "P:a\nV:1\nP:b\nV:2\n", &["a 1 - [] []", "b 2 - [] []"]),
        ("carriage returns", "P:a\r\nV:1\r\n\r\nP:b\r\n", &["a 1 - [] []", "b - - [] []"]),
        ("a record without a name", "V:1\n\n", &[]),
        ("nothing", "", &[]),
    ];
    for (name, data, expected) in rows {
        assert_eq!(summary(data.as_bytes()), *expected, "{name}");
    }
}

#[test]
fn what_a_record_replaces_is_told_from_what_it_needs() {
    let record = "P:a\nV:1\nA:x86_64\nL:MIT AND GPL-2.0-only\nr:old other\nD:musl !c b\nr:late\n";
    let package = parse_installed(record.as_bytes()).into_packages().remove(0);
    assert_eq!(package.depends, ["old", "other", "musl", "b", "late"]);
    assert_eq!(package.replaced, [0, 1, 4]);
    assert_eq!(package.architecture.as_deref(), Some("x86_64"));
    assert_eq!(package.licenses, ["MIT AND GPL-2.0-only"]);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_to_their_end(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        parse_installed(&data);
    }

    #[test]
    fn names_and_versions_come_back_in_order(
        records in prop::collection::vec(("[a-z][a-z0-9+._-]{0,8}", "[0-9]\\.[0-9]{1,3}-r[0-9]"), 0..20),
    ) {
        let mut installed = String::new();
        for (name, version) in &records {
            write!(installed, "C:Q1=\nV:{version}\nP:{name}\n\n").unwrap();
        }
        let parsed: Vec<_> = parse_installed(installed.as_bytes())
            .into_packages()
            .into_iter()
            .map(|package| (package.name, package.version.unwrap_or_default()))
            .collect();
        prop_assert_eq!(parsed, records);
    }
}
