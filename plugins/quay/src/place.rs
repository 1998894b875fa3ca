//! Places in the list of repositories, as the text of a cursor.

use regent_plugin_api::{Cursor, Namespaces};

/// A place in one of the two lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the API's list of a namespace, and of others behind it.
    Api {
        namespaces: Namespaces,
        /// Quay's encrypted mark of a page; none for the first.
        page: Option<String>,
    },
    /// In `/v2/_catalog`: the query of a page. Quay's mark is in there, and no name: with a name it would begin anew.
    Catalog(Option<String>),
}

impl Place {
    pub(crate) fn first(namespaces: Namespaces) -> Self {
        Self::Api { namespaces, page: None }
    }

    /// Reads a cursor; `None` for one that no page gave.
    pub(crate) fn parse(cursor: &Cursor) -> Option<Self> {
        match cursor.way()? {
            ("api", rest) => {
                let (namespaces, page) = rest.split_once('/')?;
                let page = Some(page.to_owned()).filter(|page| !page.is_empty());
                Some(Self::Api { namespaces: Namespaces::parse(namespaces)?, page })
            }
            ("catalog", query) => Some(Self::Catalog(Some(query.to_owned()))),
            _ => None,
        }
    }

    pub(crate) fn cursor(&self) -> Cursor {
        match self {
            Self::Api { namespaces, page } => {
                Cursor::on_way("api", format_args!("{namespaces}/{}", page.as_deref().unwrap_or_default()))
            }
            Self::Catalog(query) => Cursor::on_way("catalog", query.as_deref().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_a_cursor_and_nothing_else_is_one() {
        let namespaces = || Namespaces::new(["acme", "globex"]).unwrap();
        let rows = [
            (Place::first(namespaces()), "api/acme,globex/"),
            (
                Place::Api { namespaces: namespaces(), page: Some("gA/b==".to_owned()) },
                "api/acme,globex/gA/b==",
            ),
            (Place::Catalog(Some("n=100&next_page=gA%3D".to_owned())), "catalog/n=100&next_page=gA%3D"),
        ];
        for (place, text) in rows {
            assert_eq!(place.cursor().0, text);
            assert_eq!(Place::parse(&Cursor(text.to_owned())), Some(place), "{text}");
        }
        for text in ["", "api", "api/", "api/acme", "api//x", "api/../x", "other/x"] {
            assert_eq!(Place::parse(&Cursor(text.to_owned())), None, "{text}");
        }
    }
}
