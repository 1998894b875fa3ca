//! Repository names and tags out of what archives and layouts say.
//!
//! Writers do not agree: `RepoTags` and `io.containerd.image.name` hold whole references
//! (`docker.io/team/app:1.4`), `org.opencontainers.image.ref.name` a bare tag or a whole reference.

use std::path::Path;

use regent_oci::{RepositoryName, Tag};

/// The name by which the one repository of an archive, or of a path that is itself a layout, can always be asked for.
pub(crate) const IMAGE: &str = "image";

/// What a text says about an image's name. Either part may be missing, or be no valid name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) repository: Option<RepositoryName>,
    pub(crate) tag: Option<Tag>,
}

/// Reads a whole reference. The registry's host is dropped: the connection is the registry.
pub(crate) fn whole_reference(text: &str) -> Named {
    let text = text.split('@').next().unwrap_or_default();
    let (name, tag) = match text.rsplit_once(':') {
        // A colon before a slash belongs to the host's port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    };
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => name,
    };
    Named { repository: path.parse().ok(), tag: tag.and_then(|t| t.parse().ok()) }
}

/// Reads the annotation `org.opencontainers.image.ref.name`: without `/`, `:` and `@` it is a tag.
pub(crate) fn ref_name(text: &str) -> Named {
    if text.contains(['/', ':', '@']) {
        whole_reference(text)
    } else {
        Named { repository: None, tag: text.parse().ok() }
    }
}

/// A repository name out of a file's name: its extensions dropped, what the grammar does not take made a hyphen.
/// `image` when nothing is left.
pub(crate) fn from_file(path: &Path) -> RepositoryName {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let mut name = name.as_str();
    for extension in [".gz", ".tgz", ".zst", ".tar", ".oci"] {
        name = name.strip_suffix(extension).unwrap_or(name);
    }
    let mut sanitised = String::new();
    for c in name.chars().take(128) {
        match c {
            'a'..='z' | '0'..='9' => sanitised.push(c),
            // One separator at a time: the grammar allows few runs of them.
            _ if sanitised.ends_with(['.', '_', '-']) => {}
            '.' | '_' => sanitised.push(c),
            _ => sanitised.push('-'),
        }
    }
    sanitised.trim_matches(['.', '_', '-']).parse().unwrap_or_else(|_| image())
}

/// [`IMAGE`].
#[expect(clippy::expect_used, reason = "a constant, tried by every test that lists an archive")]
pub(crate) fn image() -> RepositoryName {
    IMAGE.parse().expect("`image` is a repository name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(named: &Named) -> (Option<&str>, Option<&str>) {
        (named.repository.as_ref().map(RepositoryName::as_str), named.tag.as_ref().map(Tag::as_str))
    }

    #[test]
    fn whole_references_lose_their_host() {
        let rows = [
            ("team/app:1.4", (Some("team/app"), Some("1.4"))),
            ("docker.io/library/redis:7", (Some("library/redis"), Some("7"))),
            ("localhost/app:v1", (Some("app"), Some("v1"))),
            ("registry:5000/team/app", (Some("team/app"), None)),
            ("team/app", (Some("team/app"), None)),
            ("team/app:1@sha256:00", (Some("team/app"), Some("1"))),
            ("Team/App:v1", (None, Some("v1"))),
            ("app:-x", (Some("app"), None)),
            ("", (None, None)),
        ];
        for (input, expected) in rows {
            assert_eq!(text(&whole_reference(input)), expected, "{input}");
        }
    }

    #[test]
    fn ref_names_are_tags_or_references() {
        let rows = [
            ("v1", (None, Some("v1"))),
            ("demo:v1", (Some("demo"), Some("v1"))),
            ("ghcr.io/team/app:v2", (Some("team/app"), Some("v2"))),
            ("a b", (None, None)),
        ];
        for (input, expected) in rows {
            assert_eq!(text(&ref_name(input)), expected, "{input}");
        }
    }

    #[test]
    fn file_names_become_repository_names() {
        let rows = [
            ("/a/My App (2).tar.gz", "my-app-2"),
            ("/a/app_1.2.tar", "app_1.2"),
            ("/a/--.tar", "image"),
            ("/", "image"),
            ("/a/ä.tar", "image"),
            ("/a/x..y__z.tgz", "x.y_z"),
        ];
        for (path, expected) in rows {
            assert_eq!(from_file(Path::new(path)).as_str(), expected, "{path}");
        }
    }
}
