//! Listings by the number of their pages: the REST APIs of GitHub and GitLab.

use serde::de::DeserializeOwned;
use url::Url;

use crate::error::{Error, Subject};
use crate::link::next_cursor;
use crate::scope::Scope;
use crate::session::Session;

/// A page of a listing that is an array, in the registry's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedPage<T> {
    /// What is on it. May be empty although more pages follow.
    pub elements: Vec<T>,
    /// Whether a page follows.
    pub more: bool,
}

impl Session {
    /// The page of this number, from 1, of `url` with `page` and `per_page` behind its query. Another one follows if there is
    /// a link with `rel="next"`, whatever it leads to.
    ///
    /// # Errors
    /// As [`Session::fetch_json`].
    pub async fn numbered<T: DeserializeOwned>(
        &self,
        mut url: Url,
        page: u32,
        per_page: u32,
        subject: &Subject,
    ) -> Result<NumberedPage<T>, Error> {
        let numbers = [("per_page", per_page.to_string()), ("page", page.to_string())];
        url.query_pairs_mut().extend_pairs(numbers);
        let (elements, headers) = self.fetch_json(url, &Scope::none(), subject).await?;
        Ok(NumberedPage { elements, more: next_cursor(&headers, subject)?.is_some() })
    }
}
