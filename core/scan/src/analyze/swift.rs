//! Swift: `Package.resolved`, the lock file of the Swift package manager and of Xcode.

use serde::Deserialize;

use super::pairs::{Text, named};
use super::{About, Analyzer, Reported, View, Want};
use crate::application::{Application, ApplicationKind, Component, Ecosystem};
use crate::finding::{Findings, Gap};

const LOCK: &str = "Package.resolved";

/// JSON objects of one file, at most: a bound on memory. The largest real files have some hundred.
const MAX_OBJECTS: usize = 100_000;

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Swift packages",
        detects: "The pinned packages, with the revision where one is pinned without a version.",
        files: &["**/Package.resolved (versions 1 to 3)"],
        limits: &["16 MiB a file", "100,000 JSON objects a file"],
        reported: Reported::Additions,
    },
    files: &[],
    directories: &[],
    ends: &["/Package.resolved"],
    pattern,
    run,
};

fn pattern(path: &str) -> Want {
    if path.ends_with("/Package.resolved") { Want::APPLICATION_FILE } else { Want::NOTHING }
}

fn run(view: &View<'_>, findings: &mut Findings) {
    for text in named(view.overlay, LOCK) {
        let application =
            |components| Application::unreported(ApplicationKind::Swift, &text.file.path, components);
        findings.add_read(read(&text).map(application));
    }
}

#[derive(Deserialize)]
struct Lock {
    /// Versions 2 and 3.
    pins: Option<Vec<Pin>>,
    /// Version 1.
    object: Option<Object>,
}

#[derive(Deserialize)]
struct Object {
    pins: Vec<Pin>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pin {
    /// The name; version 1 calls it `package`.
    #[serde(alias = "package")]
    identity: Option<String>,
    /// Where it is from; version 1 calls it `repositoryURL`.
    #[serde(alias = "repositoryURL")]
    location: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    state: State,
}

#[derive(Default, Deserialize)]
struct State {
    version: Option<String>,
    revision: Option<String>,
}

/// The locked packages.
pub(super) fn read(text: &Text<'_>) -> Result<Vec<Component>, Gap> {
    if memchr::memchr_iter(b'{', text.content).count() > MAX_OBJECTS {
        return Err(
            text.gap("dependency_limit_reached", "the file has more packages than are read of one file")
        );
    }
    let lock: Lock = text.json()?;
    let pins = lock.pins.or(lock.object.map(|object| object.pins));
    let pins = pins.ok_or_else(|| text.gap("file_unreadable", "the file has no list of pinned packages"))?;
    let component = |pin: Pin| {
        let identity = pin.identity.filter(|identity| !identity.is_empty());
        let is_registry = pin.kind.as_deref() == Some("registry");
        let name = match identity {
            Some(identity) if is_registry => identity.replacen('.', "/", 1),
            identity => repository(pin.location.as_deref().unwrap_or_default()).or(identity)?,
        };
        let version = pin.state.version.or(pin.state.revision);
        let file = text.file;
        Some(
            Component::new(Ecosystem::Swift, "", version, file.path.clone(), file.layer)
                .with_full_name(&name),
        )
    };
    Ok(pins.into_iter().filter_map(component).collect())
}

/// Host and path of a repository, as package URLs have them: `https://github.com/apple/swift-log.git` and
/// `git@github.com:apple/swift-log` → `github.com/apple/swift-log`. `None` for a path of the file system.
fn repository(location: &str) -> Option<String> {
    let location = match location.split_once("://") {
        Some((_, rest)) => rest.to_owned(),
        // As ssh has it: host, colon, path.
        None if !location.starts_with(['/', '.']) => location.replacen(':', "/", 1),
        None => return None,
    };
    let (host, path) = location.trim_end_matches('/').split_once('/')?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let path = path.trim_start_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!host.is_empty() && !path.is_empty()).then(|| format!("{}/{path}", host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, overlay_of};
    use super::*;
    use crate::application::Content;
    use crate::interest::Interest;

    fn findings(lock: &str) -> Findings {
        let files = vec![file("/src/Package.resolved", lock.as_bytes())];
        crate::analyze(&overlay_of([files].into_iter()), &Interest::default())
    }

    const V1: &str = r#"{"object":{"pins":[
      {"package":"Alamofire","repositoryURL":"https://github.com/Alamofire/Alamofire.git",
       "state":{"branch":null,"revision":"f96b619bcb2383b43d898402283924b80e2c4bae","version":"5.4.3"}},
      {"package":"Local","repositoryURL":"../Local","state":{"branch":"main","revision":"0123","version":null}}
    ]},"version":1}"#;

    const V3: &str = r#"{"originHash":"00","pins":[
      {"identity":"swift-log","kind":"remoteSourceControl","location":"git@github.com:apple/swift-log.git",
       "state":{"revision":"e97a6fcb1ab07462881ac165fdbb37f067e205d5","version":"1.5.4"}},
      {"identity":"mona.LinkedList","kind":"registry","location":"","state":{"version":"1.1.0"}},
      {"identity":"","kind":"localSourceControl","location":"/src/x","state":{}}
    ],"version":3}"#;

    #[test]
    fn pins_are_named_after_their_repositories() {
        let rows = [
            (V1, vec!["github.com/Alamofire Alamofire 5.4.3", "- Local 0123"]),
            (V3, vec!["github.com/apple swift-log 1.5.4", "mona LinkedList 1.1.0"]),
            (r#"{"pins":[],"version":2}"#, vec![]),
        ];
        for (lock, expected) in rows {
            let findings = findings(lock);
            assert_eq!(findings.gaps, []);
            let [application] = findings.applications.as_slice() else { panic!("one application") };
            assert_eq!(application.content, Content::Unreported);
            let text = |component: &Component| {
                let Component { namespace, name, version, .. } = component;
                format!("{} {name} {}", namespace.as_deref().unwrap_or("-"), version.as_deref().unwrap())
            };
            assert_eq!(application.components.iter().map(text).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn addresses_of_repositories_lose_what_says_how_to_get_there() {
        let rows = [
            ("https://GitHub.com/a/b.git/", Some("github.com/a/b")),
            ("ssh://git@host:22/a/b/c", Some("host/a/b/c")),
            ("git@host:a/b.git", Some("host/a/b")),
            ("https://host", None),
            ("/a/b", None),
            ("./b", None),
            ("", None),
        ];
        for (location, expected) in rows {
            assert_eq!(repository(location).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn a_file_that_is_no_lock_file_or_too_large_is_a_gap() {
        let large = format!(r#"{{"pins":[{}{{}}]}}"#, "{},".repeat(MAX_OBJECTS));
        let rows =
            [("{", "file_unreadable"), ("{}", "file_unreadable"), (&large, "dependency_limit_reached")];
        for (lock, code) in rows {
            let findings = findings(lock);
            assert_eq!((findings.applications.len(), findings.gaps.len()), (0, 1));
            assert_eq!(findings.gaps[0].code, code);
        }
    }
}
