//! The artifacts that are really there: archives, those in them, and what was merged into them.

use std::collections::{HashMap, HashSet};

use super::attribution::{is_word, of_content, stem};
use super::{EAR, Room, WAR, is_suffix};
use crate::application::{Component, Ecosystem, HashAlgorithm};
use crate::distil::{ArchiveContent, Coordinates};
use crate::overlay::OverlayFile;

/// The components of a directory, each once for every file that it is in.
#[derive(Default)]
pub(super) struct Components {
    list: Vec<Component>,
    places: HashMap<Key, usize>,
    edges: HashSet<(usize, usize)>,
    n_files: usize,
}

/// What makes two of them one.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    name: Name,
    /// How many files were added before the one that it is in.
    file: usize,
    /// SHA-1 of an archive; none of what was merged into one.
    sha1: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Name {
    group: Option<String>,
    artifact: String,
    version: Option<String>,
}

impl Components {
    /// Adds the archive in this file.
    pub(super) fn add(&mut self, room: &mut Room, file: &OverlayFile, content: &ArchiveContent) {
        self.add_archive(room, file, file.path.file_name(), content);
        self.n_files += 1;
    }

    pub(super) fn into_list(self) -> Vec<Component> {
        self.list
    }

    /// Returns the archive's place; `None` for what is no archive, whatever it is called. As deep as archives were
    /// opened.
    fn add_archive(
        &mut self,
        room: &mut Room,
        file: &OverlayFile,
        name: &str,
        content: &ArchiveContent,
    ) -> Option<usize> {
        if !content.is_zip {
            return None;
        }
        let own = of_content(name, content);
        let own_name = own
            .and_then(|own| content.artifacts.get(own))
            .map_or_else(|| Name::of_manifest(name, content), Name::of_artifact);
        let place = self.place(room, file, own_name, Some(content.sha1.clone()))?;
        if let Some(component) = self.list.get_mut(place) {
            component.hashes.insert((HashAlgorithm::Sha1, content.sha1.clone()));
            component.licenses = content.manifest.licenses();
            // A jar is what Maven takes for granted (package-url/purl-spec, types/maven).
            if let Some(kind) = [WAR, EAR].into_iter().find(|kind| is_suffix(name, kind)) {
                component.qualifiers.insert("type", kind.trim_start_matches('.').to_owned());
            }
        }
        for (_, merged) in content.artifacts.iter().enumerate().filter(|&(at, _)| Some(at) != own) {
            if let Some(child) = self.place(room, file, Name::of_artifact(merged), None) {
                self.connect(place, child);
            }
        }
        for nested in &content.nested {
            if let Some(child) = self.add_archive(room, file, &nested.name, &nested.archive) {
                self.connect(place, child);
            }
        }
        Some(place)
    }

    /// `None`: there is no room for it.
    fn place(
        &mut self,
        room: &mut Room,
        file: &OverlayFile,
        name: Name,
        sha1: Option<String>,
    ) -> Option<usize> {
        let key = Key { name, file: self.n_files, sha1 };
        if let Some(&place) = self.places.get(&key) {
            return Some(place);
        }
        let Name { group, artifact, version } = key.name.clone();
        let texts_bytes =
            [group.as_ref(), Some(&artifact), version.as_ref()].into_iter().flatten().map(String::len);
        if !room.take(size_of::<Component>() + file.path.as_str().len() + 2 * texts_bytes.sum::<usize>()) {
            return None;
        }
        self.list.push(Component {
            namespace: group,
            ..Component::new(Ecosystem::Maven, artifact, version, file.path.clone(), file.layer)
        });
        self.places.insert(key, self.list.len() - 1);
        Some(self.list.len() - 1)
    }

    fn connect(&mut self, parent: usize, child: usize) {
        if parent != child
            && self.edges.insert((parent, child))
            && let Some(component) = self.list.get_mut(parent)
        {
            component.depends.push(child);
        }
    }
}

impl Name {
    fn of_artifact(artifact: &Coordinates) -> Self {
        Self {
            group: Some(artifact.group.clone()),
            artifact: artifact.artifact.clone(),
            version: Some(artifact.version.clone()),
        }
    }

    /// What an archive without coordinates of its own calls itself, or what its file is called.
    fn of_manifest(file_name: &str, content: &ArchiveContent) -> Self {
        let manifest = &content.manifest;
        let stem = stem(file_name);
        let (name_of_file, version_of_file) = split_version(stem);
        let title = manifest.implementation_title.as_deref().filter(|title| is_word(title));
        let name = title
            .or(version_of_file.map(|_| name_of_file))
            .or(manifest.bundle_symbolic_name.as_deref())
            .unwrap_or(stem);
        let version = manifest
            .implementation_version
            .as_deref()
            .or(manifest.bundle_version.as_deref())
            .or(version_of_file);
        // Maven's tools write the group here; others write what they like.
        let group = manifest.implementation_vendor_id.as_deref().filter(|id| id.contains('.') && is_word(id));
        Self {
            group: group.map(str::to_owned),
            artifact: name.to_owned(),
            version: version.map(str::to_owned),
        }
    }
}

/// `commons-csv-1.9.0` → `commons-csv`, `1.9.0`: a version begins with the first digit that follows a hyphen.
fn split_version(stem: &str) -> (&str, Option<&str>) {
    let hyphen = stem.match_indices('-').map(|(at, _)| stem.split_at(at)).find_map(|(name, rest)| {
        let version = rest.get(1..)?;
        (!name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit())).then_some((name, version))
    });
    hyphen.map_or((stem, None), |(name, version)| (name, Some(version)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distil::JarManifest;

    #[test]
    fn an_archive_without_coordinates_is_named_by_its_manifest_or_its_file() {
        let empty = JarManifest::default;
        let text = |text: &str| Some(text.to_owned());
        let rows = [
            ("lib/shop-core-1.0-SNAPSHOT.jar", empty(), (None, "shop-core", text("1.0-SNAPSHOT"))),
            ("hamcrest-2.2.jar", empty(), (None, "hamcrest", text("2.2"))),
            ("jrt.jar", empty(), (None, "jrt", None)),
            (
                "a.jar",
                JarManifest {
                    implementation_title: text("spring-core"),
                    implementation_version: text("5.3.1"),
                    bundle_version: text("5.3.1.RELEASE"),
                    implementation_vendor_id: text("org.springframework"),
                    ..empty()
                },
                (text("org.springframework"), "spring-core", text("5.3.1")),
            ),
            (
                "catalina.jar",
                JarManifest {
                    implementation_title: text("Apache Tomcat"),
                    implementation_vendor_id: text("Apache"),
                    bundle_symbolic_name: text("org.apache.tomcat-catalina"),
                    bundle_version: text("9.0.1"),
                    ..empty()
                },
                (None, "org.apache.tomcat-catalina", text("9.0.1")),
            ),
            (
                "csv-1.0.jar",
                JarManifest {
                    implementation_title: text("Commons CSV"),
                    bundle_version: text("1.0.0"),
                    ..empty()
                },
                (None, "csv", text("1.0.0")),
            ),
        ];
        for (name, manifest, (group, artifact, version)) in rows {
            let content = ArchiveContent { manifest, ..ArchiveContent::default() };
            let found = Name::of_manifest(name, &content);
            let found = (found.group, found.artifact.as_str().to_owned(), found.version);
            assert_eq!(found, (group, artifact.to_owned(), version), "{name}");
        }
    }
}
