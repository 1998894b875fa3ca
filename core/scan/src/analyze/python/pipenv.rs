//! Pipenv: `Pipfile.lock`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::pairs::Text;
use super::super::{About, Analyzer, Reported, View, Want};
use super::locked::{Locked, add_locks, unreported};
use crate::application::{Application, ApplicationKind};
use crate::finding::{Findings, Gap};
use crate::loose::LooseText;

const LOCK: &str = "Pipfile.lock";

/// The row of the table.
pub(in super::super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Python packages (Pipenv)",
        detects: "The locked packages of the default section.",
        files: &["**/Pipfile.lock"],
        limits: &["16 MiB a file"],
        reported: Reported::Additions,
    },
    files: &[],
    directories: &[],
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
}

pub(super) fn application(text: &Text<'_>) -> Result<Application, Gap> {
    let lock: Lock = text.json()?;
    let locked = lock.default.iter().map(|(name, package)| Locked {
        name,
        // Packages from repositories and directories have none.
        version: package.version.0.as_deref().map(|version| version.trim_start_matches('=')),
        depends: Vec::new(),
    });
    unreported(ApplicationKind::Pipenv, text, &locked.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{file, overlay_of};
    use crate::interest::Interest;

    #[test]
    fn packages_of_the_default_section_are_listed_with_the_versions_that_they_have() {
        let lock = br#"{"_meta":{"pipfile-spec":6},"default":{
            "Flask":{"hashes":["sha256:ab"],"index":"pypi","version":"==3.0.0"},
            "zope.interface":{"git":"https://example.org/z.git","ref":"ab"}},
            "develop":{"pytest":{"version":"==8.0"}}}"#;
        let files = vec![file("/app/Pipfile.lock", lock), file("/bad/Pipfile.lock", b"[")];
        let findings = crate::analyze(&overlay_of([files].into_iter()), &Interest::default());
        let [application] = findings.applications.as_slice() else { panic!("one application") };
        let listed: Vec<_> =
            application.components.iter().map(|c| (c.name.as_str(), c.version.as_deref())).collect();
        assert_eq!(listed, [("flask", Some("3.0.0")), ("zope-interface", None)]);
        let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
        assert_eq!(gaps, [("/bad/Pipfile.lock", "python_lock_unreadable")]);
    }
}
