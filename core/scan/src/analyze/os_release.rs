//! The operating system release: os-release(5), lsb-release, and the older one-line files.

use super::text::{before, lines, text};
use super::{About, Analyzer, Reported, View, no_pattern};
use crate::finding::{Findings, Gap, OsRelease};
use crate::path::LayerPath;

/// The release files, most telling first. The first that parses decides.
const FILES: &[&str] = &[
    "/etc/os-release",
    "/usr/lib/os-release",
    "/etc/lsb-release",
    "/etc/debian_version",
    "/etc/alpine-release",
    "/etc/oracle-release",
    "/etc/redhat-release",
    "/etc/centos-release",
];

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Operating system release",
        detects: "Name, version and pretty name of the distribution. The first file that parses decides.",
        files: FILES,
        limits: &[],
        reported: Reported::Everywhere,
    },
    files: FILES,
    directories: &[],
    ends: &[],
    pattern: no_pattern,
    run,
};

/// Names the operating system, or records a gap where release files are there and none can be read.
fn run(view: &View<'_>, findings: &mut Findings) {
    let (os, gap) = detect(|path| view.overlay.content(path));
    findings.os = os;
    findings.gaps.extend(gap);
}

/// Goes through the files. Empty ones are taken for absent.
fn detect<'a>(content: impl Fn(&str) -> Option<&'a [u8]>) -> (Option<OsRelease>, Option<Gap>) {
    let mut malformed = None;
    for &path in FILES {
        let Some(data) = content(path).filter(|data| !data.is_empty()) else { continue };
        if let Some(release) = parse(path, data) {
            return (Some(release), None);
        }
        malformed.get_or_insert(path);
    }
    let gap = malformed.map(|path| Gap {
        path: LayerPath::new(path),
        code: "os_release_unreadable",
        reason:
            "no release file of the image names an operating system; its packages can't be matched to one"
                .into(),
    });
    (None, gap)
}

/// The release as the file at `path`, one of [`FILES`], tells it. `None` if it doesn't.
pub(super) fn parse(path: &str, data: &[u8]) -> Option<OsRelease> {
    let (name, version, pretty_name) = match path {
        "/etc/os-release" | "/usr/lib/os-release" => parse_os_release(data)?,
        "/etc/lsb-release" => {
            let name = value(data, b"DISTRIB_ID=")?.to_lowercase();
            (name, value(data, b"DISTRIB_RELEASE=")?, String::new())
        }
        "/etc/debian_version" => ("debian".into(), whole(before(data, b'.'), data)?, String::new()),
        "/etc/alpine-release" => ("alpine".into(), whole(data, data)?, String::new()),
        "/etc/oracle-release" => (first_word(data)?, major(data, Minor::Digits)?, String::new()),
        "/etc/redhat-release" if memchr::memmem::find(data, b"Red Hat").is_some() => {
            ("rhel".into(), major(data, Minor::Anything)?, String::new())
        }
        _ => (first_word(data)?, major(data, Minor::Anything)?, String::new()),
    };
    let (name, version) = match name.as_str() {
        "ol" => ("oracle".into(), version),
        "sles" if !version.contains('.') => (name, version + ".0"),
        _ => (name, version),
    };
    Some(OsRelease { name, version, pretty_name })
}

fn parse_os_release(data: &[u8]) -> Option<(String, String, String)> {
    let name = value(data, b"ID=")?;
    // Rolling releases have no VERSION_ID; Debian's sid is the one that matters.
    let mut version = value(data, b"VERSION_ID=").unwrap_or_else(|| "unstable".into());
    if name == "ol" {
        // Oracle's advisories are per major version.
        version = version.split('.').next().unwrap_or_default().into();
    }
    Some((name, version, value(data, b"PRETTY_NAME=").unwrap_or_default()))
}

/// What follows `key` (with its `=`) on the first line that begins with it. Double quotes are dropped wherever they
/// stand; single quotes stay. `None` if nothing is left.
fn value(data: &[u8], key: &[u8]) -> Option<String> {
    let value = lines(data).find_map(|line| line.strip_prefix(key))?;
    Some(text(value).replace('"', "")).filter(|value| !value.is_empty())
}

/// `part` as trimmed text. A file of a single character says nothing.
fn whole(part: &[u8], file: &[u8]) -> Option<String> {
    let part = text(part.trim_ascii());
    (file.len() > 1 && !part.is_empty()).then_some(part)
}

fn first_word(data: &[u8]) -> Option<String> {
    Some(text(super::text::words(data).next()?).to_lowercase())
}

/// What has to follow the dot of a version.
#[derive(Clone, Copy, PartialEq)]
enum Minor {
    Digits,
    Anything,
}

/// The first run of digits that a dot follows.
fn major(data: &[u8], minor: Minor) -> Option<String> {
    let mut parts = data.split(|&byte| byte == b'.').peekable();
    while let Some(part) = parts.next() {
        let next = parts.peek()?;
        let n_digits = part.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let (_, digits) = part.split_at(part.len() - n_digits);
        let is_followed = minor == Minor::Anything || next.first().is_some_and(u8::is_ascii_digit);
        if n_digits > 0 && is_followed {
            return Some(text(digits));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_names_its_release() {
        type Release = (&'static str, &'static str, &'static str);
        let rows: &[(&str, &str, Option<Release>)] = &[
            (
                "/etc/os-release",
                "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n",
                Some(("debian", "12", "Debian GNU/Linux 12 (bookworm)")),
            ),
            ("/usr/lib/os-release", "ID=arch\r\n", Some(("arch", "unstable", ""))),
            ("/etc/os-release", "ID=debian\nVERSION_ID=\"\"", Some(("debian", "unstable", ""))),
            (
                "/etc/os-release",
                "# comment\n ID=indented\nID=\"my distro\"\nVERSION_ID=\"1.2 beta\"\nPRETTY_NAME=\"My \"\"quoted\"\" D\"",
                Some(("my distro", "1.2 beta", "My quoted D")),
            ),
            ("/etc/os-release", "ID='sq'\nVERSION_ID=1", Some(("'sq'", "1", ""))),
            ("/etc/os-release", "ID=\"ol\"\nVERSION_ID=\"9.4\"", Some(("oracle", "9", ""))),
            ("/etc/os-release", "ID=sles\nVERSION_ID=15", Some(("sles", "15.0", ""))),
            ("/etc/os-release", "ID=sles\nVERSION_ID=15.5", Some(("sles", "15.5", ""))),
            ("/etc/os-release", "NAME=broken\n", None),
            ("/etc/os-release", "ID=\nVERSION_ID=1", None),
            ("/etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=14.04\n", Some(("ubuntu", "14.04", ""))),
            ("/etc/lsb-release", "DISTRIB_ID=Ubuntu\n", None),
            ("/etc/debian_version", "8.11\n", Some(("debian", "8", ""))),
            ("/etc/debian_version", "trixie/sid\n", Some(("debian", "trixie/sid", ""))),
            ("/etc/debian_version", "8", None),
            ("/etc/debian_version", "\n\n", None),
            ("/etc/alpine-release", "3.19.1\n", Some(("alpine", "3.19.1", ""))),
            ("/etc/alpine-release", "3", None),
            ("/etc/oracle-release", "Oracle Linux Server release 6.10\n", Some(("oracle", "6", ""))),
            ("/etc/oracle-release", "Oracle Linux Server release 6.x\n", None),
            (
                "/etc/redhat-release",
                "Red Hat Enterprise Linux Server release 7.9 (Maipo)\n",
                Some(("rhel", "7", "")),
            ),
            ("/etc/redhat-release", "CentOS release 6.10 (Final)\n", Some(("centos", "6", ""))),
            ("/etc/redhat-release", "CentOS Stream release 9\n", None),
            ("/etc/centos-release", "CentOS v.x release 6.9 (Final)\n", Some(("centos", "6", ""))),
        ];
        for (path, data, expected) in rows {
            let release = parse(path, data.as_bytes());
            let actual =
                release.as_ref().map(|r| (r.name.as_str(), r.version.as_str(), r.pretty_name.as_str()));
            assert_eq!(actual, *expected, "{path}: {data:?}");
        }
    }

    fn detect_among(files: &[(&str, &'static str)]) -> (Option<OsRelease>, Option<Gap>) {
        detect(|path| files.iter().find(|(name, _)| *name == path).map(|(_, data)| data.as_bytes()))
    }

    #[test]
    fn the_first_file_that_parses_decides() {
        let (os, gap) = detect_among(&[
            ("/etc/debian_version", "11.9\n"),
            ("/usr/lib/os-release", "ID=ubuntu\nVERSION_ID=22.04"),
            ("/etc/os-release", "NAME=broken"),
        ]);
        assert_eq!(os.map(|os| os.name).as_deref(), Some("ubuntu"));
        assert_eq!(gap, None);
    }

    #[test]
    fn files_of_which_none_parses_are_a_gap_and_no_files_are_none() {
        let (os, gap) = detect_among(&[("/etc/lsb-release", "x"), ("/etc/redhat-release", "y")]);
        assert_eq!(os, None);
        let gap = gap.unwrap();
        assert_eq!((gap.path.as_str(), gap.code), ("/etc/lsb-release", "os_release_unreadable"));
        assert_eq!(detect_among(&[]), (None, None));
        assert_eq!(detect_among(&[("/etc/os-release", "")]), (None, None));
    }
}
