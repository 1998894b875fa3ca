//! What findings take in memory, about: for who keeps them.

use super::{Findings, Package};
use crate::application::{Application, Component, Content, Dependencies};
use crate::path::LayerPath;

/// What a text takes besides its letters: its place, and what the allocator adds.
const TEXT_BYTES: usize = 40;
/// What an entry of a map or set takes.
const ENTRY_BYTES: usize = 96;

impl Findings {
    /// Bytes that they take in memory, about.
    pub fn cost_bytes(&self) -> u64 {
        let packages = self.databases().flat_map(|database| &database.list).map(of_package).sum::<usize>();
        let applications = self.applications.iter().map(of_application).sum::<usize>();
        let files = self.files.iter().map(|file| of_path(&file.path) + file.content.len()).sum::<usize>();
        let gaps = self.gaps.iter().map(|gap| of_path(&gap.path) + of_text(&gap.reason)).sum::<usize>();
        let owned = self.apk_owned.len() * (ENTRY_BYTES + TEXT_BYTES);
        let binaries = self.key_binaries.iter().map(|digest| of_text(digest)).sum::<usize>();
        (size_of::<Self>() + packages + applications + files + gaps + owned + binaries) as u64
    }
}

pub(crate) fn of_text(text: &str) -> usize {
    TEXT_BYTES + text.len()
}

fn of_texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    texts.into_iter().map(|text| of_text(text)).sum()
}

fn of_path(path: &LayerPath) -> usize {
    of_text(path.as_str())
}

/// A map or set of texts that have `n_bytes` in all.
pub(crate) fn of_entries(n_entries: usize, n_bytes: usize) -> usize {
    n_entries * ENTRY_BYTES + n_bytes
}

fn of_package(package: &Package) -> usize {
    let Package { name, version, source, provides, depends, architecture, licenses, hashes, .. } = package;
    let source = source.iter().map(|source| of_text(&source.name) + of_texts(&source.version)).sum::<usize>();
    let texts = of_text(name) + of_texts(version) + of_texts(architecture) + source;
    let lists = of_texts(provides) + of_texts(depends) + of_texts(licenses);
    let hashes = of_entries(hashes.len(), hashes.iter().map(|(_, hash)| hash.len()).sum());
    size_of::<Package>() + texts + lists + hashes
}

fn of_application(application: &Application) -> usize {
    let content = match &application.content {
        Content::Dependencies { dependencies: Dependencies::Tree(tree), .. } => tree.cost_bytes(),
        Content::Dependencies { dependencies: Dependencies::Graph(graph), .. } => graph.cost_bytes(),
        Content::Files { paths, .. } => of_texts(paths),
        Content::Jars { fingerprints, .. } => {
            let of_one = |jar: &crate::application::JarFingerprint| {
                of_text(&jar.location) + ENTRY_BYTES * (2 + jar.dependencies.len())
            };
            fingerprints.iter().map(of_one).sum()
        }
        Content::Unreported => 0,
    };
    let components = application.components.iter().map(of_component).sum::<usize>();
    size_of::<Application>() + of_text(&application.target_file) + content + components
}

fn of_component(component: &Component) -> usize {
    let Component { namespace, name, version, licenses, hashes, qualifiers, evidence, depends, .. } =
        component;
    let texts = of_texts(namespace) + of_text(name) + of_texts(version) + of_texts(licenses);
    let hashes = of_entries(hashes.len(), hashes.iter().map(|(_, hash)| hash.len()).sum());
    let qualifiers = of_entries(qualifiers.len(), qualifiers.values().map(String::len).sum());
    let evidence = evidence.iter().map(of_path).sum::<usize>();
    size_of::<Component>() + texts + hashes + qualifiers + evidence + depends.len() * size_of::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Component, Ecosystem, LayerPath, PackageDetail};

    #[test]
    fn what_grows_costs_more() {
        let nothing = Findings::default().cost_bytes();
        let mut findings = Findings::default();
        let mut last = nothing;
        let mut grown = |findings: &Findings| {
            let now = findings.cost_bytes();
            let has_grown = now >= last + 100;
            last = now;
            has_grown
        };
        let name = "x".repeat(100);
        findings.packages.list.push(Package::new(name.clone(), None, PackageDetail::Apk));
        assert!(grown(&findings));
        findings.packages.list.iter_mut().for_each(|package| package.depends.push(name.clone()));
        assert!(grown(&findings));
        let component = || Component::new(Ecosystem::Npm, &name, None, LayerPath::new("a"), 0);
        let place = LayerPath::new("a");
        findings.applications.push(Application::unreported(
            crate::ApplicationKind::Npm,
            &place,
            vec![component(), component()],
        ));
        assert!(grown(&findings));
    }
}
