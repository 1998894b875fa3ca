use serde_json::json;

use super::*;

fn names(instruction: &str) -> Vec<(String, String)> {
    let commands = Commands::parse(instruction);
    commands.packages().map(|name| (name.to_owned(), commands.installed(name).install_command)).collect()
}

#[test]
fn installers_are_recognised() {
    let rows: [(&str, &[(&str, &str)]); 16] = [
        ("RUN apt-get install -y curl", &[("curl", "apt-get install -y curl")]),
        (
            "RUN apt-get -y install   a=1.0  b",
            &[("a", "apt-get -y install a=1.0 b"), ("b", "apt-get -y install a=1.0 b")],
        ),
        ("RUN apt install git", &[("git", "apt install git")]),
        ("/bin/sh -c apk --no-cache add -u jq", &[("jq", "apk --no-cache add -u jq")]),
        ("RUN dnf -y install two", &[("two", "dnf -y install two")]),
        ("RUN microdnf install --nodocs four", &[("four", "microdnf install --nodocs four")]),
        ("RUN rpm -i /tmp/five.rpm", &[("/tmp/five.rpm", "rpm -i /tmp/five.rpm")]),
        ("RUN rpm --install x", &[("x", "rpm --install x")]),
        (
            "RUN yum install -y one;aptitude install six",
            &[("one", "yum install -y one"), ("six", "aptitude install six")],
        ),
        ("RUN a && apt-get install b&&c", &[("b", "apt-get install b")]),
        ("RUN apt-get update", &[]),
        ("RUN apt-get install", &[]),
        ("RUN apt-get --force install x", &[]),
        ("COPY apt-get /", &[]),
        (
            "RUN |1 V=1 /bin/sh -c apt-get install $X y",
            &[("X", "apt-get install $X y"), ("y", "apt-get install $X y")],
        ),
        (
            "RUN DEBIAN_FRONTEND=noninteractive sudo apt-get install -y curl=7.88.1",
            &[("curl", "DEBIAN_FRONTEND=noninteractive sudo apt-get install -y curl=7.88.1")],
        ),
    ];
    for (instruction, expected) in rows {
        let expected: Vec<_> = expected.iter().map(|&(n, c)| (n.to_owned(), c.to_owned())).collect();
        assert_eq!(names(instruction), expected, "{instruction}");
    }
}

#[test]
fn of_two_instructions_that_install_a_package_the_later_counts() {
    let texts = ["RUN apt-get install a", "RUN apt-get install a b"].map(str::to_owned);
    assert_eq!(
        json!(Instructions::parse(texts)),
        json!({
            "dockerfilePackages": {
                "a": { "instruction": "RUN apt-get install a b", "installCommand": "apt-get install a b" },
                "b": { "instruction": "RUN apt-get install a b", "installCommand": "apt-get install a b" },
            },
            "dockerfileLayers": {
                "UlVOIGFwdC1nZXQgaW5zdGFsbCBhIGI=": { "instruction": "RUN apt-get install a b" },
            },
        })
    );
}

#[test]
fn endless_instructions_are_cut_and_that_is_told() {
    let endless = Instructions::parse([format!("RUN apt-get install {}", "a ".repeat(20_000))]);
    assert!(!endless.is_recognised() && endless.is_cut);
    let names: Vec<String> = (0..4000).map(|n| format!("lib{n}")).collect();
    let many = Instructions::parse([format!("RUN apt-get install {}", names.join(" "))]);
    assert!(many.is_recognised() && many.is_cut);
    assert!(many.dockerfile_packages.len() < 400);
}

fn history(entries: &[Value]) -> Vec<String> {
    let entries: Vec<History> = entries.iter().map(|e| e.as_object().unwrap().clone()).collect();
    Instructions::of_user(&entries).dockerfile_packages.into_keys().collect()
}

#[test]
fn user_instructions_are_those_of_the_last_five_hours() {
    let entry = |time: &str, name: &str| json!({ "created": time, "created_by": format!("RUN apt-get install {name} # buildkit") });
    let base = entry("2025-01-01T00:00:00Z", "base");
    let rows: [(&str, Vec<Value>, &[&str]); 7] = [
        ("no history", vec![], &[]),
        ("nothing older", vec![entry("2025-01-01T00:00:00Z", "a"), entry("2025-01-01T01:00:00Z", "b")], &[]),
        (
            "the window",
            vec![
                base.clone(),
                entry("2025-01-02T00:59:59Z", "x"),
                entry("2025-01-02T01:00:00Z", "a"),
                entry("2025-01-02T06:00:00.123456789Z", "b"),
            ],
            &["b"],
        ),
        (
            "the window is closed",
            vec![base.clone(), entry("2025-01-02T01:00:00Z", "a"), entry("2025-01-02T06:00:00Z", "b")],
            &["a", "b"],
        ),
        ("no dates", vec![base.clone(), json!({ "created_by": "RUN apt-get install a" })], &[]),
        ("a date that is none", vec![base.clone(), entry("yesterday", "a")], &[]),
        (
            "empty layers and silent entries are left out",
            vec![
                base,
                json!({ "created": "2025-01-02T00:00:00Z", "created_by": "RUN apt-get install e", "empty_layer": true }),
                json!({ "created": "2025-01-02T00:00:00Z" }),
                entry("2025-01-02T00:00:00Z", "a"),
            ],
            &["a"],
        ),
    ];
    for (name, entries, expected) in rows {
        // The mark of the builder is no package.
        assert_eq!(history(&entries), expected, "{name}");
    }
}
