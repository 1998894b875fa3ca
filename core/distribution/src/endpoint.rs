//! Where a registry's `/v2/` is, and the URLs below it (distribution-spec 1.1, "Endpoints").

use regent_oci::{Digest, Reference, RepositoryName};
use url::Url;

use crate::error::Error;

/// What stands in front of `/v2/`: scheme, host, port and perhaps a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Without user info, query and fragment; the path ends with `/`.
    base: Url,
}

/// What a path in a registry's address means. It differs by product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathMeaning {
    /// It stays in front of `/v2/`: Artifactory's `/artifactory/api/docker/<key>`, Nexus' `/repository/<name>`.
    ApiPrefix,
    /// `/v2/` follows the host, and the path is where repository names begin: `us-docker.pkg.dev/project/repo`.
    RepositoryPrefix,
}

impl Endpoint {
    /// An endpoint in front of `/v2/`. A missing `/` at the end is added; the path must not hold `/v2/` itself.
    ///
    /// # Errors
    /// [`Error::Endpoint`]: neither http nor https, no host, or with user info, query or fragment.
    pub fn new(mut base: Url) -> Result<Self, Error> {
        let fail = |reason: &str| Err(Error::Endpoint { reason: reason.to_owned() });
        if !matches!(base.scheme(), "http" | "https") {
            return fail("begins with neither https:// nor http://");
        }
        if base.host_str().is_none_or(str::is_empty) {
            return fail("has no host");
        }
        if !base.username().is_empty() || base.password().is_some() {
            return fail("holds a user name or password; they are settings of their own");
        }
        if base.query().is_some() || base.fragment().is_some() {
            return fail("has a query or a fragment");
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        Ok(Self { base })
    }

    /// The endpoint that an operator's text means, and the prefix of its repository names where the path is one.
    ///
    /// Blanks around it, a `https://`, a trailing `/`, `/v2`, `/v2/` or `/v1/` (Docker Hub's old address) are
    /// dropped. `http://` is kept only if `plain_http` says that the operator allows it; with `plain_http` a text
    /// without a scheme is taken as `http://`, since that is what the operator said of this registry.
    ///
    /// ```
    /// use regent_distribution::{Endpoint, PathMeaning};
    ///
    /// let (nexus, _) =
    ///     Endpoint::from_base("https://nexus.example.com/repository/docker/v2/", false, PathMeaning::ApiPrefix)?;
    /// assert_eq!(nexus.ping().as_str(), "https://nexus.example.com/repository/docker/v2/");
    ///
    /// let (google, prefix) =
    ///     Endpoint::from_base("us-docker.pkg.dev/project/repo", false, PathMeaning::RepositoryPrefix)?;
    /// assert_eq!(google.url().as_str(), "https://us-docker.pkg.dev/");
    /// assert_eq!(prefix, Some("project/repo".parse()?));
    ///
    /// assert!(Endpoint::from_base("http://registry.example.com", false, PathMeaning::ApiPrefix).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Endpoint`] with the rule that the text breaks.
    pub fn from_base(
        base: &str,
        plain_http: bool,
        path_meaning: PathMeaning,
    ) -> Result<(Self, Option<RepositoryName>), Error> {
        let fail = |reason: String| Error::Endpoint { reason };
        let text = base.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
                if !plain_http {
                    return Err(fail("is plain http://, which is not allowed for this registry".to_owned()));
                }
                ("http", rest)
            }
            Some(_) => return Err(fail("begins with neither https:// nor http://".to_owned())),
            None if plain_http => ("http", text),
            None => ("https", text),
        };
        let rest = without_api_version(rest);
        if rest.is_empty() || rest.starts_with('/') {
            return Err(fail("has no host".to_owned()));
        }
        // A URL parser takes these apart, drops or repairs them in ways that an operator does not expect.
        if rest.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '%')) {
            return Err(fail("has a blank, a backslash, a percent sign or a control character".to_owned()));
        }
        // No tables of Unicode are linked in, and a debug build of the parser panics without them.
        if rest.split('/').next().is_some_and(|host| !host.is_ascii()) {
            return Err(fail("has a host that is not ASCII: write it in its xn-- form".to_owned()));
        }
        let url = Url::parse(&format!("{scheme}://{rest}/")).map_err(|e| fail(format!("is no URL: {e}")))?;
        let mut endpoint = Self::new(url)?;
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        if path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(fail("has a path that leads upwards".to_owned()));
        }
        if path.is_empty() || path_meaning == PathMeaning::ApiPrefix {
            return Ok((endpoint, None));
        }
        let prefix =
            path.parse().map_err(|e| fail(format!("has a path that is no repository prefix: {e}")))?;
        endpoint.base.set_path("/");
        Ok((endpoint, Some(prefix)))
    }

    /// What stands in front of `/v2/`; ends with `/`.
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// Host and, unless it is the scheme's own, port: for messages.
    pub fn host(&self) -> String {
        host_and_port(&self.base)
    }

    /// Whether this is plain HTTP.
    pub fn is_plain_http(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// `/v2/` (end-1).
    pub fn ping(&self) -> Url {
        self.below(["v2", ""])
    }

    /// `/v2/_catalog` (CNCF Distribution; not in the specification).
    pub fn catalog(&self) -> Url {
        self.below(["v2", "_catalog"])
    }

    /// `/v2/<name>/tags/list` (end-8).
    pub fn tags(&self, repository: &RepositoryName) -> Url {
        self.below(["v2"].into_iter().chain(repository.as_str().split('/')).chain(["tags", "list"]))
    }

    /// `/v2/<name>/manifests/<reference>` (end-3).
    pub fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Url {
        let parts = ["manifests", reference.as_str()];
        self.below(["v2"].into_iter().chain(repository.as_str().split('/')).chain(parts))
    }

    /// `/v2/<name>/blobs/<digest>` (end-2).
    pub fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Url {
        let parts = ["blobs", digest.as_str()];
        self.below(["v2"].into_iter().chain(repository.as_str().split('/')).chain(parts))
    }

    /// The endpoint's URL with these path segments behind it, each percent-encoded as a segment: a `/` in one becomes
    /// `%2F`. An empty last one makes a trailing `/`. For a registry's own API.
    ///
    /// ```
    /// # use regent_distribution::Endpoint;
    /// let endpoint = Endpoint::new("https://gitlab.example.com/".parse()?)?;
    /// let url = endpoint.below(["api", "v4", "projects", "team/app", "registry", "repositories"]);
    /// assert_eq!(url.path(), "/api/v4/projects/team%2Fapp/registry/repositories");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn below<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

/// Whether a repository is the prefix itself or below it. Everything is, if there is no prefix.
///
/// ```
/// # use regent_distribution::is_within;
/// let prefix = "project/repo".parse()?;
/// assert!(is_within(&"project/repo/app".parse()?, Some(&prefix)));
/// assert!(!is_within(&"project/repository".parse()?, Some(&prefix)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn is_within(repository: &RepositoryName, prefix: Option<&RepositoryName>) -> bool {
    prefix.is_none_or(|prefix| {
        repository
            .as_str()
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Drops `/`, `/v2` and `/v1` from the end, however often.
fn without_api_version(mut text: &str) -> &str {
    loop {
        let shorter = text.trim_end_matches('/');
        let shorter = shorter.strip_suffix("/v2").or_else(|| shorter.strip_suffix("/v1")).unwrap_or(shorter);
        if shorter == text {
            return text;
        }
        text = shorter;
    }
}

/// `host` or `host:port`, never with anything else of the URL.
pub(crate) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn an_operators_text_becomes_an_endpoint() {
        use PathMeaning::{ApiPrefix, RepositoryPrefix};
        let rows = [
            ("registry.example.com", false, ApiPrefix, "https://registry.example.com/", None),
            (" https://registry.example.com/ ", false, ApiPrefix, "https://registry.example.com/", None),
            ("HTTPS://Registry.Example.com", false, ApiPrefix, "https://registry.example.com/", None),
            ("registry.example.com:5000/v2", false, ApiPrefix, "https://registry.example.com:5000/", None),
            ("registry.example.com/v2/", false, RepositoryPrefix, "https://registry.example.com/", None),
            ("https://index.docker.io/v1/", false, RepositoryPrefix, "https://index.docker.io/", None),
            ("h/artifactory/api/docker/Key", false, ApiPrefix, "https://h/artifactory/api/docker/Key/", None),
            ("h/repository/x/v2//", false, ApiPrefix, "https://h/repository/x/", None),
            ("eu-docker.pkg.dev/p/r", false, RepositoryPrefix, "https://eu-docker.pkg.dev/", Some("p/r")),
            ("http://localhost:5000", true, ApiPrefix, "http://localhost:5000/", None),
            ("localhost:5000", true, ApiPrefix, "http://localhost:5000/", None),
            ("https://localhost:5000", true, ApiPrefix, "https://localhost:5000/", None),
            ("[::1]:5000/p", false, ApiPrefix, "https://[::1]:5000/p/", None),
        ];
        for (text, plain_http, meaning, expected, prefix) in rows {
            let (endpoint, found) = Endpoint::from_base(text, plain_http, meaning).unwrap();
            assert_eq!(endpoint.url().as_str(), expected, "{text}");
            assert_eq!(found.as_ref().map(RepositoryName::as_str), prefix, "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_address_are_refused_with_the_rule() {
        let rows = [
            ("", "no host"),
            ("https://", "no host"),
            ("/v2/", "no host"),
            ("http://h", "plain http"),
            ("ftp://h", "neither"),
            ("user:secret@h", "user name"),
            ("user@h", "user name"),
            ("h?x=y", "query"),
            ("h/p#f", "fragment"),
            ("h/../x", "upwards"),
            ("h/%2e%2e/x", "percent"),
            ("h\\x", "backslash"),
            ("h x", "blank"),
            ("B\u{fc}cher.example", "xn--"),
            ("h:99999", "no URL"),
        ];
        for (text, rule) in rows {
            let error = Endpoint::from_base(text, false, PathMeaning::ApiPrefix).unwrap_err().to_string();
            assert!(error.contains(rule), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(Endpoint::from_base("h/Upper", false, PathMeaning::RepositoryPrefix).is_err());
    }

    #[test]
    fn urls_keep_the_prefix_and_encode_segments() {
        let (endpoint, _) = Endpoint::from_base("h/api/docker/k", false, PathMeaning::ApiPrefix).unwrap();
        let repository = name("team/app");
        let digest = Digest::sha256(b"x");
        assert_eq!(endpoint.ping().as_str(), "https://h/api/docker/k/v2/");
        assert_eq!(endpoint.catalog().as_str(), "https://h/api/docker/k/v2/_catalog");
        assert_eq!(endpoint.tags(&repository).as_str(), "https://h/api/docker/k/v2/team/app/tags/list");
        assert_eq!(
            endpoint.manifest(&repository, &"1.0".parse().unwrap()).as_str(),
            "https://h/api/docker/k/v2/team/app/manifests/1.0"
        );
        assert_eq!(
            endpoint.blob(&repository, &digest).path(),
            format!("/api/docker/k/v2/team/app/blobs/{digest}")
        );
        let own = endpoint.below(["projects", "a/b?c#d e"]);
        assert_eq!(own.as_str(), "https://h/api/docker/k/projects/a%2Fb%3Fc%23d%20e");
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let rows = [("a/b", "a", true), ("a", "a", true), ("ab", "a", false), ("b/a", "a", false)];
        for (repository, prefix, expected) in rows {
            assert_eq!(is_within(&name(repository), Some(&name(prefix))), expected, "{repository} {prefix}");
        }
        assert!(is_within(&name("x"), None));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_passes_is_clean(text in "\\PC{0,60}", plain_http: bool) {
            if let Ok((endpoint, _)) = Endpoint::from_base(&text, plain_http, PathMeaning::ApiPrefix) {
                let url = endpoint.url();
                proptest::prop_assert!(url.path().ends_with('/'));
                proptest::prop_assert!(url.username().is_empty() && url.password().is_none());
                proptest::prop_assert!(url.query().is_none() && url.fragment().is_none());
            }
        }
    }
}
