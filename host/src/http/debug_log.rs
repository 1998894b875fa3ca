//! One line for each request, for whoever looks for a fault: method, URL, outcome, time. No header, no body, and of the
//! query only what is known to be harmless.

use std::fmt;

use url::Url;

/// Query keys whose values may be shown. All others show their name: signed URLs are made of secrets.
const HARMLESS: [&str; 9] =
    ["n", "last", "next", "page", "page_size", "per_page", "scope", "service", "account"];

/// A URL that may be logged.
pub(super) struct Redacted<'a>(pub(super) &'a Url);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0;
        write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())?;
        for (i, (key, value)) in url.query_pairs().enumerate() {
            let mark = if i == 0 { '?' } else { '&' };
            let shown = HARMLESS.iter().any(|h| key.eq_ignore_ascii_case(h));
            write!(f, "{mark}{}={}", key.escape_debug(), if shown { value.as_ref() } else { "…" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_query_values_are_shown() {
        let rows = [
            ("https://r.example/v2/_catalog?n=100&last=a", "https://r.example/v2/_catalog?n=100&last=a"),
            ("https://s3.example/x?X-Amz-Signature=abc&n=1", "https://s3.example/x?X-Amz-Signature=…&n=1"),
            ("https://u:p@r.example:8443/x?sig=1#f", "https://r.example:8443/x?sig=…"),
        ];
        for (url, expected) in rows {
            assert_eq!(Redacted(&url.parse().unwrap()).to_string(), expected);
        }
    }
}
