//! `resolutions` of a manifest: what a dependency is locked to, whatever range asks for it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::descriptor::decoded;
use crate::ordered::Pairs;

/// Who wants something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parent<'a> {
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
    /// Under which it is locked.
    pub(super) descriptors: &'a [&'a str],
}

/// The resolutions by what they apply to.
pub(super) struct Resolutions<'a>(HashMap<&'a str, &'a str>);

impl<'a> Resolutions<'a> {
    pub(super) fn new(pairs: &'a Pairs) -> Self {
        Self(pairs.iter().filter(|(_, range)| !range.is_empty()).collect())
    }

    /// The range that counts for `name` in `range` as a dependency of `parent`. What names the parent goes before what
    /// names the range, and that before the name alone.
    pub(super) fn get(&self, parent: Option<Parent<'_>>, name: &str, range: &str) -> Option<Cow<'a, str>> {
        if self.0.is_empty() {
            return None;
        }
        let find = |pattern: String| self.0.get(pattern.as_str()).copied();
        let for_parent = |parent: Parent<'_>| {
            let Parent { name: parent_name, version, descriptors } = parent;
            find(format!("{parent_name}/{name}"))
                .or_else(|| {
                    let bare = |descriptor: &str| descriptor.replacen("@npm:", "@", 1);
                    descriptors.iter().find_map(|descriptor| {
                        find(format!("{descriptor}/{name}"))
                            .or_else(|| find(format!("{}/{name}", bare(descriptor))))
                    })
                })
                .or_else(|| {
                    let version = version?;
                    find(format!("{parent_name}@{version}/{name}"))
                        .or_else(|| find(format!("{parent_name}@npm:{version}/{name}")))
                })
        };
        let found = parent
            .and_then(for_parent)
            .or_else(|| find(format!("{name}@{range}")))
            .or_else(|| self.0.get(name).copied())?;
        Some(if found.contains('%') { Cow::Owned(decoded(found)) } else { Cow::Borrowed(found) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_the_parent_goes_first_then_the_range_then_the_name() {
        let all =
            [("p/a", "1"), ("p@^1/a", "2"), ("a@^3", "3"), ("a", "npm%3A4"), ("p@1.5.0/b", "5"), ("b", "")];
        // How many of the resolutions from the start are left out, who wants what, and what counts.
        let rows = [
            (0, "a", "^3", Some("1")),
            (1, "a", "^3", Some("2")),
            (2, "a", "^3", Some("3")),
            (2, "a", "^4", Some("npm:4")),
            (3, "a", "^3", Some("npm:4")),
            (0, "b", "^1", Some("5")),
            (5, "b", "^1", None),
        ];
        let parent = Parent { name: "p", version: Some("1.5.0"), descriptors: &["p@npm:^1"] };
        for (left_out, name, range, expected) in rows {
            let pairs: Pairs =
                all[left_out..].iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            let resolutions = Resolutions::new(&pairs);
            assert_eq!(resolutions.get(Some(parent), name, range).as_deref(), expected, "{left_out} {name}");
        }
        let pairs: Pairs = [("p/a".to_owned(), "1".to_owned())].into_iter().collect();
        assert_eq!(Resolutions::new(&pairs).get(None, "a", "^3"), None);
    }
}
