//! Which token services may see the credentials.

use url::Url;

use crate::error::Error;
use crate::redirect::{origin_text, same_origin};

/// The rule for the realm of a challenge, which decides where a password goes.
///
/// HTTPS, unless the registry itself is plain HTTP; and host and port of the registry, or a host that the driver or
/// the operator named. The same registrable domain is **not** enough: tenants of `azurecr.io` or `jfrog.io` are
/// strangers to each other. It holds for every redirect of the token request as well.
#[derive(Debug, Clone)]
pub(crate) struct RealmPolicy {
    registry: Url,
    hosts: Vec<String>,
}

impl RealmPolicy {
    /// Only the registry's own host and port.
    pub(crate) fn own_host(registry: Url) -> Self {
        Self { registry, hosts: Vec::new() }
    }

    /// Also this host: `auth.docker.io`, or `gitlab.example.com:8443` for a port that is not the scheme's own. Of an address as
    /// people copy it, `https://gitlab.example.com/users`, the host is meant.
    pub(crate) fn allow(&mut self, host: &str) {
        let rest = host.split_once("://").map_or(host, |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or_default();
        self.hosts.push(host.trim().to_ascii_lowercase());
    }

    /// Checks a realm or the target of a redirect.
    ///
    /// # Errors
    /// [`Error::RealmRefused`] with the rule.
    pub(crate) fn check(&self, realm: &Url) -> Result<(), Error> {
        let refuse = |reason| Err(Error::RealmRefused { realm: origin_text(realm), reason });
        let allowed_scheme =
            realm.scheme() == "https" || (realm.scheme() == "http" && self.registry.scheme() == "http");
        if !allowed_scheme {
            return refuse("it is not https");
        }
        if !realm.username().is_empty() || realm.password().is_some() {
            return refuse("it carries a user name or password");
        }
        if same_origin(realm, &self.registry) {
            return Ok(());
        }
        let host = realm.host_str().unwrap_or_default();
        let named = |allowed: &String| match realm.port() {
            Some(port) => *allowed == format!("{host}:{port}"),
            None => allowed == host,
        };
        if self.hosts.iter().any(named) {
            return Ok(());
        }
        refuse("it is neither the registry's own host and port nor one that was allowed")
    }

    /// Parses and checks the realm of a challenge.
    ///
    /// # Errors
    /// [`Error::RealmRefused`].
    pub(crate) fn parse(&self, realm: &str) -> Result<Url, Error> {
        let mut url = Url::parse(realm).map_err(|_| Error::RealmRefused {
            realm: "something that is no URL".to_owned(),
            reason: "a realm is an absolute URL",
        })?;
        url.set_fragment(None);
        self.check(&url)?;
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_the_registry_and_to_named_hosts_only() {
        let rows = [
            ("https://r.example", "https://r.example/token", true),
            ("https://r.example", "https://R.EXAMPLE:443/token", true),
            ("https://r.example:8443", "https://r.example:8443/token", true),
            ("https://r.example:8443", "https://r.example/token", false),
            ("https://r.example", "https://r.example:8443/token", false),
            ("https://r.example", "http://r.example/token", false),
            ("http://r.example", "http://r.example/token", true),
            ("http://r.example", "https://r.example/token", false),
            ("https://r.example", "https://auth.example/token", true),
            ("https://r.example", "https://auth.example:444/token", false),
            ("https://r.example", "https://git.example:8443/token", true),
            ("https://r.example", "https://git.example/token", false),
            ("https://r.example", "http://auth.example/token", false),
            ("http://r.example", "http://auth.example/token", true),
            ("https://r.example", "https://other.example/token", false),
            ("https://a.azurecr.io", "https://b.azurecr.io/token", false),
            ("https://r.example", "https://r.example.evil.example/token", false),
            ("https://r.example", "https://x:y@r.example/token", false),
            ("https://r.example", "file:///etc/passwd", false),
            ("https://r.example", "/token", false),
            ("https://r.example", "", false),
        ];
        for (registry, realm, allowed) in rows {
            let mut policy = RealmPolicy::own_host(registry.parse().unwrap());
            policy.allow("Auth.Example ");
            policy.allow("https://git.example:8443/users/sign_in");
            assert_eq!(policy.parse(realm).is_ok(), allowed, "{registry} {realm}");
        }
    }
}
