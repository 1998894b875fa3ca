//! Pages of a sorted listing.

use regent_plugin_api::{Cursor, Page, PageRequest};

/// The most items on a page.
const MAX_ITEMS: usize = 1000;

/// The page after the request's cursor, which is the last item of the page before. What was added or removed
/// meanwhile moves nothing else from its page.
pub(crate) fn page<T: AsText>(sorted: Vec<T>, request: &PageRequest) -> Page<T> {
    let size = usize::try_from(request.size).unwrap_or(MAX_ITEMS).clamp(1, MAX_ITEMS);
    let mut left = sorted
        .into_iter()
        .skip_while(|item| request.after.as_ref().is_some_and(|after| item.as_text() <= after.0.as_str()));
    let items: Vec<T> = left.by_ref().take(size).collect();
    let next = match (items.last(), left.next()) {
        (Some(last), Some(_)) => Some(Cursor(last.as_text().to_owned())),
        _ => None,
    };
    Page { items, next }
}

/// What a listing is sorted by.
pub(crate) trait AsText {
    /// The item's name.
    fn as_text(&self) -> &str;
}

impl AsText for regent_oci::RepositoryName {
    fn as_text(&self) -> &str {
        self.as_str()
    }
}

impl AsText for regent_oci::Tag {
    fn as_text(&self) -> &str {
        self.as_str()
    }
}
