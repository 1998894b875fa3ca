//! Whole listings: from page to page, with an end in any case.

use std::collections::HashSet;
use std::future::Future;
use std::hash::Hash;

use crate::error::Error;

/// How much of a listing is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    /// The most pages.
    pub pages: usize,
    /// The most items.
    pub items: usize,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self { pages: 10_000, items: 1_000_000 }
    }
}

/// Walks a listing to its end with guards against one that has none. Works for any listing with opaque cursors: this
/// crate's, and those of drivers.
///
/// ```
/// use regent_distribution::{Error, PageLimits, Pages};
///
/// // Two pages, and a name that moved from the first to the second in between.
/// let fetch = |cursor: Option<String>| async move {
///     Ok::<_, Error>(match cursor {
///         None => (vec!["a", "b"], Some("b".to_owned())),
///         Some(_) => (vec!["b", "c"], None),
///     })
/// };
/// let pages = Pages::new("the list of repositories", PageLimits::default(), |name: &&'static str| *name, fetch);
/// assert_eq!(futures_executor::block_on(pages.collect())?, ["a", "b", "c"]);
/// # Ok::<(), Error>(())
/// ```
pub struct Pages<K, F> {
    listing: String,
    limits: PageLimits,
    key: K,
    fetch: F,
}

impl<K, F> Pages<K, F> {
    /// A walk over `listing` (its name, for messages). `key` tells items apart; `fetch` gets a page by its cursor,
    /// `None` for the first.
    pub fn new(listing: impl Into<String>, limits: PageLimits, key: K, fetch: F) -> Self {
        Self { listing: listing.into(), limits, key, fetch }
    }

    /// Calls `each` with the items of every page that no page before had.
    ///
    /// # Errors
    /// [`Error::PagingLoop`] if a cursor comes a second time, or if a page that is not the last has items and
    /// none is new; [`Error::PagingLimit`]; else those of `fetch`.
    pub async fn for_each<T, Id, E, Fut>(mut self, mut each: impl FnMut(Vec<T>)) -> Result<(), E>
    where
        K: Fn(&T) -> Id,
        Id: Eq + Hash,
        F: FnMut(Option<String>) -> Fut,
        Fut: Future<Output = Result<(Vec<T>, Option<String>), E>>,
        E: From<Error>,
    {
        let mut seen_items = HashSet::new();
        let mut seen_cursors = HashSet::new();
        let mut cursor = None;
        for _ in 0..self.limits.pages {
            let (items, next) = (self.fetch)(cursor).await?;
            let was_empty = items.is_empty();
            let new: Vec<T> = items.into_iter().filter(|item| seen_items.insert((self.key)(item))).collect();
            if seen_items.len() > self.limits.items {
                return Err(self.limit(self.limits.items, "items").into());
            }
            let brought_nothing = new.is_empty() && !was_empty;
            each(new);
            let Some(next) = next else { return Ok(()) };
            if brought_nothing || !seen_cursors.insert(next.clone()) {
                return Err(Error::PagingLoop { listing: self.listing }.into());
            }
            cursor = Some(next);
        }
        Err(self.limit(self.limits.pages, "pages").into())
    }

    /// All items.
    ///
    /// # Errors
    /// As [`Pages::for_each`].
    pub async fn collect<T, Id, E, Fut>(self) -> Result<Vec<T>, E>
    where
        K: Fn(&T) -> Id,
        Id: Eq + Hash,
        F: FnMut(Option<String>) -> Fut,
        Fut: Future<Output = Result<(Vec<T>, Option<String>), E>>,
        E: From<Error>,
    {
        let mut all = Vec::new();
        self.for_each(|items| all.extend(items)).await?;
        Ok(all)
    }

    fn limit(&self, limit: usize, unit: &'static str) -> Error {
        Error::PagingLimit { listing: self.listing.clone(), limit, unit }
    }
}

impl<K, F> std::fmt::Debug for Pages<K, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages")
            .field("listing", &self.listing)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
