//! What a 401 asks for (RFC 9110 §11.6.1, `WWW-Authenticate`; RFC 6750 §3; CNCF Distribution, "Token Authentication").

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use crate::field::{Scanner, joined};

/// The most challenges of an answer, and parameters of a challenge, that are kept.
const MAX_PARTS: usize = 32;

/// One challenge.
///
/// ```
/// use regent_distribution::Challenge;
///
/// let text = r#"Bearer realm="https://auth.example.com/token",service="registry.example.com", Basic realm="acme""#;
/// let [Challenge::Bearer { realm, service, scope, .. }, Challenge::Basic { .. }] =
///     &*Challenge::parse_text(text) else { panic!("two challenges") };
/// assert_eq!(realm, "https://auth.example.com/token");
/// assert_eq!(service.as_deref(), Some("registry.example.com"));
/// assert_eq!(*scope, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Challenge {
    /// A token of this token service.
    Bearer {
        /// The URL of the token service as it was sent; where credentials may go is decided later.
        realm: String,
        /// The name of the registry at that service. Google's leave it out.
        service: Option<String>,
        /// The scopes of the request that was refused, separated by blanks.
        scope: Option<String>,
        /// `insufficient_scope`: get another token; `invalid_token`: the one sent was bad (RFC 6750 §3.1).
        error: Option<String>,
    },
    /// User name and password, with every request.
    Basic {
        /// A text for people. ECR puts a URL here, which means nothing.
        realm: Option<String>,
    },
    /// A scheme that is not spoken here, or Bearer without a realm.
    Other {
        /// The scheme, in lower case.
        scheme: String,
    },
}

impl Challenge {
    /// All challenges of an answer, in their order: several headers, several in one header, or both.
    ///
    /// It does not fail: what breaks the grammar is left out. An answer with an **empty** header (Harbor, for a project
    /// that does not exist) has none.
    pub fn parse(headers: &HeaderMap) -> Vec<Self> {
        Self::parse_text(&joined(headers, &WWW_AUTHENTICATE))
    }

    /// As [`Challenge::parse`], of one field value.
    pub fn parse_text(text: &str) -> Vec<Self> {
        let mut found: Vec<Raw> = Vec::new();
        let mut scanner = Scanner::new(text);
        while !scanner.is_at_end() {
            scanner.take_while(|c| matches!(c, ' ' | '\t' | ','));
            let word = scanner.token();
            if word.is_empty() {
                scanner.skip_one();
                continue;
            }
            scanner.skip_blanks();
            if scanner.eat('=') {
                scanner.skip_blanks();
                let value = scanner.value(",");
                if let Some(raw) = found.last_mut()
                    && raw.parameters.len() < MAX_PARTS
                {
                    raw.parameters.push((word.to_ascii_lowercase(), value));
                }
                continue;
            }
            if found.len() == MAX_PARTS {
                break;
            }
            // `Negotiate YII=`: what follows belongs to the scheme and is no parameter. But in `Basic realm=x` and in
            // `Negotiate, Basic` there is none.
            found.push(Raw { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
            let _ = scanner.token68();
        }
        found.into_iter().map(Self::from).collect()
    }
}

/// A challenge before anyone looked at its scheme.
struct Raw {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl From<Raw> for Challenge {
    fn from(raw: Raw) -> Self {
        let parameter = |name: &str| {
            let value = raw.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
            value.filter(|v| !v.is_empty())
        };
        match (raw.scheme.as_str(), parameter("realm")) {
            ("bearer", Some(realm)) => Self::Bearer {
                realm,
                service: parameter("service"),
                scope: parameter("scope"),
                error: parameter("error"),
            },
            ("basic", realm) => Self::Basic { realm },
            _ => Self::Other { scheme: raw.scheme },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>, error: Option<&str>) -> Challenge {
        let owned = |v: Option<&str>| v.map(str::to_owned);
        let (service, scope, error) = (owned(service), owned(scope), owned(error));
        Challenge::Bearer { realm: realm.to_owned(), service, scope, error }
    }

    fn basic(realm: &str) -> Challenge {
        Challenge::Basic { realm: Some(realm.to_owned()) }
    }

    fn other(scheme: &str) -> Challenge {
        Challenge::Other { scheme: scheme.to_owned() }
    }

    #[test]
    fn challenges_as_registries_send_them_are_read() {
        let t = "https://h/token";
        let rows: Vec<(&str, Vec<Challenge>)> = vec![
            (r#"Bearer realm="https://h/token",service="h""#, vec![bearer(t, Some("h"), None, None)]),
            (
                r#"bearer service=gcr.io, realm="https://h/token""#,
                vec![bearer(t, Some("gcr.io"), None, None)],
            ),
            (
                r#"BEARER Realm="https://h/token",SCOPE="repository:x:pull,push",error="insufficient_scope""#,
                vec![bearer(t, None, Some("repository:x:pull,push"), Some("insufficient_scope"))],
            ),
            (
                r#"Bearer realm="https://h/token",scope="*",Basic realm="Gitea""#,
                vec![bearer(t, None, Some("*"), None), basic("Gitea")],
            ),
            (r#"Basic realm="a, Bearer realm=b""#, vec![basic("a, Bearer realm=b")]),
            (r#"Basic realm="say \"hi\" \\ there""#, vec![basic(r#"say "hi" \ there"#)]),
            ("BASIC realm=Sonatype", vec![basic("Sonatype")]),
            ("Basic", vec![Challenge::Basic { realm: None }]),
            ("Bearer realm=https://h/token , service = h", vec![bearer(t, Some("h"), None, None)]),
            ("Negotiate, Basic realm=x", vec![other("negotiate"), basic("x")]),
            ("Negotiate YIIBvgYGKwYBBQUCoII=, Basic realm=x", vec![other("negotiate"), basic("x")]),
            (", ,Basic realm=x,", vec![basic("x")]),
            (r#"Basic realm="never closed"#, vec![basic("never closed")]),
            ("Bearer service=h", vec![other("bearer")]),
            (r#"Bearer realm="""#, vec![other("bearer")]),
            ("", vec![]),
            ("   ", vec![]),
            ("=x", vec![other("x")]),
            ("\u{e9} , =", vec![]),
        ];
        for (text, expected) in rows {
            assert_eq!(Challenge::parse_text(text), expected, "{text}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"x\""));
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"https://h/token\""));
        let expected = vec![basic("x"), bearer("https://h/token", None, None, None)];
        assert_eq!(Challenge::parse(&headers), expected);
    }

    #[test]
    fn a_header_without_end_is_cut() {
        let many = "Basic realm=x, ".repeat(5000);
        assert_eq!(Challenge::parse_text(&many).len(), MAX_PARTS);
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(&"x".repeat(20_000)).unwrap());
        assert_eq!(Challenge::parse(&headers), vec![]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            let _ = Challenge::parse_text(&text);
        }

        #[test]
        fn no_near_miss_makes_the_parser_panic(text in "(Bearer|Basic|realm|=|,|\"|\\\\| |x){0,40}") {
            let _ = Challenge::parse_text(&text);
        }

        #[test]
        fn well_formed_challenges_are_read_back(
            all in proptest::collection::vec(("[ -~]{1,30}", proptest::option::of("[ -~]{1,20}")), 1..5),
        ) {
            let quoted = |v: &str| format!("\"{}\"", v.replace('\\', "\\\\").replace('"', "\\\""));
            let mut text = Vec::new();
            let mut expected = Vec::new();
            for (realm, scope) in &all {
                let mut one = format!("Bearer realm={}", quoted(realm));
                if let Some(scope) = scope {
                    one = format!("{one} , scope={}", quoted(scope));
                }
                text.push(one);
                expected.push(bearer(realm, None, scope.as_deref(), None));
            }
            proptest::prop_assert_eq!(Challenge::parse_text(&text.join(",")), expected);
        }
    }
}
