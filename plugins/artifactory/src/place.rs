//! Where in Artifactory a connection leads: the three access methods of its Docker repositories.

use regent_distribution::{Endpoint, PathMeaning};
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::{Error, Result, Settings};

/// The path of the application, unless the base tells another.
const CONTEXT: &str = "artifactory";
/// What an operator should write.
const FORM: &str = "write <host>/artifactory/api/docker/<repository key>, or the host of the repository if it has one of its own";

/// What a connection's base means.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where `/v2/` is.
    pub(crate) registry: Endpoint,
    /// Where `/api/` is.
    pub(crate) api: Endpoint,
    /// The repository key, where it is known.
    pub(crate) key: Option<String>,
    /// What listings keep to.
    pub(crate) prefix: Option<RepositoryName>,
}

impl Place {
    /// | base | `/v2/` is at | key |
    /// | --- | --- | --- |
    /// | `H/artifactory/api/docker/K` | there | `K` |
    /// | `H/artifactory/K`, `H/K` | `H/artifactory/api/docker/K` | `K` |
    /// | `H`, which is a repository's own (subdomain, port) | `H` | the setting `repositoryKey` |
    /// | `H`, which is a server's | `H` | begins each name: `H/v2/K/<image>` |
    ///
    /// A path behind the key keeps listings to what is below it.
    pub(crate) fn of(settings: &Settings) -> Result<Self> {
        let invalid = |name: &str, why: &dyn std::fmt::Display| Error::invalid_setting(name, why);
        let base = settings.required_text("registryBase")?;
        let (registry, _) = Endpoint::from_base(base, settings.plain_http(), PathMeaning::ApiPrefix)
            .map_err(|e| invalid("registryBase", &e))?;
        let path: Vec<String> =
            registry.url().path().split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (context, rest) = split(&path);
        let (registry, key, prefix) = match rest {
            [] if path.is_empty() => (registry, settings.text("repositoryKey").map(str::to_owned), None),
            [] => return Err(invalid("registryBase", &format!("has no repository key: {FORM}"))),
            ["v2" | "ui" | "webapp" | "api", ..] => {
                return Err(invalid(
                    "registryBase",
                    &format!("is not the base of a Docker repository: {FORM}"),
                ));
            }
            [key, prefix @ ..] => {
                let root = at_root(&registry)?;
                let segments = context.iter().copied().chain(["api", "docker", key]);
                let below = Endpoint::new(root.below(segments)).map_err(|e| invalid("registryBase", &e))?;
                let prefix = (!prefix.is_empty()).then(|| prefix.join("/").parse()).transpose();
                let prefix = prefix.map_err(|e| {
                    invalid(
                        "registryBase",
                        &format!("has a path behind the repository key that is no name: {e}"),
                    )
                })?;
                (below, Some((*key).to_owned()), prefix)
            }
        };
        let api = match settings.text("apiBase") {
            Some(base) => {
                Endpoint::from_base(base, settings.plain_http(), PathMeaning::ApiPrefix)
                    .map_err(|e| invalid("apiBase", &e))?
                    .0
            }
            None => Endpoint::new(at_root(&registry)?.below(context.iter().copied()))
                .map_err(|e| invalid("registryBase", &e))?,
        };
        Ok(Self { registry, api, key, prefix })
    }
}

/// The path of the application, and what is behind it and behind `/api/docker`, where that is there.
fn split<'a, 'b>(path: &'b [&'a str]) -> (&'b [&'a str], &'b [&'a str]) {
    const DEFAULT: &[&str] = &[CONTEXT];
    let docker = path.windows(2).position(|pair| pair == ["api", "docker"]);
    if let Some((context, rest)) = docker.and_then(|at| path.split_at_checked(at)) {
        return (context, rest.get(2..).unwrap_or_default());
    }
    match path {
        [first, rest @ ..] if *first == CONTEXT => (DEFAULT, rest),
        all => (DEFAULT, all),
    }
}

fn at_root(endpoint: &Endpoint) -> Result<Endpoint> {
    let mut url = endpoint.url().clone();
    url.set_path("/");
    Ok(Endpoint::new(url)?)
}

#[cfg(test)]
mod tests {
    use regent_plugin_api::secrecy::SecretString;

    use super::*;

    fn place(values: &[(&str, &str)]) -> Result<Place> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)));
        Place::of(&Settings::new("artifactory-cr", values, false))
    }

    #[test]
    fn every_form_of_a_base_leads_to_its_repository() {
        let docker = "https://h.example/artifactory/api/docker/Key-1/";
        let api = "https://h.example/artifactory/";
        let rows = [
            ("h.example/artifactory/api/docker/Key-1", docker, api, Some("Key-1"), None),
            ("https://h.example/artifactory/api/docker/Key-1/v2/", docker, api, Some("Key-1"), None),
            ("h.example/artifactory/api/docker/Key-1/team", docker, api, Some("Key-1"), Some("team")),
            ("h.example/artifactory/Key-1", docker, api, Some("Key-1"), None),
            ("h.example/Key-1/team/a", docker, api, Some("Key-1"), Some("team/a")),
            ("h.example", "https://h.example/", api, None, None),
            ("h.example:5001", "https://h.example:5001/", "https://h.example:5001/artifactory/", None, None),
            (
                "h.example/api/docker/k",
                "https://h.example/api/docker/k/",
                "https://h.example/",
                Some("k"),
                None,
            ),
            (
                "h.example/x/art/api/docker/k",
                "https://h.example/x/art/api/docker/k/",
                "https://h.example/x/art/",
                Some("k"),
                None,
            ),
        ];
        for (base, registry, api, key, prefix) in rows {
            let place = place(&[("registryBase", base)]).unwrap();
            assert_eq!(place.registry.url().as_str(), registry, "{base}");
            assert_eq!(place.api.url().as_str(), api, "{base}");
            assert_eq!(place.key.as_deref(), key, "{base}");
            assert_eq!(place.prefix.as_ref().map(RepositoryName::as_str), prefix, "{base}");
        }
    }

    #[test]
    fn a_repository_with_a_host_of_its_own_takes_its_key_and_api_from_settings() {
        let base = ("registryBase", "docker-local.h.example");
        let place =
            place(&[base, ("repositoryKey", "docker-local"), ("apiBase", "h.example/artifactory")]).unwrap();
        assert_eq!(place.registry.url().as_str(), "https://docker-local.h.example/");
        assert_eq!(place.api.url().as_str(), "https://h.example/artifactory/");
        assert_eq!(place.key.as_deref(), Some("docker-local"));
    }

    #[test]
    fn a_base_that_is_none_is_refused_with_the_right_form() {
        for base in [
            "h.example/artifactory",
            "h.example/artifactory/api/docker",
            "h.example/artifactory/api/docker/v2",
            "h.example/artifactory/api/docker/v2/key",
            "h.example/ui/repos/tree/General/docker",
            "h.example/artifactory/webapp",
        ] {
            let error = place(&[("registryBase", base)]).unwrap_err();
            assert!(error.message().contains("/artifactory/api/docker/<repository key>"), "{base}: {error}");
        }
    }
}
