//! Paths inside an image.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A path inside an image: absolute, `/`-separated, normalised. `.`, `..` and double slashes are gone, `..` can't
/// climb above `/`, and there is no NUL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct LayerPath(Box<str>);

impl LayerPath {
    /// Normalises any text, e.g. a tar entry's name: it is taken relative to `/`. NULs are dropped.
    pub fn new(text: &str) -> Self {
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        let mut path = String::with_capacity(text.len() + 1);
        for part in parts {
            path.push('/');
            path.extend(part.chars().filter(|&c| c != '\0'));
        }
        if path.is_empty() {
            path.push('/');
        }
        Self(path.into())
    }

    /// The path of a link's target, seen from the link itself (a target without a leading `/` is relative to the
    /// link's directory).
    #[must_use]
    pub fn link_target(&self, target: &str) -> Self {
        if target.starts_with('/') {
            Self::new(target)
        } else {
            Self::new(&format!("{}/{target}", self.parent().as_str()))
        }
    }

    /// The text, beginning with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component; empty for `/`.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The directory; `/` is its own.
    #[must_use]
    pub fn parent(&self) -> Self {
        match self.0.rsplit_once('/') {
            Some(("", _)) | None => Self("/".into()),
            Some((parent, _)) => Self(parent.into()),
        }
    }

    /// This path's proper ancestors, nearest first, without `/`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let text: &str = &self.0;
        text.rmatch_indices('/').map(move |(i, _)| text.split_at(i).0).filter(|a| !a.is_empty())
    }

    /// Whether this path is `directory` or lies below it.
    pub fn is_within(&self, directory: &str) -> bool {
        directory == "/"
            || self.0.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// A path below this one.
    #[must_use]
    pub fn join(&self, below: &str) -> Self {
        Self::new(&format!("{}/{below}", self.0))
    }
}

impl From<String> for LayerPath {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<LayerPath> for String {
    fn from(path: LayerPath) -> Self {
        path.0.into()
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_below_the_root() {
        let rows = [
            ("etc/os-release", "/etc/os-release"),
            ("./etc/os-release", "/etc/os-release"),
            ("/etc//os-release/", "/etc/os-release"),
            ("var/../../../etc/passwd", "/etc/passwd"),
            ("a/./b/../c", "/a/c"),
            ("", "/"),
            ("..", "/"),
        ];
        for (name, path) in rows {
            assert_eq!(LayerPath::new(name).as_str(), path, "{name}");
        }
    }

    #[test]
    fn targets_resolve_from_the_links_directory() {
        let link = LayerPath::new("etc/os-release");
        assert_eq!(link.link_target("../usr/lib/os-release").as_str(), "/usr/lib/os-release");
        assert_eq!(link.link_target("/opt/x").as_str(), "/opt/x");
        assert_eq!(link.link_target("x").as_str(), "/etc/x");
    }

    #[test]
    fn ancestors_run_upwards_without_the_root() {
        let path = LayerPath::new("a/b/c");
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert!(path.is_within("/a") && path.is_within("/a/b/c") && path.is_within("/"));
        assert!(!path.is_within("/a/bb") && !path.is_within("/a/b/c/d"));
    }
}
