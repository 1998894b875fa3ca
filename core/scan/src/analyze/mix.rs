//! Elixir: `mix.lock`, the lock file of Mix, which is one Elixir term.

mod term;

use std::collections::{BTreeSet, HashMap};

use super::pairs::{Text, named};
use super::{About, Analyzer, Reported, View, Want};
use crate::application::{Application, ApplicationKind, Component, Ecosystem, HashAlgorithm};
use crate::finding::{Findings, Gap};

use term::{Term, TermError};

const LOCK: &str = "mix.lock";

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Elixir and Erlang packages (Hex)",
        detects: "The locked packages of Hex, and those from git repositories with their revision.",
        files: &["**/mix.lock"],
        limits: &["16 MiB a file", "500,000 values a file, 16 levels deep"],
        reported: Reported::Additions,
    },
    files: &[],
    directories: &[],
    ends: &["/mix.lock"],
    pattern,
    run,
};

fn pattern(path: &str) -> Want {
    if path.ends_with("/mix.lock") { Want::APPLICATION_FILE } else { Want::NOTHING }
}

fn run(view: &View<'_>, findings: &mut Findings) {
    for text in named(view.overlay, LOCK) {
        let application =
            |components| Application::unreported(ApplicationKind::Mix, &text.file.path, components);
        findings.add_read(read(&text).map(application));
    }
}

/// The locked packages.
pub(super) fn read(text: &Text<'_>) -> Result<Vec<Component>, Gap> {
    let lossy = text.lossy();
    let term = Term::parse(&lossy).map_err(|error| match error {
        TermError::TooLarge => {
            text.gap("dependency_limit_reached", "the file has more values than are read of one file")
        }
        TermError::Syntax { at } => text.gap(
            "file_unreadable",
            &format!("the file is not what its name says: unexpected text at byte {at}"),
        ),
    })?;
    let Term::Map(entries) = term else {
        return Err(text.gap("file_unreadable", "the file is not what its name says: it holds no map"));
    };
    let locked: Vec<_> =
        entries.iter().filter_map(|(name, value)| Some((name.text()?, Locked::of(value)?))).collect();
    let places: HashMap<&str, usize> =
        locked.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect();
    Ok(locked
        .iter()
        .enumerate()
        .map(|(place, (name, locked))| {
            let mut component = locked.component(name, text);
            let depends: BTreeSet<_> =
                locked.depends.iter().filter_map(|name| places.get(name).copied()).collect();
            component.depends = depends.into_iter().filter(|depends| *depends != place).collect();
            component
        })
        .collect())
}

/// What a package is locked to.
struct Locked<'a> {
    source: Source<'a>,
    /// Names in the lock file.
    depends: Vec<&'a str>,
}

enum Source<'a> {
    /// `{:hex, :name, "version", "inner hash", managers, dependencies, "repository", "outer hash"}`; the oldest files
    /// end earlier.
    Hex { name: &'a str, version: &'a str, organization: Option<&'a str>, archive_hash: Option<&'a str> },
    /// `{:git, "address", "revision", options}`.
    Git { address: &'a str, revision: &'a str },
}

impl<'a> Locked<'a> {
    fn of(value: &'a Term) -> Option<Self> {
        let Term::List(fields) = value else { return None };
        let text = |place: usize| fields.get(place).and_then(Term::text);
        match text(0)? {
            "hex" => {
                let depends = match fields.get(5) {
                    Some(Term::List(list)) => list.iter().filter_map(first_text).collect(),
                    _ => Vec::new(),
                };
                let (name, version) = (text(1)?, text(2)?);
                let organization = text(6).and_then(|repository| repository.strip_prefix("hexpm:"));
                let source = Source::Hex { name, version, organization, archive_hash: text(7) };
                Some(Self { source, depends })
            }
            "git" => Some(Self {
                source: Source::Git { address: text(1)?, revision: text(2)? },
                depends: Vec::new(),
            }),
            _ => None,
        }
    }

    fn component(&self, name: &str, text: &Text<'_>) -> Component {
        let new = |name: &str, version: Option<&str>| {
            let version = version.map(str::to_owned);
            Component::new(Ecosystem::Hex, name, version, text.file.path.clone(), text.file.layer)
        };
        match self.source {
            Source::Hex { name, version, organization, archive_hash } => {
                let mut component = new(name, Some(version));
                component.namespace = organization.map(str::to_owned);
                let is_hash =
                    |hash: &&str| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
                let hash = archive_hash.filter(is_hash).map(str::to_ascii_lowercase);
                component.hashes = hash.map(|hash| (HashAlgorithm::Sha256, hash)).into_iter().collect();
                component
            }
            Source::Git { address, revision } => {
                let mut component = new(name, None);
                let prefix = if address.starts_with("git") { "" } else { "git+" };
                component.qualifiers.insert("vcs_url", format!("{prefix}{address}@{revision}"));
                component
            }
        }
    }
}

/// The name in `{:name, "requirement", options}`.
fn first_text(dependency: &Term) -> Option<&str> {
    match dependency {
        Term::List(fields) => fields.first().and_then(Term::text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, overlay_of};
    use super::*;
    use crate::application::Content;
    use crate::interest::Interest;

    fn findings(lock: &str) -> Findings {
        let files = vec![file("/app/mix.lock", lock.as_bytes())];
        crate::analyze(&overlay_of([files].into_iter()), &Interest::default())
    }

    const LOCK: &str = r#"%{
  "cowboy": {:hex, :cowboy, "2.9.0", "865dd8b6607e14cf03282e10e934023a1bd8be6f6bacf921a7e2a96d800cd452", [:make, :rebar3], [{:cowlib, "2.11.0", [hex: :cowlib, repo: "hexpm", optional: false]}, {:ranch, "1.8.0", [hex: :ranch, repo: "hexpm", optional: false]}], "hexpm", "2c729f934b4e1aa149aff882f57c6372c15399a20d54f65c8d67bef583021bde"},
  "cowlib": {:hex, :cowlib, "2.11.0", "0b9ff9c346629256c42ebe1eeb769a83c6cb771a6ee5960bd110ab0b9b872063", [:make, :rebar3], [], "hexpm", "2b3e9da0b21c4565751a6d4901c20d1b4cc25cbb7fd50d91d2ab6dd287bc86a9"},
  "internal": {:hex, :internal_app, "0.1.0", "00", [:mix], [], "hexpm:acme"},
  "old" => {:hex, :old, "1.0.0"},
  "phoenix": {:git, "https://github.com/phoenixframework/phoenix.git", "0123abc", [branch: "main"]},
  "here": {:path, "../here"},
}
"#;

    #[test]
    fn packages_of_hex_and_of_repositories_are_listed() {
        let findings = findings(LOCK);
        assert_eq!(findings.gaps, []);
        let [application] = findings.applications.as_slice() else { panic!("one application") };
        assert_eq!(application.content, Content::Unreported);
        let text = |component: &Component| {
            let Component { namespace, name, version, .. } = component;
            format!("{} {name} {}", namespace.as_deref().unwrap_or("-"), version.as_deref().unwrap_or("-"))
        };
        let expected =
            ["- cowboy 2.9.0", "- cowlib 2.11.0", "acme internal_app 0.1.0", "- old 1.0.0", "- phoenix -"];
        assert_eq!(application.components.iter().map(text).collect::<Vec<_>>(), expected);
        let cowboy = &application.components[0];
        assert_eq!(cowboy.depends, [1], "ranch is not locked");
        let (algorithm, hash) = cowboy.hashes.first().unwrap();
        assert_eq!(*algorithm, HashAlgorithm::Sha256);
        assert!(hash.starts_with("2c729f93"), "{hash}");
        assert_eq!(
            application.components[4].qualifiers["vcs_url"],
            "git+https://github.com/phoenixframework/phoenix.git@0123abc"
        );
    }

    #[test]
    fn a_file_that_is_no_lock_file_or_too_large_is_a_gap() {
        let large = format!("%{{\"a\": [{}]}}", "1,".repeat(600_000));
        let rows =
            [("%{", "file_unreadable"), ("[1]", "file_unreadable"), (&large, "dependency_limit_reached")];
        for (lock, code) in rows {
            let findings = findings(lock);
            assert_eq!((findings.applications.len(), findings.gaps.len()), (0, 1));
            assert_eq!(findings.gaps[0].code, code);
        }
    }
}
