//! Links to directories: by these, one file has several paths.

use std::collections::{HashMap, HashSet};

use crate::capture::CapturedLayer;
use crate::limits::Limits;
use crate::overlay::{Overlay, directory_links_of};
use crate::path::LayerPath;

use super::with_ancestors;

/// Links followed to find where a path leads. Systems have one or two on a path (`/lib`, `/usr/lib64`).
const MAX_TURNS: usize = 8;
/// Other paths of one file that are looked for.
const MAX_ALIASES: usize = 64;

/// Links to directories of the image, with where they lead.
#[derive(Debug, Default)]
pub(super) struct DirectoryLinks {
    targets: HashMap<LayerPath, LayerPath>,
    links: HashMap<LayerPath, Vec<LayerPath>>,
}

/// Links to the directories that files of the merged view lie in.
pub(super) fn directory_links(
    layers: &[CapturedLayer],
    overlay: &Overlay,
    limits: &Limits,
) -> DirectoryLinks {
    let directories: HashSet<&str> = overlay.files().flat_map(|file| file.path.ancestors()).collect();
    let found = directory_links_of(layers, limits);
    DirectoryLinks::new(found.into_iter().filter(|(_, target)| directories.contains(target.as_str())))
}

impl DirectoryLinks {
    fn new(found: impl Iterator<Item = (LayerPath, LayerPath)>) -> Self {
        let mut all = Self::default();
        for (link, target) in found {
            all.links.entry(target.clone()).or_default().push(link.clone());
            all.targets.insert(link, target);
        }
        all
    }

    /// All paths by which a file may be called, its own among them.
    pub(super) fn aliases(&self, path: &LayerPath) -> Vec<LayerPath> {
        let real = self.real(path);
        let mut aliases = vec![path.clone()];
        if real != *path {
            aliases.push(real.clone());
        }
        let links = with_ancestors(&real).filter_map(|directory| self.links.get_key_value(directory));
        let others = links.flat_map(|(target, links)| links.iter().map(move |link| (link, target)));
        for (link, target) in others {
            if aliases.len() == MAX_ALIASES {
                break;
            }
            let Some(rest) = real.strip_prefix(target) else { continue };
            let alias = link.join(rest);
            if alias != *path {
                aliases.push(alias);
            }
        }
        aliases
    }

    /// Where a path leads: links on the way replaced by their targets.
    fn real(&self, path: &LayerPath) -> LayerPath {
        let mut real = path.clone();
        for _ in 0..MAX_TURNS {
            let Some((link, target)) =
                with_ancestors(&real).find_map(|directory| self.targets.get_key_value(directory))
            else {
                break;
            };
            let Some(rest) = real.strip_prefix(link) else { break };
            real = target.join(rest);
        }
        real
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_every_link_to_a_directory_on_its_way() {
        let links = [("/lib", "/usr/lib"), ("/usr/lib/jvm/default", "/usr/lib/jvm/17"), ("/bin", "/usr/bin")];
        let links =
            DirectoryLinks::new(links.map(|(a, b)| (LayerPath::new(a), LayerPath::new(b))).into_iter());
        let rows: &[(&str, &[&str])] = &[
            ("/usr/lib/a.jar", &["/usr/lib/a.jar", "/lib/a.jar"]),
            ("/lib/a.jar", &["/lib/a.jar", "/usr/lib/a.jar"]),
            (
                "/lib/jvm/default/a.jar",
                &[
                    "/lib/jvm/default/a.jar",
                    "/usr/lib/jvm/17/a.jar",
                    "/usr/lib/jvm/default/a.jar",
                    "/lib/jvm/17/a.jar",
                ],
            ),
            ("/usr/lib", &["/usr/lib", "/lib"]),
            ("/opt/a.jar", &["/opt/a.jar"]),
        ];
        for (path, expected) in rows {
            let aliases = links.aliases(&LayerPath::new(path));
            assert_eq!(aliases.iter().map(LayerPath::as_str).collect::<Vec<_>>(), *expected, "{path}");
        }
    }

    #[test]
    fn very_many_links_to_one_directory_give_only_so_many_paths() {
        let links = (0..10_000).map(|n| (LayerPath::new(&format!("/l{n}")), LayerPath::new("/d")));
        let links = DirectoryLinks::new(links);
        assert_eq!(links.aliases(&LayerPath::new("/d/a")).len(), MAX_ALIASES);
    }

    #[test]
    fn links_in_a_circle_end() {
        let links = [("/a", "/b"), ("/b", "/a/c")].map(|(a, b)| (LayerPath::new(a), LayerPath::new(b)));
        assert!(!DirectoryLinks::new(links.into_iter()).aliases(&LayerPath::new("/a/x")).is_empty());
    }
}
