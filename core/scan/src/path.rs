//! Paths inside an image.

use std::borrow::Borrow;
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
        let bare = text.strip_prefix('.').filter(|rest| rest.starts_with('/')).unwrap_or(text);
        let bare = bare.strip_prefix('/').unwrap_or(bare);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        // Nearly every name in a tar is in order after that, and takes one allocation.
        if is_normal(bare) {
            let mut path = String::with_capacity(bare.len() + 1);
            path.push('/');
            path.push_str(bare);
            return Self(path.into());
        }
        let mut parts: Vec<String> = Vec::new();
        for part in text.split('/') {
            let part: String = part.chars().filter(|&c| c != '\0').collect();
            match part.as_str() {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                _ => parts.push(part),
            }
        }
        Self(format!("/{}", parts.join("/")).into())
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
        let start = memchr::memrchr(b'/', self.0.as_bytes()).map_or(0, |slash| slash + 1);
        self.0.get(start..).unwrap_or_default()
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

    /// The text behind `directory`, without a slash in front: empty for the directory itself, `None` for what is not
    /// within it.
    pub(crate) fn strip_prefix(&self, directory: &Self) -> Option<&str> {
        if directory.0.len() == 1 {
            return self.0.strip_prefix('/');
        }
        let rest = self.0.strip_prefix(directory.as_str())?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }

    /// A path below this one.
    #[must_use]
    pub fn join(&self, below: &str) -> Self {
        Self::new(&format!("{}/{below}", self.0))
    }

    /// The path of these components, outermost first.
    pub(crate) fn from_components<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self::new(&names.flat_map(|name| ["/", name]).collect::<String>())
    }

    /// The components, outermost first.
    pub(crate) fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|c| !c.is_empty())
    }
}

/// Whether text is `a/b/c`: no empty component, no `.` or `..`, no NUL.
fn is_normal(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Nearly every path is told by pairs of bytes that it has not. All are counted, since that is done for many at once.
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    let n_odd = pairs.filter(|pair| matches!(pair, (0, _) | (b'/', b'/' | b'.'))).count();
    let is_plain = !matches!(bytes, [] | [b'/' | b'.', ..] | [.., b'/' | 0]);
    (is_plain && n_odd == 0)
        || (text.split('/').all(|c| !matches!(c, "" | "." | "..")) && memchr::memchr(0, bytes).is_none())
}

/// FNV-1a, 64 bit, over a path's text, fed component by component: the hash of `/a/b` is that of `/a` continued with
/// `/b`, so one pass over a path gives the hashes of all its ancestors. It stands in captures, hence it is written
/// out here and never changes within a [`CAPTURE_VERSION`](crate::CAPTURE_VERSION).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PathHash(u64);

impl PathHash {
    /// The hash of `/`.
    pub(crate) const ROOT: Self = Self(0xcbf2_9ce4_8422_2325);

    /// The hash of a path.
    pub(crate) fn of(path: &LayerPath) -> Self {
        if path.0.len() == 1 { Self::ROOT } else { Self::ROOT.update(path.0.as_bytes()) }
    }

    /// The hash of a path as a database writes it, with or without a slash in front. `None` where `..` leads out of it.
    pub(crate) fn of_bytes(path: &[u8]) -> Option<Self> {
        path.split(|&byte| byte == b'/').try_fold(Self::ROOT, |hash, name| match name {
            b"" | b"." => Some(hash),
            b".." => None,
            name => Some(hash.update(b"/").update(name)),
        })
    }

    /// The hash of a path one component longer, in bytes.
    pub(crate) fn child_bytes(self, name: &[u8]) -> Self {
        self.update(b"/").update(name)
    }

    /// The hash of a path one component longer.
    pub(crate) fn child(self, name: &str) -> Self {
        self.update(b"/").update(name.as_bytes())
    }

    /// The number that captures hold.
    pub(crate) fn value(self) -> u64 {
        self.0
    }

    fn update(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)))
    }
}

impl Borrow<str> for LayerPath {
    fn borrow(&self) -> &str {
        &self.0
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
            (".", "/"),
            ("./", "/"),
            ("./a/", "/a"),
            (".hidden/x", "/.hidden/x"),
            ("a\0b", "/ab"),
            ("a/.\0./b", "/b"),
            ("..a/b..", "/..a/b.."),
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

    #[test]
    fn a_hash_can_be_built_from_components() {
        let path = LayerPath::new("var/lib/dpkg");
        let hash = path.components().fold(PathHash::ROOT, PathHash::child);
        assert_eq!(hash, PathHash::of(&path));
        assert_eq!(hash.value(), 0xa1a1_3efc_aaeb_970a, "stands in stored captures");
        assert_eq!(PathHash::of(&LayerPath::new("/")), PathHash::ROOT);
        for text in ["/var/lib/dpkg", "var/lib/dpkg/", "./var//lib/./dpkg"] {
            assert_eq!(PathHash::of_bytes(text.as_bytes()), Some(hash), "{text}");
        }
        assert_eq!(PathHash::of_bytes(b"/var/lib").map(|hash| hash.child_bytes(b"dpkg")), Some(hash));
        assert_eq!(PathHash::of_bytes(b"var/lib/../dpkg"), None);
    }

    proptest::proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "[./a\0]{0,12}") {
            let once = LayerPath::new(&text);
            proptest::prop_assert_eq!(LayerPath::new(once.as_str()), once.clone());
            proptest::prop_assert!(once.as_str() == "/" || once.components().all(|c| c != "." && c != ".."));
        }
    }
}
