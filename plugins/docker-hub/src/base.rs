//! What a connection's base means, and how repositories are called.

use regent_distribution::{Endpoint, PathMeaning};
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::{Error, Namespaces, Result};

/// All names under which Docker Hub is known; whichever is written, requests go to the same three hosts.
const HOSTS: [&str; 6] = [
    "docker.io",
    "index.docker.io",
    "registry.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
    "hub.docker.com",
];

/// The namespace of official images, which may be left out of a name.
const OFFICIAL: &str = "library";

/// The part of Docker Hub that a base keeps to: a namespace, or one repository of it; everything for none.
pub(crate) fn prefix(base: Option<&str>) -> Result<Option<RepositoryName>> {
    let Some(base) = base else { return Ok(None) };
    // HTTPS whatever is allowed for other registries: this one has no other.
    let (endpoint, prefix) = Endpoint::from_base(base, false, PathMeaning::RepositoryPrefix)
        .map_err(|e| Error::invalid_setting("registryBase", e))?;
    if !HOSTS.contains(&endpoint.host().as_str()) {
        let why = "is no address of Docker Hub: leave it empty, or write docker.io or docker.io/namespace (a registry of \
                   your own has the type oci-cr)";
        return Err(Error::invalid_setting("registryBase", why));
    }
    if prefix.as_ref().is_some_and(|prefix| prefix.as_str().split('/').count() > 2) {
        let why = "has more in its path than a namespace and a repository";
        return Err(Error::invalid_setting("registryBase", why));
    }
    Ok(prefix)
}

/// The full name: `redis` is `library/redis`, at every one of the three hosts.
pub(crate) fn full_name(repository: &RepositoryName) -> Result<RepositoryName> {
    match repository.as_str().split('/').count() {
        1 => format!("{OFFICIAL}/{repository}").parse().map_err(|_| unknown(repository)),
        2 => Ok(repository.clone()),
        _ => Err(unknown(repository)),
    }
}

/// The namespace of a prefix, which is all that is listed.
pub(crate) fn namespace(prefix: &RepositoryName) -> Result<Namespaces> {
    let namespace = prefix.as_str().split('/').next();
    Namespaces::new(namespace).ok_or_else(|| Error::invalid_setting("registryBase", "names no namespace"))
}

/// Namespace and repository of a full name.
pub(crate) fn halves(repository: &RepositoryName) -> (&str, &str) {
    repository.as_str().split_once('/').unwrap_or((OFFICIAL, repository.as_str()))
}

fn unknown(repository: &RepositoryName) -> Error {
    Error::not_found(format!("can't find {repository}: repositories of Docker Hub are called namespace/name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_docker_hub_is_understood() {
        let rows = [
            (None, Some(None)),
            (Some("docker.io"), Some(None)),
            (Some("https://index.docker.io/v1/"), Some(None)),
            (Some("registry-1.docker.io/v2/"), Some(None)),
            (Some("https://registry.hub.docker.com"), Some(None)),
            (Some("hub.docker.com/acme"), Some(Some("acme"))),
            (Some("docker.io/acme/"), Some(Some("acme"))),
            (Some("DOCKER.IO/acme/app"), Some(Some("acme/app"))),
            (Some("docker.io:443/acme"), Some(Some("acme"))),
            (Some("docker.io/a/b/c"), None),
            (Some("docker.io/Acme"), None),
            (Some("http://docker.io"), None),
            (Some("docker.io:5000"), None),
            (Some("registry.example.com"), None),
            (Some("acme"), None),
            (Some("docker.io.example.com"), None),
        ];
        for (base, expected) in rows {
            let found = prefix(base);
            let found = found.as_ref().ok().map(|p| p.as_ref().map(RepositoryName::as_str));
            assert_eq!(found, expected, "{base:?}");
        }
    }

    #[test]
    fn a_name_without_namespace_is_an_official_image() {
        let rows = [("redis", Some("library/redis")), ("acme/app", Some("acme/app")), ("a/b/c", None)];
        for (name, expected) in rows {
            let full = full_name(&name.parse().unwrap());
            assert_eq!(full.as_ref().ok().map(RepositoryName::as_str), expected, "{name}");
        }
        assert_eq!(halves(&"acme/app".parse().unwrap()), ("acme", "app"));
    }
}
