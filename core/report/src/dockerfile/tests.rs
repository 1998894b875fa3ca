use serde_json::{Value, json};

use super::*;

fn analysis(text: &str) -> Value {
    json!(DockerfileAnalysis::parse(text))
}

#[test]
fn the_base_is_that_of_the_last_stage() {
    let rows = [
        ("FROM debian", json!("debian"), None),
        ("from a\nFROM b:1", json!("b:1"), None),
        ("FROM a AS x\nFROM b as y\nFROM X", json!("a"), None),
        ("FROM a AS x\nFROM x AS y\nFROM y", json!("a"), None),
        ("FROM --platform=linux/arm64 debian:12 AS x", json!("debian:12"), None),
        ("ARG BASE=debian\nFROM ${BASE}:12", json!("debian:12"), None),
        ("ARG A=x\nARG B=$A-y\nFROM $B", json!("x-y"), None),
        ("ARG A\nFROM ${A:-alpine}", json!("alpine"), None),
        ("ARG A=\"q\"\nFROM $A", json!("q"), None),
        ("# escape=`\nFROM `\n  debian", json!("debian"), None),
        ("FROM \\\n# a comment\n\n  debian", json!("debian"), None),
        ("RUN <<EOF\nFROM x\nEOF\nFROM y", json!("y"), None),
        ("FROM scratch", json!("scratch"), None),
        ("ARG A\nFROM $A", Value::Null, Some("BASE_IMAGE_NON_RESOLVABLE")),
        ("FROM $A:1", Value::Null, Some("BASE_IMAGE_NON_RESOLVABLE")),
        ("", Value::Null, Some("BASE_IMAGE_NAME_NOT_FOUND")),
        ("RUN x", Value::Null, Some("BASE_IMAGE_NAME_NOT_FOUND")),
    ];
    for (text, base, error) in rows {
        let analysis = analysis(text);
        assert_eq!(analysis.get("baseImage").cloned().unwrap_or_default(), base, "{text}");
        assert_eq!(analysis.get("error").cloned(), error.map(|code| json!({ "code": code })), "{text}");
    }
}

#[test]
fn run_instructions_are_joined_and_their_variables_replaced() {
    let rows = [
        (
            "RUN apt-get update && \\\n    apt-get install -y a \\\n  b",
            "RUN apt-get update && apt-get install -y a b",
        ),
        ("ARG V=1\nRUN apt-get install a=$V", "RUN apt-get install a=1"),
        ("ARG V=1\nENV V=2\nRUN apt-get install a=${V}", "RUN apt-get install a=2"),
        ("ENV V 1 2\nRUN apt-get install a=$V", "RUN apt-get install a=1 2"),
        ("ENV V=\"1 2\" W=3\nRUN apt-get install a=$V$W", "RUN apt-get install a=1 23"),
        ("RUN apt-get install a$UNKNOWN b", "RUN apt-get install a b"),
        ("RUN apt-get install a $(x) \\$V", "RUN apt-get install a $(x) \\$V"),
        ("ENV V=1\nFROM b\nRUN apt-get install a$V", "RUN apt-get install a"),
        ("RUN <<EOF\napt-get install a\nrm x\nEOF", "RUN <<EOF\napt-get install a\nrm x"),
    ];
    for (text, expected) in rows {
        let analysis = analysis(&format!("ARG G=1\nFROM debian\n{text}\nCOPY x y"));
        assert_eq!(analysis["dockerfilePackages"]["a"]["instruction"], expected, "{text}");
    }
}

#[test]
fn an_argument_of_the_beginning_is_known_where_it_is_declared_again() {
    let text = "ARG V=1\nFROM debian\nRUN apt-get install a=$V\nARG V\nRUN apt-get install b=$V";
    let packages = &analysis(text)["dockerfilePackages"];
    assert_eq!(packages["a"]["instruction"], "RUN apt-get install a=");
    assert_eq!(packages["b"]["instruction"], "RUN apt-get install b=1");
}

#[test]
fn values_that_double_with_every_line_stay_bounded() {
    let lines = (0..100).map(|n| format!("ENV V{}=$V{n}$V{n}\n", n + 1));
    let mut text: String = ["ENV V0=0123456789\n".to_owned()].into_iter().chain(lines).collect();
    text.push_str("FROM $V100\nRUN apt-get install a=$V100");
    assert_eq!(analysis(&text)["error"]["code"], "BASE_IMAGE_NON_RESOLVABLE");
}
