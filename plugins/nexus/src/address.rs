//! Where a registry of Nexus is, and where the REST API is that knows it.

use regent_distribution::{Endpoint, PathMeaning};
use regent_plugin_api::{Error, Result, Settings};

/// What the settings come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// What stands in front of `/v2/`.
    pub(crate) registry: Endpoint,
    /// Where metadata comes from, if that is known.
    pub(crate) rest: Option<Rest>,
}

/// The REST API, and what it calls the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest {
    /// What stands in front of `/service/rest/`.
    pub(crate) endpoint: Endpoint,
    /// The name of the repository in Nexus: what has images in it, not one of them.
    pub(crate) repository: String,
}

impl Address {
    /// Reads `registryBase`, `restBase` and `repositoryName`.
    ///
    /// The address of a connector says nothing of the REST API. One with a path does: everything before
    /// `/repository/<name>`, which is where Nexus serves any Docker repository. So the path of an image's name under
    /// "path-based routing" (`nexus.example.com/<name>`) is read as `/repository/<name>` too: its own route has no
    /// catalog.
    ///
    /// # Errors
    /// A setting that is missing or unusable.
    pub(crate) fn of(settings: &Settings) -> Result<Self> {
        let plain_http = settings.plain_http();
        let base = settings.required_text("registryBase")?;
        let (registry, _) = Endpoint::from_base(base, plain_http, PathMeaning::ApiPrefix)
            .map_err(|e| Error::invalid_setting("registryBase", e))?;
        let named = settings.text("repositoryName");
        if named.is_some_and(|name| !is_repository_name(name)) {
            return Err(Error::invalid_setting(
                "repositoryName",
                "is no name that Nexus gives to a repository",
            ));
        }
        let mut path: Vec<String> =
            registry.url().path_segments().into_iter().flatten().map(str::to_owned).collect();
        path.retain(|part| !part.is_empty());
        let last = path.pop();
        let is_routed = path.last().is_some_and(|part| part == "repository");
        if is_routed {
            path.pop();
        }
        if let Some(rest) = settings.text("restBase") {
            let (rest, _) = Endpoint::from_base(rest, plain_http, PathMeaning::ApiPrefix)
                .map_err(|e| Error::invalid_setting("restBase", e))?;
            let repository = named.or(last.as_deref().filter(|_| is_routed)).ok_or_else(|| {
                let why = "is missing: the REST API has to be told which repository the registry is";
                Error::invalid_setting("repositoryName", why)
            })?;
            let rest = Rest { endpoint: without_api_path(&rest)?, repository: repository.to_owned() };
            return Ok(Self { registry, rest: Some(rest) });
        }
        let Some(last) = last else {
            return match named {
                Some(_) => {
                    Err(Error::invalid_setting("restBase", "is missing, while there is a repositoryName"))
                }
                None => Ok(Self { registry, rest: None }),
            };
        };
        if !is_repository_name(&last) || (last == "repository" && !is_routed) {
            let why = "has a path that ends in no repository: it is host[:port]/repository/<name>";
            return Err(Error::invalid_setting("registryBase", why));
        }
        let mut main = registry.url().clone();
        main.set_path(&path.join("/"));
        let main = Endpoint::new(main)?;
        let registry = Endpoint::new(main.below(["repository", &last]))?;
        let rest = Rest { endpoint: main, repository: named.map_or(last, str::to_owned) };
        Ok(Self { registry, rest: Some(rest) })
    }
}

/// Whether Nexus could have a repository of this name ("A unique identifier for this repository", says its API).
fn is_repository_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'-')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// The endpoint without `/service/rest`, which people copy along.
fn without_api_path(endpoint: &Endpoint) -> Result<Endpoint> {
    let mut url = endpoint.url().clone();
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/service/rest").unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(Endpoint::new(url)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(base: &str, rest: &str, repository: &str) -> Result<Address> {
        let values = [("registryBase", base), ("restBase", rest), ("repositoryName", repository)];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned().into()));
        Address::of(&Settings::new("nexus-cr", values, false))
    }

    #[test]
    fn an_address_says_where_the_registry_is_and_often_where_its_metadata_is() {
        let rows = [
            (("n:8082", "", ""), "https://n:8082/", None),
            (("docker.n.example", "", ""), "https://docker.n.example/", None),
            (
                ("n:8443/repository/Hosted", "", ""),
                "https://n:8443/repository/Hosted/",
                Some(("https://n:8443/", "Hosted")),
            ),
            (("n/repository/d/v2/", "", ""), "https://n/repository/d/", Some(("https://n/", "d"))),
            (
                ("n/nexus/repository/d", "", ""),
                "https://n/nexus/repository/d/",
                Some(("https://n/nexus/", "d")),
            ),
            (("n/d", "", ""), "https://n/repository/d/", Some(("https://n/", "d"))),
            (("n/nexus/d", "", ""), "https://n/nexus/repository/d/", Some(("https://n/nexus/", "d"))),
            (("n:8082", "n:8443/nexus", "d"), "https://n:8082/", Some(("https://n:8443/nexus/", "d"))),
            (("n:8082", "n/service/rest/v1/", "d"), "https://n:8082/", Some(("https://n/", "d"))),
            (("p/repository/d", "n", ""), "https://p/repository/d/", Some(("https://n/", "d"))),
            (("p/some/where", "n", "d"), "https://p/some/where/", Some(("https://n/", "d"))),
        ];
        for ((base, rest, repository), registry, expected) in rows {
            let found = address(base, rest, repository).unwrap();
            assert_eq!(found.registry.url().as_str(), registry, "{base}");
            let rest = found.rest.as_ref().map(|r| (r.endpoint.url().as_str(), r.repository.as_str()));
            assert_eq!(rest, expected, "{base}");
        }
    }

    #[test]
    fn what_can_be_no_address_is_refused_by_the_setting_to_mend() {
        let rows = [
            (("", "", ""), "registryBase"),
            (("n/repository", "", ""), "registryBase"),
            (("n/nexus/repository/", "", ""), "registryBase"),
            (("n/_x", "", ""), "registryBase"),
            (("n:8082", "", "d"), "restBase"),
            (("n:8082", "n?x", "d"), "restBase"),
            (("n:8082", "n", ""), "repositoryName"),
            (("n:8082", "n", "a/b"), "repositoryName"),
        ];
        for ((base, rest, repository), setting) in rows {
            let error = address(base, rest, repository).unwrap_err();
            assert_eq!(error.details.get("setting").map(String::as_str), Some(setting), "{base}: {error}");
        }
    }
}
