//! Where the next page is (RFC 8288, `Link`; distribution-spec 1.1, "Listing Tags").

use http::HeaderMap;
use http::header::LINK;

use crate::error::{Error, Subject};
use crate::field::{Scanner, joined};

/// The most links of an answer that are looked at.
const MAX_LINKS: usize = 32;
/// The longest query that is taken as a cursor, in bytes. ECR's and Quay's opaque ones have some hundred.
pub(crate) const MAX_CURSOR_BYTES: usize = 4 << 10;

/// One link of an answer.
///
/// ```
/// use regent_distribution::Link;
///
/// let links = Link::parse_text(r#"</v2/_catalog?n=2&last=team%2Fapp>; rel="next", </v2/_catalog>; rel=first"#);
/// assert_eq!(links[0].rel, ["next"]);
/// assert_eq!(links[0].query(), Some("n=2&last=team%2Fapp"));
/// assert_eq!(links[1].query(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The target as it was sent: absolute, relative, or with the wrong host.
    pub target: String,
    /// Its relation types in lower case: `next`, `prev`, `previous`, …
    pub rel: Vec<String>,
}

impl Link {
    /// All links of an answer, in their order. What breaks the grammar is left out.
    pub fn parse(headers: &HeaderMap) -> Vec<Self> {
        Self::parse_text(&joined(headers, &LINK))
    }

    /// As [`Link::parse`], of one field value.
    pub fn parse_text(text: &str) -> Vec<Self> {
        let mut links = Vec::new();
        let mut scanner = Scanner::new(text);
        while links.len() < MAX_LINKS {
            scanner.take_while(|c| c != '<');
            if !scanner.eat('<') {
                break;
            }
            let target = scanner.take_while(|c| c != '>');
            if !scanner.eat('>') {
                break;
            }
            let rel = parameters(&mut scanner).unwrap_or_default();
            let rel = rel.split_ascii_whitespace().map(str::to_ascii_lowercase).collect();
            links.push(Self { target: target.trim().to_owned(), rel });
        }
        links
    }

    /// The query of the target, without its `?`.
    pub fn query(&self) -> Option<&str> {
        let without_fragment = self.target.split('#').next().unwrap_or_default();
        without_fragment.split_once('?').map(|(_, query)| query).filter(|query| !query.is_empty())
    }
}

/// The `rel` among the parameters of a link. "Occurrences after the first MUST be ignored" (RFC 8288 §3.3).
fn parameters(scanner: &mut Scanner<'_>) -> Option<String> {
    let mut rel = None;
    loop {
        scanner.skip_blanks();
        if !scanner.eat(';') {
            return rel;
        }
        scanner.skip_blanks();
        let name = scanner.token();
        scanner.skip_blanks();
        if scanner.eat('=') {
            scanner.skip_blanks();
            let value = scanner.value(",;");
            if name.eq_ignore_ascii_case("rel") && rel.is_none() {
                rel = Some(value);
            }
        }
    }
}

/// The cursor of the next page: the **query** of the link with `rel="next"`; `None` at the end of the listing.
///
/// Only the query, to be put on the path that was called. That survives a relative link, a foreign host or scheme
/// from behind a proxy (Quay, GitLab), a path without its prefix (Artifactory) or with one too many (Nexus), and it
/// leaves the other side no way to send us elsewhere.
///
/// ```
/// use http::header::{HeaderMap, HeaderValue, LINK};
/// use regent_distribution::{PageQuery, Subject, next_cursor};
///
/// // From behind a proxy that the registry does not know of.
/// let link = HeaderValue::from_static("<http://10.0.0.7:5000/v2/_catalog?n=2&last=b>; rel=next");
/// let headers = HeaderMap::from_iter([(LINK, link)]);
/// let after = next_cursor(&headers, &Subject::Catalog)?;
/// let next = PageQuery { n: Some(2), after }.on("https://registry.example.com/v2/_catalog".parse()?)?;
/// assert_eq!(next.as_str(), "https://registry.example.com/v2/_catalog?n=2&last=b");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::AnswerInvalid`] if the link has no query, which would be the first page again, or an endless one.
pub fn next_cursor(headers: &HeaderMap, subject: &Subject) -> Result<Option<String>, Error> {
    let fail = |reason: &str| Error::AnswerInvalid { subject: subject.clone(), reason: reason.to_owned() };
    let links = Link::parse(headers);
    let Some(next) = links.iter().find(|link| link.rel.iter().any(|rel| rel == "next")) else {
        return Ok(None);
    };
    let query = next.query().ok_or_else(|| fail("its link to the next page has no query"))?;
    if !is_cursor(query) {
        return Err(fail("its link to the next page is too long or has control characters"));
    }
    Ok(Some(query.to_owned()))
}

/// Whether a text can be put behind a `?`. It may come from an API client, not from the registry.
pub(crate) fn is_cursor(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_CURSOR_BYTES && !text.chars().any(|c| c.is_control() || c == '#')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn next(values: &[&str]) -> Result<Option<String>, Error> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, HeaderValue::from_str(value).unwrap());
        }
        next_cursor(&headers, &Subject::Catalog)
    }

    #[test]
    fn the_next_page_is_found_among_the_traps() {
        let rows: &[(&[&str], Option<&str>)] = &[
            (&[r#"</v2/_catalog?last=c%2Fthree&n=3>; rel="next""#], Some("last=c%2Fthree&n=3")),
            (&[r#"<https://other.example/x?next_page=gAAA==>; rel="next""#], Some("next_page=gAAA==")),
            (&[r#"</x?last=10000&n=10000>; rel="next","#], Some("last=10000&n=10000")),
            (&["</x?last=a>; rel=next"], Some("last=a")),
            (&["</x?last=a>;rel = \"next\" ;title=\"a, b\""], Some("last=a")),
            (&[r#"</x?p=1>; rel="previous", </x?p=3>; rel="next""#], Some("p=3")),
            (&[r#"</x?p=1>; rel="prev""#, r#"</x?p=3>; rel="next""#], Some("p=3")),
            (&[r#"</x?p=1>; title="x; rel=\"next\"", </x?p=2>; rel="last next""#], Some("p=2")),
            (&[r#"</x?p=1>; REL="Next""#], Some("p=1")),
            (&[r#"</api?q=name=~a b,c&page=2>; rel="next""#], Some("q=name=~a b,c&page=2")),
            (&[r#"</x?p=1#frag>; rel="next""#], Some("p=1")),
            (&[r#"</x?p=1>; rel="previous""#], None),
            (&[r#"</x?p=1>; rel="prev"; rel="next""#], None),
            (&["</x?p=1>"], None),
            (&["</x?p=1; rel=next"], None),
            (&[""], None),
            (&[], None),
        ];
        for (values, expected) in rows {
            assert_eq!(next(values).unwrap().as_deref(), *expected, "{values:?}");
        }
    }

    #[test]
    fn a_next_page_that_can_only_be_wrong_is_an_error() {
        assert!(next(&[r#"</v2/_catalog>; rel="next""#]).is_err());
        assert!(next(&[r#"</v2/_catalog?>; rel="next""#]).is_err());
        assert!(next(&[&format!("</x?{}>; rel=next", "a".repeat(5000))]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            let _ = Link::parse_text(&text);
        }

        #[test]
        fn no_near_miss_makes_the_parser_panic(text in "(<|>|;|rel|=|next|,|\"|\\\\| |/x\\?a=b){0,40}") {
            let _ = Link::parse_text(&text);
        }

        #[test]
        fn well_formed_links_are_read_back(
            all in proptest::collection::vec(("/[a-z?&=%,;]{0,20}", "[a-z]{1,8}"), 1..6),
        ) {
            let text: Vec<String> = all.iter().map(|(t, r)| format!("<{t}>; rel=\"{r}\"")).collect();
            let expected: Vec<Link> =
                all.iter().map(|(t, r)| Link { target: t.clone(), rel: vec![r.clone()] }).collect();
            proptest::prop_assert_eq!(Link::parse_text(&text.join(", ")), expected);
        }
    }
}
