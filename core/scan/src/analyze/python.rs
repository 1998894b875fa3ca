//! Python: what is installed, and what manifests and locks say.
//!
//! Installed distributions are told by their metadata ([`installed`]), which `requirements.txt` only points into
//! ([`pip`]). Poetry, Pipenv, uv and PDM have locks of their own.

pub(super) mod installed;
pub(super) mod locked;
pub(super) mod pdm;
pub(super) mod pip;
pub(super) mod pipenv;
pub(super) mod poetry;
pub(super) mod requirement;
pub(super) mod uv;
mod version;

/// The name by which the index knows a project (packaging.python.org, "Names and normalization"): lower case, and each
/// run of `-`, `_` and `.` is one `-`.
pub(super) fn normalized(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for letter in name.trim().chars() {
        match letter {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            _ => normal.extend(letter.to_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_unified_as_the_index_does() {
        let rows = [
            ("Flask", "flask"),
            ("ruamel.yaml", "ruamel-yaml"),
            ("friendly--.__bard", "friendly-bard"),
            ("typing_extensions", "typing-extensions"),
        ];
        for (name, normal) in rows {
            assert_eq!(super::normalized(name), normal);
        }
    }
}
