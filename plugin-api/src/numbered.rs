//! Listings that count their pages.

use std::fmt;

use crate::driver::{Cursor, PageRequest};
use crate::error::{Error, Result};

/// A page by its number, for APIs that take `page=3&per_page=100`. Written as a cursor it is `3/100`: the size belongs to
/// it, since with another one it would be another page.
///
/// ```
/// use regent_plugin_api::{Cursor, Numbered, PageRequest};
///
/// let page = PageRequest { size: 1000, after: Some(Cursor("3/100".to_owned())) };
/// let at = Numbered::of(&page, 100)?; // the registry has at most 100 on a page
/// assert_eq!(format!("page={}&per_page={}", at.page, at.size), "page=3&per_page=100");
/// let total = 420; // as the registry says
/// let next = at.is_before_end(total).then(|| at.following().to_string());
/// assert_eq!(next.as_deref(), Some("4/100"));
/// # Ok::<(), regent_plugin_api::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// From 1.
    pub page: u32,
    /// Items a page.
    pub size: u32,
}

impl Numbered {
    /// The first page, of a size from 1 to `max_size`.
    pub fn first(size: u32, max_size: u32) -> Self {
        Self { page: 1, size: size.clamp(1, max_size.max(1)) }
    }

    /// The page that is asked for.
    ///
    /// # Errors
    /// Code `cursor_invalid` for a cursor that is no page of at most `max_size`.
    pub fn of(request: &PageRequest, max_size: u32) -> Result<Self> {
        match &request.after {
            None => Ok(Self::first(request.size, max_size)),
            Some(Cursor(text)) => Self::parse(text, max_size).ok_or_else(Error::invalid_cursor),
        }
    }

    /// Reads what [`Numbered`] was written as; `None` for anything else.
    pub fn parse(text: &str, max_size: u32) -> Option<Self> {
        let (page, size) = text.split_once('/')?;
        let at = Self { page: page.parse().ok()?, size: size.parse().ok()? };
        (at.page > 0 && (1..=max_size).contains(&at.size)).then_some(at)
    }

    /// The page behind it.
    #[must_use]
    pub fn following(self) -> Self {
        Self { page: self.page.saturating_add(1), ..self }
    }

    /// Whether `total` items reach beyond this page.
    pub fn is_before_end(self, total: u64) -> bool {
        u64::from(self.page) * u64::from(self.size) < total
    }
}

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.page, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_survives_being_a_cursor_and_nothing_else_is_one() {
        let second = Numbered::first(1000, 100).following();
        assert_eq!(second, Numbered { page: 2, size: 100 });
        let request = PageRequest { size: 7, after: Some(Cursor(second.to_string())) };
        assert_eq!(Numbered::of(&request, 100), Ok(second));
        for text in ["", "2", "0/100", "2/0", "2/101", "-1/5", "2/100/", "99999999999/1", "x/1"] {
            let request = PageRequest { size: 7, after: Some(Cursor(text.to_owned())) };
            let error = Numbered::of(&request, 100).unwrap_err();
            assert_eq!(error.code(), "cursor_invalid", "{text}");
        }
    }

    #[test]
    fn the_end_is_where_the_total_is_reached() {
        let page = Numbered { page: 3, size: 100 };
        assert!(page.is_before_end(301));
        assert!(!page.is_before_end(300));
        assert!(!page.is_before_end(0));
    }
}
