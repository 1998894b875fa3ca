//! Listings that go from one namespace to the next.

use std::fmt;

use regent_oci::RepositoryName;

/// Namespaces that are still to be listed, the first of them in work: for registries that list the repositories of one
/// namespace (user, organization) at a time.
///
/// Written as a cursor it is all of them, joined by commas: which namespaces there are is asked once, and the next page
/// may be asked of another process.
///
/// ```
/// use regent_plugin_api::{Cursor, Namespaces};
///
/// let first = Namespaces::new(["team", "base"]).expect("a namespace");
/// assert_eq!(first.current().as_str(), "team");
/// // Behind the last page of `team` the listing goes on with:
/// let next = first.following().map(|rest| Cursor(rest.to_string()));
/// assert_eq!(next, Some(Cursor("base".to_owned())));
/// let last = Namespaces::parse("base").expect("what was written");
/// assert_eq!(last.following(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespaces {
    current: RepositoryName,
    rest: Vec<RepositoryName>,
}

impl Namespaces {
    /// These, in this order, each once; what is no name of a namespace is left out. `None` if none is left.
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Option<Self> {
        let mut all: Vec<RepositoryName> = Vec::new();
        for name in names.into_iter().filter_map(|name| parse(name.as_ref())) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        let mut all = all.into_iter();
        Some(Self { current: all.next()?, rest: all.collect() })
    }

    /// Reads what [`Namespaces`] was written as; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let names = text.split(',').map(parse).collect::<Option<Vec<_>>>()?;
        let mut names = names.into_iter();
        Some(Self { current: names.next()?, rest: names.collect() })
    }

    /// The one in work.
    pub fn current(&self) -> &RepositoryName {
        &self.current
    }

    /// The others, if there are any.
    #[must_use]
    pub fn following(&self) -> Option<Self> {
        let (current, rest) = self.rest.split_first()?;
        Some(Self { current: current.clone(), rest: rest.to_vec() })
    }
}

/// A namespace has the grammar of one component of a repository's name.
fn parse(text: &str) -> Option<RepositoryName> {
    text.parse::<RepositoryName>().ok().filter(|name| !name.as_str().contains('/'))
}

impl fmt::Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.current)?;
        self.rest.iter().try_for_each(|name| write!(f, ",{name}"))
    }
}
