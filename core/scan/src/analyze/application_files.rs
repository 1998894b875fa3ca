//! Lists of an application's source files, for requests that ask for them.

use super::{About, Analyzer, Reported, View, no_pattern};
use crate::application::{Application, ApplicationKind, Content};
use crate::finding::Findings;

/// Files in one list, at most.
const MAX_FILES: usize = 500_000;

const fn row(
    language: &'static str,
    files: &'static [&'static str],
    run: fn(&View<'_>, &mut Findings),
) -> Analyzer {
    Analyzer {
        about: About {
            title: language,
            detects: "The paths of source files, where the request asks for them (`collect-application-files`).",
            files,
            limits: &["500,000 files"],
            reported: Reported::Everywhere,
        },
        files: &[],
        directories: &[],
        ends: &[],
        pattern: no_pattern,
        run,
    }
}

/// The row of the table for Node.
pub(super) const NODE_ANALYZER: Analyzer = row(
    "Node source files",
    &[
        "**/*.js",
        "**/*.ts but **/*.d.ts",
        "**/package.json",
        "**/package-lock.json",
        "none below node_modules or /usr",
    ],
    run_node,
);

/// The row of the table for Python.
pub(super) const PYTHON_ANALYZER: Analyzer = row(
    "Python source files",
    &["**/*.py", "**/requirements.txt", "**/Pipfile", "none below site-packages, dist-packages or /usr"],
    run_python,
);

/// Whether a file is in one of the lists.
pub(crate) fn is_listed(path: &str) -> bool {
    is_node(path) || is_python(path)
}

fn is_node(path: &str) -> bool {
    const ENDINGS: [&str; 4] = [".js", ".ts", "package.json", "package-lock.json"];
    ends_with_any(path, &ENDINGS)
        && !path.ends_with(".d.ts")
        && !path.contains("node_modules/")
        && !path.starts_with("/usr/")
}

fn is_python(path: &str) -> bool {
    const ENDINGS: [&str; 3] = [".py", "requirements.txt", "Pipfile"];
    ends_with_any(path, &ENDINGS)
        && !path.contains("site-packages")
        && !path.contains("dist-packages")
        && !path.starts_with("/usr/")
}

fn ends_with_any(path: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| path.ends_with(ending))
}

fn run_node(view: &View<'_>, findings: &mut Findings) {
    list(view, is_node, ApplicationKind::NodeFiles, "node", findings);
}

fn run_python(view: &View<'_>, findings: &mut Findings) {
    list(view, is_python, ApplicationKind::PythonFiles, "python", findings);
}

fn list(
    view: &View<'_>,
    is_in: fn(&str) -> bool,
    kind: ApplicationKind,
    language: &'static str,
    findings: &mut Findings,
) {
    if !view.interest.application_files {
        return;
    }
    let paths: Vec<&str> = view
        .overlay
        .files()
        .filter(|file| file.kept.size_bytes > 0 && is_in(file.path.as_str()))
        .map(|file| file.path.as_str())
        .take(MAX_FILES)
        .collect();
    let Some(root) = common_directory(&paths) else { return };
    let prefix = if root == "/" { root } else { &format!("{root}/") };
    let relative = |path: &&str| path.strip_prefix(prefix).unwrap_or(path).to_owned();
    findings.add(Application {
        kind,
        target_file: root.to_owned(),
        content: Content::Files { language, paths: paths.iter().map(relative).collect() },
        components: Vec::new(),
    });
}

/// The deepest directory that has all files in it or below. `None` without files.
fn common_directory<'a>(paths: &[&'a str]) -> Option<&'a str> {
    let directory = |path: &'a str| path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut common = directory(paths.first()?);
    for path in paths {
        let other = directory(path);
        while !(other == common || other.strip_prefix(common).is_some_and(|rest| rest.starts_with('/'))) {
            common = directory(common);
        }
    }
    Some(if common.is_empty() { "/" } else { common })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_files_are_told_by_their_path() {
        let rows = [
            ("/app/a.js", true, false),
            ("/app/a.d.ts", false, false),
            ("/app/a.ts", true, false),
            ("/app/node_modules/a/index.js", false, false),
            ("/usr/lib/a.js", false, false),
            ("/usrlocal/a.js", true, false),
            ("/app/my-package.json", true, false),
            ("/app/a.py", false, true),
            ("/app/dev-requirements.txt", false, true),
            ("/app/Pipfile", false, true),
            ("/venv/lib/python3.11/site-packages/a.py", false, false),
            ("/usr/a.py", false, false),
        ];
        for (path, node, python) in rows {
            assert_eq!((is_node(path), is_python(path)), (node, python), "{path}");
        }
    }

    #[test]
    fn the_root_is_the_deepest_common_directory() {
        let rows = [
            (vec![], None),
            (vec!["/a.js"], Some("/")),
            (vec!["/srv/app/a.js"], Some("/srv/app")),
            (vec!["/srv/app/a.js", "/srv/app/lib/b.js"], Some("/srv/app")),
            (vec!["/srv/app/a.js", "/srv/apple/b.js"], Some("/srv")),
            (vec!["/srv/a.js", "/opt/b.js"], Some("/")),
        ];
        for (paths, expected) in rows {
            assert_eq!(common_directory(&paths), expected, "{paths:?}");
        }
    }
}
