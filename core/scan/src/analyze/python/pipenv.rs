//! Pipenv: `Pipfile.lock`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::pairs::Text;
use super::super::{About, Analyzer, Reported, View, Want};
use super::locked::{FileHash, Locked, add_locks, unreported};
use crate::application::{Application, ApplicationKind};
use crate::finding::{Findings, Gap};
use crate::loose::LooseText;

const LOCK: &str = "Pipfile.lock";

/// The row of the table.
pub(in super::super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Python packages (Pipenv)",
        detects: "The locked packages of the default section, with the hash where a package has one file.",
        files: &["**/Pipfile.lock"],
        limits: &["16 MiB a file"],
        reported: Reported::Additions,
    },
    files: &[],
    directories: &[],
    ends: &["/Pipfile.lock"],
    pattern: |path| if path.ends_with("/Pipfile.lock") { Want::APPLICATION_FILE } else { Want::NOTHING },
    run,
};

fn run(view: &View<'_>, findings: &mut Findings) {
    add_locks(view, findings, LOCK, application);
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    default: BTreeMap<String, Package>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    version: LooseText,
    #[serde(default)]
    hashes: Hashes,
}

/// What is no list of texts counts as none.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Hashes {
    Texts(Vec<String>),
    #[default]
    Null,
    Other(IgnoredAny),
}

impl Hashes {
    fn texts(&self) -> &[String] {
        match self {
            Self::Texts(texts) => texts,
            Self::Null | Self::Other(_) => &[],
        }
    }
}

pub(super) fn application(text: &Text<'_>) -> Result<Application, Gap> {
    let lock: Lock = text.json()?;
    let locked = lock.default.iter().map(|(name, package)| Locked {
        name,
        // Packages from repositories and directories have none.
        version: package.version.0.as_deref().map(|version| version.trim_start_matches('=')),
        depends: Vec::new(),
        hash: FileHash::of_files(package.hashes.texts().iter().map(String::as_str)),
    });
    unreported(ApplicationKind::Pipenv, text, &locked.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::tests::{file, overlay_of};
    use crate::application::HashAlgorithm;
    use crate::interest::Interest;

    #[test]
    fn packages_of_the_default_section_are_listed_with_the_versions_that_they_have() {
        let lock = br#"{"_meta":{"pipfile-spec":6},"default":{
            "Flask":{"hashes":["sha256:AB"],"index":"pypi","version":"==3.0.0"},
            "six":{"hashes":["sha256:ab","sha256:cd"],"version":"==1.16"},
            "zope.interface":{"hashes":{},"git":"https://example.org/z.git","ref":"ab"}},
            "develop":{"pytest":{"version":"==8.0"}}}"#;
        let files = vec![file("/app/Pipfile.lock", lock), file("/bad/Pipfile.lock", b"[")];
        let findings = crate::analyze(&overlay_of([files].into_iter()), &Interest::default());
        let [application] = findings.applications.as_slice() else { panic!("one application") };
        let listed: Vec<_> =
            application.components.iter().map(|c| (c.name.as_str(), c.version.as_deref())).collect();
        assert_eq!(listed, [("flask", Some("3.0.0")), ("six", Some("1.16")), ("zope-interface", None)]);
        let of_flask = BTreeSet::from([(HashAlgorithm::Sha256, "ab".to_owned())]);
        let hashes: Vec<_> = application.components.iter().map(|c| &c.hashes).collect();
        assert_eq!(hashes, [&of_flask, &BTreeSet::new(), &BTreeSet::new()], "six has two files");
        let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
        assert_eq!(gaps, [("/bad/Pipfile.lock", "python_lock_unreadable")]);
    }
}
