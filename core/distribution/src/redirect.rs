//! Which redirects are followed, and what is sent along (RFC 9110 §15.4; distribution-spec 1.1, "Pulling blobs").

use http::header::{ACCEPT, ACCEPT_ENCODING, LOCATION, RANGE, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use regent_transport::Request;
use url::{Host, Url};

use crate::endpoint::host_and_port;
use crate::error::{Error, Subject};

/// How redirects of reading requests are followed.
///
/// Always: the credentials stay on scheme, host and port of the registry, nothing goes from HTTPS to HTTP, and only
/// GET and HEAD are redirected.
///
/// ```
/// use regent_distribution::{PrivateTargets, RedirectPolicy};
///
/// // The registry is public, and its storage is in the operator's own network. For `Session::with_redirects`.
/// let policy = RedirectPolicy { private_targets: PrivateTargets::Allowed, ..RedirectPolicy::default() };
/// assert_eq!(policy.max_hops, 5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedirectPolicy {
    /// The most redirects of one request.
    pub max_hops: u32,
    /// Addresses within the operator's network.
    pub private_targets: PrivateTargets,
}

/// Whether a redirect may lead to a loopback, link-local or private address, written as an address. What a *name*
/// resolves to is for the transport to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateTargets {
    /// If the registry itself is addressed by one of the same kind.
    IfRegistryIsThere,
    /// Yes: the operator's storage is there. Link-local ones, where clouds keep their instance credentials, still
    /// only if the registry is there.
    Allowed,
}

impl Default for RedirectPolicy {
    fn default() -> Self {
        Self { max_hops: 5, private_targets: PrivateTargets::IfRegistryIsThere }
    }
}

impl RedirectPolicy {
    /// The request that follows the redirect of `request`.
    ///
    /// # Errors
    /// [`Error::RedirectRefused`]; [`Error::AnswerInvalid`] without a usable `Location`.
    pub(crate) fn follow(
        self,
        request: &Request,
        answer: &HeaderMap,
        registry: &Url,
        subject: &Subject,
    ) -> Result<Request, Error> {
        let target = target(&request.url, answer, subject)?;
        let refuse = |reason| {
            Err(Error::RedirectRefused { subject: subject.clone(), target: origin_text(&target), reason })
        };
        if request.url.scheme() == "https" && target.scheme() != "https" {
            return refuse("it leads from https to http");
        }
        if !target.username().is_empty() || target.password().is_some() {
            return refuse("it carries a user name or password");
        }
        let kind = Network::of(&target);
        let allowed = match self.private_targets {
            PrivateTargets::Allowed if kind != Network::LinkLocal => true,
            _ => kind == Network::Public || kind == Network::of(registry),
        };
        if !allowed {
            return refuse("it leads to a loopback, link-local or private address");
        }
        let mut next = request.clone();
        if !same_origin(&request.url, &target) {
            next.headers = harmless(&request.headers);
        }
        next.url = target;
        Ok(next)
    }
}

/// Whether this answer is a redirect that a reading request follows.
pub(crate) fn is_redirect(method: &Method, status: StatusCode) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where the answer leads. "The field value consists of a single URI-reference", resolved against the request's URL.
pub(crate) fn target(from: &Url, answer: &HeaderMap, subject: &Subject) -> Result<Url, Error> {
    let location = answer.get(LOCATION).and_then(|v| v.to_str().ok());
    let resolved = location.and_then(|location| from.join(location).ok());
    let mut target = resolved.filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
        Error::AnswerInvalid { subject: subject.clone(), reason: "it is a redirect to nowhere".to_owned() }
    })?;
    target.set_fragment(None);
    Ok(target)
}

/// Same scheme, host and port.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// Scheme and host: all of a URL that may be shown.
pub(crate) fn origin_text(url: &Url) -> String {
    format!("{}://{}", url.scheme(), host_and_port(url))
}

/// What another host may be told. A list of what may pass, not of what may not: the authorization of a driver can be
/// in any header.
fn harmless(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [ACCEPT, ACCEPT_ENCODING, RANGE, USER_AGENT] {
        for value in headers.get_all(&name).iter().filter(|v| !v.is_sensitive()) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// What kind of network an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Public,
    Private,
    Loopback,
    LinkLocal,
}

impl Network {
    fn of(url: &Url) -> Self {
        match url.host() {
            Some(Host::Ipv4(ip)) => Self::of_v4(ip),
            Some(Host::Ipv6(ip)) => match ip.to_ipv4_mapped() {
                Some(v4) => Self::of_v4(v4),
                None if ip.is_loopback() || ip.is_unspecified() => Self::Loopback,
                None if ip.is_unicast_link_local() => Self::LinkLocal,
                None if ip.is_unique_local() => Self::Private,
                None => Self::Public,
            },
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let local = name == "localhost" || name.ends_with(".localhost");
                if local { Self::Loopback } else { Self::Public }
            }
            None => Self::Public,
        }
    }

    fn of_v4(ip: std::net::Ipv4Addr) -> Self {
        let [a, b, ..] = ip.octets();
        if ip.is_loopback() || a == 0 {
            Self::Loopback
        } else if ip.is_link_local() {
            Self::LinkLocal
        } else if ip.is_private() || ip.is_broadcast() || (a == 100 && (b & 0xc0) == 64) {
            Self::Private // the last one is 100.64.0.0/10, shared address space (RFC 6598)
        } else {
            Self::Public
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{AUTHORIZATION, COOKIE};

    use super::*;

    const FROM: &str = "https://registry.example/p/v2/a/blobs/x";

    fn follow(from: &str, to: &'static str, policy: RedirectPolicy) -> Result<Request, Error> {
        let request = Request::get(from.parse().unwrap())
            .secret_header(AUTHORIZATION, "Bearer t")
            .unwrap()
            .header(COOKIE, HeaderValue::from_static("a=b"))
            .header(RANGE, HeaderValue::from_static("bytes=1-"))
            .header(http::HeaderName::from_static("x-auth"), HeaderValue::from_static("t"));
        let mut answer = HeaderMap::new();
        answer.insert(LOCATION, HeaderValue::from_static(to));
        policy.follow(&request, &answer, &request.url, &Subject::Registry)
    }

    #[test]
    fn credentials_stay_on_their_origin() {
        let rows = [
            ("/other?x=y", "https://registry.example/other?x=y", true),
            ("y", "https://registry.example/p/v2/a/blobs/y", true),
            ("https://registry.example:443/z#f", "https://registry.example/z", true),
            ("https://registry.example:8443/z", "https://registry.example:8443/z", false),
            ("https://cdn.example/z", "https://cdn.example/z", false),
            ("//cdn.example/z", "https://cdn.example/z", false),
        ];
        for (to, url, kept) in rows {
            let next = follow(FROM, to, RedirectPolicy::default()).unwrap();
            assert_eq!(next.url.as_str(), url, "{to}");
            for name in ["authorization", "cookie", "x-auth"] {
                assert_eq!(next.headers.contains_key(name), kept, "{to} {name}");
            }
            assert!(next.headers.contains_key(RANGE), "{to}");
        }
    }

    #[test]
    fn targets_that_lead_inside_are_refused_unless_the_registry_is_there() {
        let default = RedirectPolicy::default();
        let open = RedirectPolicy { private_targets: PrivateTargets::Allowed, ..default };
        let rows = [
            (FROM, "http://registry.example/z", default, false),
            ("http://registry.example/x", "https://registry.example/z", default, true),
            (FROM, "https://169.254.169.254/latest", default, false),
            (FROM, "https://169.254.169.254/latest", open, false),
            (FROM, "https://10.0.0.1/z", default, false),
            (FROM, "https://10.0.0.1/z", open, true),
            (FROM, "https://100.64.0.1/z", default, false),
            (FROM, "https://127.1/z", default, false),
            (FROM, "https://0/z", default, false),
            (FROM, "https://[::1]/z", default, false),
            (FROM, "https://[fe80::1]/z", default, false),
            (FROM, "https://[fd00::1]/z", default, false),
            (FROM, "https://[::ffff:127.0.0.1]/z", default, false),
            (FROM, "https://localhost./z", default, false),
            (FROM, "https://8.8.8.8/z", default, true),
            ("http://127.0.0.1:5000/x", "http://127.0.0.1:9000/z", default, true),
            ("http://localhost:5000/x", "http://127.0.0.1:9000/z", default, true),
            ("http://10.0.0.1/x", "http://192.168.0.1/z", default, true),
            ("http://10.0.0.1/x", "http://169.254.169.254/z", default, false),
            (FROM, "https://user:password@cdn.example/z", default, false),
            (FROM, "ftp://cdn.example/z", default, false),
        ];
        for (from, to, policy, allowed) in rows {
            let outcome = follow(from, to, policy);
            assert_eq!(outcome.is_ok(), allowed, "{from} {to} {outcome:?}");
        }
    }

    #[test]
    fn a_refusal_shows_no_path_and_no_query() {
        let error =
            follow(FROM, "http://cdn.example/secret?sig=secret", RedirectPolicy::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the registry was redirected to http://cdn.example, which is refused: it leads from https to http"
        );
    }
}
