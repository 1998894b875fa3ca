//! pip: installed distributions, and `requirements.txt` pointing into them.

use std::collections::{HashMap, HashSet};

use super::super::pairs::Text;
use super::super::{About, Analyzer, Reported, View, Want};
use super::installed;
use super::requirement::Requirement;
use super::version::{Coerced, Range};
use crate::application::{Application, ApplicationKind, Content, Dependencies, Root, TestedFiles};
use crate::distil::{Distil, PythonMetadata};
use crate::finding::Findings;
use crate::graph::{Graph, GraphPlace};

/// Requirements that are looked up for one file, at most, and for all files of an image. Real files need some thousands;
/// in hostile metadata everything requires everything.
const MAX_LOOKUPS: usize = 1_000_000;
const MAX_ALL_LOOKUPS: usize = 10_000_000;

/// The row of the table.
pub(in super::super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Python packages (pip)",
        detects: "Installed distributions with their licences, by directory; and for each requirements.txt what it \
                  requires of them, with the dependencies of that.",
        files: &["**/requirements.txt", "**/*.dist-info/METADATA", "**/*.egg-info", "**/*.egg-info/PKG-INFO"],
        limits: &[
            "256 KiB of requirements a distribution",
            "16 MiB a requirements.txt",
            "1,000,000 requirements looked up for a requirements.txt",
        ],
        reported: Reported::Everywhere,
    },
    files: &[],
    directories: &[],
    ends: &["/requirements.txt", "/METADATA", "/PKG-INFO", ".egg-info"],
    pattern,
    run,
};

fn pattern(path: &str) -> Want {
    if path.ends_with("/requirements.txt") {
        Want::APPLICATION_FILE
    } else if installed::is_metadata(path) {
        Want::distilled(Distil::PythonMetadata)
    } else {
        Want::NOTHING
    }
}

fn run(view: &View<'_>, findings: &mut Findings) {
    let pool = Pool::new(installed::seen(view.overlay));
    let mut lookups = 0;
    let texts = view.overlay.files().filter_map(Text::of);
    for text in texts.filter(|text| text.file.path.file_name() == "requirements.txt") {
        // Without installed packages there are no results.
        if pool.0.is_empty() {
            break;
        }
        let content = String::from_utf8_lossy(text.content);
        let mut walk = Walk::new(&pool, MAX_LOOKUPS.min(MAX_ALL_LOOKUPS - lookups));
        let is_used = walk.follow_all(&content);
        lookups = MAX_ALL_LOOKUPS.min(lookups + walk.lookups);
        if walk.is_over() {
            let reason = "the installed packages require too many others";
            findings.gaps.push(text.gap("dependency_limit_reached", reason));
        } else if is_used {
            findings.add(application(&text, walk.graph));
        }
    }
    let (environments, gaps) = installed::environments(view.overlay);
    for environment in environments {
        findings.add(environment);
    }
    findings.gaps.extend(gaps);
}

/// The installed packages themselves are components of their environment.
fn application(text: &Text<'_>, graph: Graph) -> Application {
    let path = text.file.path.as_str();
    Application {
        kind: ApplicationKind::Pip,
        target_file: path.to_owned(),
        components: Vec::new(),
        content: Content::Dependencies {
            root: Root { name: path.to_owned(), version: None },
            dependencies: Dependencies::Graph(graph),
            tested_files: TestedFiles::None,
        },
    }
}

/// An installed distribution as results have it.
struct Distribution<'a> {
    version: Coerced,
    metadata: &'a PythonMetadata,
}

/// All distributions of the image, whatever environment they are in, by name and the highest version first. Names are in
/// lower case; `-`, `_` and `.` stay what they are. Those without a name, or with a version that can't be pressed into
/// three numbers, are left out.
struct Pool<'a>(HashMap<String, Vec<Distribution<'a>>>);

impl<'a> Pool<'a> {
    fn new(all: impl Iterator<Item = &'a PythonMetadata>) -> Self {
        let mut by_name: HashMap<String, Vec<Distribution<'a>>> = HashMap::new();
        for metadata in all {
            let (Some(name), Some(version)) = (&metadata.name, &metadata.version) else { continue };
            if let Some(version) = Coerced::new(version) {
                by_name.entry(name.to_lowercase()).or_default().push(Distribution { version, metadata });
            }
        }
        for versions in by_name.values_mut() {
            versions.sort_by(|a, b| b.version.numbers.cmp(&a.version.numbers));
        }
        Self(by_name)
    }

    /// The first of these versions that is in the range; where there is none, or no range, the highest. The second value
    /// counts the versions that were looked at.
    fn find(&self, name: &str, range: Option<Range>) -> (Option<&Distribution<'a>>, usize) {
        let Some(versions) = self.0.get(name) else { return (None, 1) };
        let Some(range) = range else { return (versions.first(), 1) };
        match versions.iter().position(|distribution| range.holds(&distribution.version)) {
            Some(place) => (versions.get(place), place + 1),
            None => (versions.first(), versions.len()),
        }
    }
}

/// Follows the requirements of one file, depth first.
struct Walk<'p> {
    pool: &'p Pool<'p>,
    graph: Graph,
    /// What has been looked at.
    lookups: usize,
    limit: usize,
}

/// A distribution whose requirements are being followed.
struct Open<'p> {
    place: GraphPlace,
    requires: std::slice::Iter<'p, String>,
    /// The extras that there are.
    provided: HashSet<&'p str>,
    /// The extras that it was asked for with.
    asked: HashSet<&'p str>,
}

impl Open<'_> {
    /// Whether a requirement counts: always, if it is for none of the extras that there are.
    fn needs(&self, requirement: &Requirement<'_>) -> bool {
        let mut extras =
            requirement.only_for.iter().filter(|extra| self.provided.contains(*extra)).peekable();
        extras.peek().is_none() || extras.any(|extra| self.asked.contains(extra))
    }
}

impl<'p> Walk<'p> {
    fn new(pool: &'p Pool<'p>, limit: usize) -> Self {
        Self { pool, graph: Graph::default(), lookups: 0, limit }
    }

    /// Follows all lines. False if no line is a requirement.
    fn follow_all(&mut self, content: &'p str) -> bool {
        let mut is_used = false;
        for requirement in content.lines().filter_map(Requirement::of_line) {
            is_used = true;
            self.follow(requirement);
            if self.is_over() {
                break;
            }
        }
        is_used
    }

    fn follow(&mut self, requirement: Requirement<'p>) {
        let mut open: Vec<Open<'p>> = self.visit(None, requirement).into_iter().collect();
        while let Some(top) = open.last_mut()
            && !self.is_over()
        {
            let Some(value) = top.requires.next() else {
                open.pop();
                continue;
            };
            let Some(requirement) = Requirement::of_metadata(value) else { continue };
            self.lookups += 1 + requirement.only_for.len();
            if top.needs(&requirement) {
                let parent = Some(top.place);
                open.extend(self.visit(parent, requirement));
            }
        }
    }

    /// Connects what is required, if it is installed. If it is new to the graph, its own requirements are next.
    fn visit(&mut self, parent: Option<GraphPlace>, requirement: Requirement<'p>) -> Option<Open<'p>> {
        let name = requirement.name.to_lowercase();
        let (distribution, looked_at) = self.pool.find(&name, requirement.range);
        self.lookups += looked_at;
        let Distribution { version, metadata } = distribution?;
        let mut id = format!("{name}@{}", version.text);
        if !requirement.extras.is_empty() {
            id.push(':');
            id.push_str(&requirement.extras.join(","));
        }
        let is_new = self.graph.find(&id).is_none();
        let place = self.graph.add(&id, &name, Some(&version.text), [])?;
        self.graph.connect(parent, place);
        is_new.then(|| {
            self.lookups += metadata.extras.len();
            Open {
                place,
                requires: metadata.requires.iter(),
                provided: metadata.extras.iter().map(String::as_str).collect(),
                asked: requirement.extras.into_iter().collect(),
            }
        })
    }

    fn is_over(&self) -> bool {
        self.lookups > self.limit || self.graph.is_cut()
    }
}

#[cfg(test)]
mod tests;
