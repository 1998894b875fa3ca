//! Paths of packages in pnpm's lock files: names, versions, and the peers that a package was installed with.

/// How a lock file writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `/name/version_peers`.
    V5,
    /// `/name@version(peers)`.
    V6,
    /// `name@version(peers)`.
    V9,
}

impl Format {
    /// By the text of `lockfileVersion`.
    pub(super) fn of_version(version: &str) -> Option<Self> {
        match version.as_bytes().first()? {
            b'5' => Some(Self::V5),
            b'6' => Some(Self::V6),
            b'9' => Some(Self::V9),
            _ => None,
        }
    }

    /// A path, or a version, without the peers at its end.
    pub(super) fn without_peers(self, path: &str) -> &str {
        let end = match self {
            Self::V5 => {
                let name = path.rfind('/').map_or(0, |slash| slash + 1);
                path.get(name..).and_then(|last| last.find('_')).map(|at| name + at)
            }
            Self::V6 | Self::V9 => path.find('('),
        };
        end.and_then(|end| path.get(..end)).unwrap_or(path)
    }

    /// The path of a package from the registry.
    pub(super) fn path(self, name: &str, version: &str) -> String {
        match self {
            Self::V5 => format!("/{name}/{version}"),
            Self::V6 => format!("/{name}@{version}"),
            Self::V9 => format!("{name}@{version}"),
        }
    }

    /// Name and version of a path without peers, where it has them: those of repositories and archives haven't.
    pub(super) fn parse(self, path: &str) -> Option<(&str, &str)> {
        let (name, version) = match self {
            Self::V5 => path.strip_prefix('/')?.rsplit_once('/')?,
            Self::V6 => split_name(path.strip_prefix('/')?)?,
            Self::V9 => split_name(path)?,
        };
        (!name.is_empty() && !version.is_empty()).then_some((name, version))
    }
}

/// At the first `@` that doesn't begin the name.
fn split_name(path: &str) -> Option<(&str, &str)> {
    let scope_bytes = usize::from(path.starts_with('@'));
    let at = path.get(scope_bytes..)?.find('@')? + scope_bytes;
    Some((path.get(..at)?, path.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_a_name_and_a_version_and_lose_their_peers() {
        let rows = [
            (Format::V5, "/a/1.0.0", "/a/1.0.0", Some(("a", "1.0.0"))),
            (Format::V5, "/@s/a_b/1.0.0_react@17.0.2+x@1", "/@s/a_b/1.0.0", Some(("@s/a_b", "1.0.0"))),
            (Format::V5, "1.0.0_react@17.0.2", "1.0.0", None),
            (Format::V5, "github.com/o/a/0123abc", "github.com/o/a/0123abc", None),
            (Format::V6, "/@s/a@1.0.0(react@17.0.2)(x@1)", "/@s/a@1.0.0", Some(("@s/a", "1.0.0"))),
            (Format::V6, "@codeload.github.com/o/a/tar.gz/1", "@codeload.github.com/o/a/tar.gz/1", None),
            (Format::V9, "@s/a@1.0.0(react@17.0.2)", "@s/a@1.0.0", Some(("@s/a", "1.0.0"))),
            (
                Format::V9,
                "a@https://codeload.github.com/o/a/tar.gz/1",
                "a@https://codeload.github.com/o/a/tar.gz/1",
                Some(("a", "https://codeload.github.com/o/a/tar.gz/1")),
            ),
            (Format::V9, "", "", None),
            (Format::V9, "@", "@", None),
        ];
        for (format, path, bare, parsed) in rows {
            assert_eq!(format.without_peers(path), bare, "{path}");
            assert_eq!(format.parse(bare), parsed, "{path}");
        }
    }
}
