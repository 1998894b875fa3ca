//! Places in listings, as the text of a cursor. All state is in there: the next page may be asked of another process.

use regent_plugin_api::{Cursor, Namespaces, Numbered};

use crate::owner::Kind;

/// "The number of results per page (max 100)".
pub(crate) const MAX_PAGE: u32 = 100;

/// A place in a list of packages or versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Of one owner, whose name is known from the connection or the repository.
    Of(Kind, Numbered),
    /// Of the account, behind whose packages come those of its organizations.
    Account(Numbered),
    /// Of organizations of the account, one by one.
    Orgs(Numbered, Namespaces),
}

impl Place {
    /// Reads what [`Place::cursor`] wrote.
    pub(crate) fn parse(cursor: &Cursor) -> Option<Self> {
        let (way, rest) = cursor.way()?;
        let numbered = |text: &str| Numbered::parse(text, MAX_PAGE);
        match way {
            "own" => Some(Self::Of(Kind::Own, numbered(rest)?)),
            "org" => Some(Self::Of(Kind::Org, numbered(rest)?)),
            "user" => Some(Self::Of(Kind::User, numbered(rest)?)),
            "account" => Some(Self::Account(numbered(rest)?)),
            "orgs" => {
                let (at, names) = rest.rsplit_once('/')?;
                Some(Self::Orgs(numbered(at)?, Namespaces::parse(names)?))
            }
            _ => None,
        }
    }

    pub(crate) fn cursor(&self) -> Cursor {
        match self {
            Self::Of(Kind::Own, at) => Cursor::on_way("own", at),
            Self::Of(Kind::Org, at) => Cursor::on_way("org", at),
            Self::Of(Kind::User, at) => Cursor::on_way("user", at),
            Self::Account(at) => Cursor::on_way("account", at),
            Self::Orgs(at, names) => Cursor::on_way("orgs", format!("{at}/{names}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_a_cursor_and_nothing_else_is_one() {
        let at = Numbered { page: 3, size: 100 };
        let rows = [
            (Place::Of(Kind::Own, at), "own/3/100"),
            (Place::Of(Kind::Org, at), "org/3/100"),
            (Place::Of(Kind::User, at), "user/3/100"),
            (Place::Account(at), "account/3/100"),
            (Place::Orgs(at, Namespaces::parse("acme,globex").unwrap()), "orgs/3/100/acme,globex"),
        ];
        for (place, text) in rows {
            assert_eq!(place.cursor(), Cursor(text.to_owned()));
            assert_eq!(Place::parse(&place.cursor()), Some(place), "{text}");
        }
        for text in
            ["", "own", "own/0/100", "org/1/101", "orgs/1/100", "orgs/1/100/", "orgs/1/acme", "x/1/100"]
        {
            assert_eq!(Place::parse(&Cursor(text.to_owned())), None, "{text}");
        }
    }
}
