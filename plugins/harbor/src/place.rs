//! Places in listings, as the text of a cursor. All state is in there: the next page may be asked of another process.

use std::fmt;

use regent_plugin_api::Numbered;

/// "maximum: 100", says the API of `page_size`.
pub(crate) const MAX_PAGE: u32 = 100;

/// A place in the list of repositories, which Harbor offers in three ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the list of all repositories, or of the one project that the connection keeps to.
    All(Numbered),
    /// In the list of repositories of the project that has this number in the list of projects, from 0.
    Projects { index: u32, at: Numbered },
    /// In `/v2/_catalog`: the query of its next page, none for the first.
    Catalog { query: Option<String>, size: u32 },
}

impl Place {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (way, rest) = text.split_once('/')?;
        match way {
            "all" => Some(Self::All(Numbered::parse(rest, MAX_PAGE)?)),
            "projects" => {
                let (index, at) = rest.split_once('/')?;
                Some(Self::Projects { index: index.parse().ok()?, at: Numbered::parse(at, MAX_PAGE)? })
            }
            "catalog" => {
                let (size, query) = rest.split_once('/')?;
                let size = size.parse().ok().filter(|size| (1..=MAX_PAGE).contains(size))?;
                Some(Self::Catalog { query: Some(query.to_owned()), size })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(at) => write!(f, "all/{at}"),
            Self::Projects { index, at } => write!(f, "projects/{index}/{at}"),
            Self::Catalog { query, size } => {
                write!(f, "catalog/{size}/{}", query.as_deref().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_written_and_read() {
        let rows = [
            (Place::All(Numbered { page: 3, size: 100 }), "all/3/100"),
            (Place::Projects { index: 0, at: Numbered { page: 1, size: 1 } }, "projects/0/1/1"),
            (
                Place::Catalog { query: Some("last=a%2Fb&n=5".to_owned()), size: 5 },
                "catalog/5/last=a%2Fb&n=5",
            ),
        ];
        for (place, text) in rows {
            assert_eq!(place.to_string(), text);
            assert_eq!(Place::parse(text), Some(place), "{text}");
        }
    }

    #[test]
    fn a_text_that_no_page_gave_is_no_place() {
        let rows = [
            "",
            "all",
            "all/",
            "all/1",
            "all/0/100",
            "all/1/0",
            "all/1/101",
            "all/-1/5",
            "all/1/100/",
            "projects/1/5",
            "projects/x/1/5",
            "catalog/",
            "catalog/0/n=1",
            "other/1/5",
            "99999999999/1",
        ];
        for text in rows {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
