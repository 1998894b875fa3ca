//! What `listSearch` takes, and what a criterion fits.

use crate::vendor::operation::{Kind, Parameter};

const CRITERION: Kind = Kind::Like {
    example: "app",
    counterexample: "*app",
    // "cannot start with a wildcard", "at least three characters before a trailing wildcard"
    fits: |value| !value.is_empty() && !value.starts_with('*') && value.find('*').is_none_or(|at| at >= 3),
};

/// Its parameters, of which other formats have more.
pub(super) const SEARCH: &[Parameter] = &[
    Parameter::optional("continuationToken", Kind::Integer { min: 0, max: u64::MAX }),
    Parameter::optional("sort", Kind::OneOf(&["group", "name", "version", "repository"])),
    Parameter::optional("direction", Kind::OneOf(&["asc", "desc"])),
    Parameter::optional("timeout", Kind::Integer { min: 0, max: i32::MAX as u64 }),
    Parameter::optional("q", CRITERION),
    // "These fields are never empty."
    Parameter::optional("repository", Kind::TEXT),
    Parameter::optional("format", Kind::TEXT),
    Parameter::optional("group", CRITERION),
    Parameter::optional("name", CRITERION),
    Parameter::optional("version", CRITERION),
    Parameter::optional("docker.imageName", CRITERION),
    Parameter::optional("docker.imageTag", CRITERION),
    Parameter::optional("docker.contentDigest", CRITERION),
];

/// Whether a search criterion fits a name: "Enclose your criteria in quotation marks to search an exact phrase; otherwise, search
/// criteria will be split by any commas, spaces, dashes, or forward slashes".
pub(super) fn matches(criterion: &str, name: &str) -> bool {
    if let Some(phrase) = criterion.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return phrase == name;
    }
    let separators = [',', ' ', '-', '/'];
    let words: Vec<&str> = name.split(separators).collect();
    criterion.split(separators).all(|word| words.contains(&word))
}
