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
    /// ```
    /// use regent_distribution::Subject;
    /// # use http::header::LINK;
    /// # use regent_distribution::{Credentials, Endpoint, Session};
    /// # use regent_plugin_api::testkit::{Exchange, Script};
    /// #[derive(serde::Deserialize)]
    /// struct Project {
    ///     path: String,
    /// }
    ///
    /// # futures_executor::block_on(async {
    /// # let page = Exchange::get("https://registry.example.com/api/v4/projects?per_page=100&page=1");
    /// # let page = page.answer(http::StatusCode::OK, r#"[{"path": "team"}]"#);
    /// # let page = page.answer_header(LINK, "<https://10.0.0.7/api/v4/projects?page=2>; rel=\"next\"");
    /// # let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
    /// # let session = Session::with_credentials(Script::new().then(page).shared(), endpoint, Credentials::Anonymous);
    /// let url = session.endpoint().below(["api", "v4", "projects"]);
    /// let subject = Subject::Other("the list of projects".to_owned());
    /// let page = session.numbered::<Project>(url, 1, 100, &subject).await?;
    /// assert_eq!(page.elements[0].path, "team");
    /// assert!(page.more); // so page 2 is asked for
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
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
