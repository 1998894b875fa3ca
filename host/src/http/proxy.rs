//! Proxies, as settings name them: never read from the environment here.

use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::HttpError;

/// The proxies of this process. An address may hold a user name and password.
#[derive(Clone, Default)]
pub struct ProxyConfig {
    /// `HTTP_PROXY`: for `http://`.
    pub http: Option<SecretString>,
    /// `HTTPS_PROXY`: for `https://`, by CONNECT.
    pub https: Option<SecretString>,
    /// `NO_PROXY`: hosts, domains with or without a leading dot, CIDRs, `*`, separated by commas.
    pub no_proxy: Option<String>,
}

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyConfig")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// Checked proxies.
pub(super) struct Proxies {
    list: Vec<reqwest::Proxy>,
    hosts: Vec<String>,
    matcher: Matcher,
}

impl Proxies {
    pub(super) fn new(config: &ProxyConfig) -> Result<Self, HttpError> {
        let no_proxy = config.no_proxy.clone().unwrap_or_default();
        let mut matcher = Matcher::builder().no(no_proxy.clone());
        let (mut list, mut hosts) = (Vec::new(), Vec::new());
        // The libraries below take a lone star for names only, and addresses past it.
        let none = no_proxy.split(',').any(|entry| entry.trim() == "*");
        let rows = [("HTTP_PROXY", &config.http, "http"), ("HTTPS_PROXY", &config.https, "https")];
        for (setting, address, scheme) in rows {
            let Some(address) = address else { continue };
            let address = with_scheme(address.expose_secret());
            let url = Url::parse(&address).ok().filter(|u| u.scheme() == "http" || u.scheme() == "https");
            let host = url.as_ref().and_then(Url::host_str).ok_or(HttpError::ProxyInvalid { setting })?;
            if none {
                continue;
            }
            hosts.push(host.to_ascii_lowercase());
            let made = if scheme == "http" {
                matcher = matcher.http(address.clone());
                reqwest::Proxy::http(&address)
            } else {
                matcher = matcher.https(address.clone());
                reqwest::Proxy::https(&address)
            };
            let proxy = made.map_err(|_| HttpError::ProxyInvalid { setting })?;
            list.push(proxy.no_proxy(reqwest::NoProxy::from_string(&no_proxy)));
        }
        Ok(Self { list, hosts, matcher: matcher.build() })
    }

    /// For a client's builder.
    pub(super) fn iter(&self) -> impl Iterator<Item = reqwest::Proxy> {
        self.list.iter().cloned()
    }

    /// The names of the proxies themselves, lower case: their addresses are the operator's own choice.
    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Whether a request to this URL goes through a proxy.
    pub(super) fn intercepts(&self, url: &Url) -> bool {
        url.as_str().parse().is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }
}

/// `proxy.lan:3128` is common, and means `http://`.
fn with_scheme(address: &str) -> String {
    let address = address.trim();
    if address.contains("://") { address.to_owned() } else { format!("http://{address}") }
}
