//! Java runtimes that no package manager installed, told by the `release` file in their directory (JEP 223).

use super::text::{lines, text};
use super::{About, Analyzer, Reported, View, Want};
use crate::finding::{Findings, Runtime};

/// The release file of Eclipse Temurin's images.
const FILES: &[&str] = &["/opt/java/openjdk/release"];

/// Where other images have runtimes: the official `openjdk` images, distributions, Oracle's packages.
const PREFIXES: [&str; 3] = ["/usr/local/openjdk-", "/usr/lib/jvm/", "/usr/java/"];

/// The content of release files in the directories that have a version in their name.
fn pattern(path: &str) -> Want {
    if is_elsewhere(path) { Want::CONTENT } else { Want::NOTHING }
}

fn is_elsewhere(path: &str) -> bool {
    path.ends_with("/release") && PREFIXES.iter().any(|prefix| path.starts_with(prefix))
}

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Java runtimes",
        detects: "The version of a Java runtime that no package manager installed. Scan results name one.",
        files: &[
            "/opt/java/openjdk/release",
            "/usr/local/openjdk-**/release",
            "/usr/lib/jvm/**/release",
            "/usr/java/**/release",
        ],
        limits: &[],
        reported: Reported::Everywhere,
    },
    files: FILES,
    directories: &[],
    ends: &["/release"],
    pattern,
    run,
};

/// Lists the runtimes in merge order. A file without a usable version is none.
fn run(view: &View<'_>, findings: &mut Findings) {
    for file in view.overlay.files() {
        let path = file.path.as_str();
        if (FILES.contains(&path) || is_elsewhere(path))
            && let Some(version) = file.kept.content.as_deref().and_then(parse_release)
        {
            findings.runtimes.push(Runtime { kind: "java", version, path: file.path.clone() });
        }
    }
}

/// The version that a release file tells: the value of its only `JAVA_VERSION` line. `None` if there are several such
/// lines, since then nobody knows which runtime is there, or if the value doesn't look like a version.
pub(super) fn parse_release(data: &[u8]) -> Option<String> {
    let mut values = lines(data).filter_map(java_version);
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    is_version(value).then(|| text(value))
}

/// The value of `JAVA_VERSION = value`, without quotes, or bare up to a comment.
fn java_version(line: &[u8]) -> Option<&[u8]> {
    let value =
        line.trim_ascii().strip_prefix(b"JAVA_VERSION")?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii();
    let value = match value {
        [quote @ (b'"' | b'\''), quoted @ ..] => quoted.split(|byte| byte == quote).next()?,
        bare => bare.split(|&byte| byte == b'#').next()?.trim_ascii(),
    };
    Some(value)
}

/// Starts with a digit, ends with a letter or digit, and between them has what versions have.
fn is_version(value: &[u8]) -> bool {
    value.first().is_some_and(u8::is_ascii_digit)
        && value.last().is_some_and(u8::is_ascii_alphanumeric)
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(byte))
        && !value.windows(2).any(|pair| pair == b"..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_only_version_line_tells_the_version() {
        let rows = [
            (
                "IMPLEMENTOR=\"Eclipse Adoptium\"\nJAVA_VERSION=\"17.0.10\"\nMODULES=\"java.base\"\n",
                Some("17.0.10"),
            ),
            ("JAVA_VERSION = '1.8.0_392' \r\nJAVA_VERSION_DATE=\"2023-10-17\"\n", Some("1.8.0_392")),
            ("JAVA_VERSION=21.0.1+12-LTS # the newest\n", Some("21.0.1+12-LTS")),
            ("JAVA_VERSION=\"17.0.1\"\nJAVA_VERSION=\"11.0.2\"\n", None),
            ("JAVA_VERSION=\"17..0\"\n", None),
            ("JAVA_VERSION=\"17.0.\"\n", None),
            ("JAVA_VERSION=\"v17\"\n", None),
            ("JAVA_VERSION=\"17 0\"\n", None),
            ("JAVA_VERSION=\"\"\n", None),
            ("JAVA_VERSION_DATE=\"2023-10-17\"\n", None),
            ("", None),
        ];
        for (data, version) in rows {
            assert_eq!(parse_release(data.as_bytes()).as_deref(), version, "{data:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_values_are_versions_or_nothing(value in "[ -~]{0,12}") {
            if let Some(version) = parse_release(format!("JAVA_VERSION={value}").as_bytes()) {
                prop_assert!(is_version(version.as_bytes()));
            }
        }
    }
}
