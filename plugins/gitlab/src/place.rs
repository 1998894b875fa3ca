//! Places in the list of repositories, as the text of a cursor. All state is in there: the next page may be asked of another
//! process.

use regent_plugin_api::{Cursor, Namespaces, Numbered};

use crate::rest::MAX_PAGE;

/// A place on one of the ways to list repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Of the group that the connection names.
    Group(Numbered),
    /// Of the project that the connection names, or so many levels above what it names.
    Project { up: usize, at: Numbered },
    /// Of the group that has this number, from 0, among those that the account is a member of.
    Groups { index: usize, at: Numbered, all: Namespaces },
    /// Of projects that the account is a member of, behind the one with this number; what is in one of the groups was there
    /// before.
    Projects { after: u64, groups: Option<Namespaces> },
    /// In the registry's own list below a path: the query of the page.
    Below(Option<String>),
    /// In `/v2/_catalog`: as above.
    Catalog(Option<String>),
}

impl Place {
    /// Reads what [`Place::cursor`] wrote.
    pub(crate) fn parse(cursor: &Cursor) -> Option<Self> {
        let (way, rest) = cursor.way()?;
        let numbered = |text: &str| Numbered::parse(text, MAX_PAGE);
        match way {
            "group" => Some(Self::Group(numbered(rest)?)),
            "project" => {
                let (up, at) = rest.split_once('/')?;
                Some(Self::Project { up: up.parse().ok()?, at: numbered(at)? })
            }
            "groups" => {
                let (index, rest) = rest.split_once('/')?;
                let (at, all) = rest.rsplit_once('/')?;
                let (index, at) = (index.parse().ok()?, numbered(at)?);
                Some(Self::Groups { index, at, all: Namespaces::parse(all)? })
            }
            "projects" => {
                let (after, groups) = rest.split_once('/')?;
                let groups = match groups {
                    "" => None,
                    groups => Some(Namespaces::parse(groups)?),
                };
                Some(Self::Projects { after: after.parse().ok()?, groups })
            }
            "below" => Some(Self::Below(Some(rest.to_owned()))),
            "catalog" => Some(Self::Catalog(Some(rest.to_owned()))),
            _ => None,
        }
    }

    pub(crate) fn cursor(&self) -> Cursor {
        match self {
            Self::Group(at) => Cursor::on_way("group", at),
            Self::Project { up, at } => Cursor::on_way("project", format!("{up}/{at}")),
            Self::Groups { index, at, all } => Cursor::on_way("groups", format!("{index}/{at}/{all}")),
            Self::Projects { after, groups } => {
                let groups = groups.as_ref().map(ToString::to_string).unwrap_or_default();
                Cursor::on_way("projects", format!("{after}/{groups}"))
            }
            Self::Below(query) => Cursor::on_way("below", query.as_deref().unwrap_or_default()),
            Self::Catalog(query) => Cursor::on_way("catalog", query.as_deref().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_a_cursor_and_nothing_else_is_one() {
        let at = Numbered { page: 3, size: 100 };
        let names = |text| Namespaces::parse(text).unwrap();
        let rows = [
            (Place::Group(at), "group/3/100"),
            (Place::Project { up: 1, at }, "project/1/3/100"),
            (Place::Groups { index: 1, at, all: names("a,b,c") }, "groups/1/3/100/a,b,c"),
            (Place::Projects { after: 77, groups: Some(names("a,b")) }, "projects/77/a,b"),
            (Place::Projects { after: 0, groups: None }, "projects/0/"),
            (Place::Below(Some("n=2&last=a%2Fb".to_owned())), "below/n=2&last=a%2Fb"),
            (Place::Catalog(Some("n=2&last=a/b".to_owned())), "catalog/n=2&last=a/b"),
        ];
        for (place, text) in rows {
            assert_eq!(place.cursor(), Cursor(text.to_owned()));
            assert_eq!(Place::parse(&place.cursor()), Some(place), "{text}");
        }
        for text in [
            "",
            "group",
            "group/0/100",
            "group/1/101",
            "project/1/100",
            "groups/1/1/a",
            "projects/x/a",
            "x/1",
        ] {
            assert_eq!(Place::parse(&Cursor(text.to_owned())), None, "{text}");
        }
    }
}
