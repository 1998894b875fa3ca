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
