//! Where GitLab is, and its REST API ("Container registry API", "Projects API", "Groups API").

use std::sync::{Arc, PoisonError};

use regent_distribution::{Endpoint, Error as ProtocolError, FixedHeaders, Session, Subject};
use regent_plugin_api::http::{HeaderName, HeaderValue};
use regent_plugin_api::secrecy::ExposeSecret;
use regent_plugin_api::transport::Class;
use regent_plugin_api::transport::Fault as _;
use regent_plugin_api::url::Url;
use serde::Deserialize;

use crate::Gitlab;

/// Keyset and offset paging alike: "Number of items to list per page (default: 20, max: 100)".
pub(crate) const MAX_PAGE: u32 = 100;
/// How deploy tokens begin. They are for registries and repositories alone.
const DEPLOY_TOKEN: &str = "gldt-";
/// The role from which on a member may see a private project's registry: Reporter.
const REPORTER: &str = "20";

/// A repository of a listing.
#[derive(Debug, Deserialize)]
pub(crate) struct Listed {
    /// Its name in the registry.
    pub(crate) path: String,
    /// `delete_scheduled`, `delete_ongoing` and the like.
    #[serde(default)]
    pub(crate) status: Option<String>,
}

impl Listed {
    /// Whether it is about to go.
    pub(crate) fn is_going(&self) -> bool {
        self.status.as_deref().is_some_and(|status| status.starts_with("delete_"))
    }
}

/// A project of a listing.
#[derive(Debug, Deserialize)]
pub(crate) struct Project {
    pub(crate) id: u64,
    pub(crate) path_with_namespace: String,
}

/// A group of a listing.
#[derive(Debug, Deserialize)]
pub(crate) struct Group {
    pub(crate) path: String,
}

/// The hosts, besides the registry's own with its port, that may be GitLab: the registry's name without its port, which is
/// the Linux package's own layout; gitlab.com for its registry; and those that the connection names.
pub(crate) fn token_services<'a>(registry: &'a Endpoint, named: Option<&'a str>) -> Vec<&'a str> {
    let own = registry.url().host_str().unwrap_or_default();
    let com = (own == "registry.gitlab.com").then_some("gitlab.com");
    let named = named.unwrap_or_default().split(',').map(str::trim).filter(|host| !host.is_empty());
    [own].into_iter().chain(com).chain(named).collect()
}

/// The address of a GitLab whose token service is this; it may have a path of its own (`/gitlab/jwt/auth`).
fn gitlab_of(token_service: &Url) -> Url {
    let mut url = token_service.clone();
    url.set_query(None);
    let path = url.path().strip_suffix("jwt/auth").unwrap_or("/").to_owned();
    url.set_path(&path);
    url
}

impl Gitlab {
    /// Whether the token can be one for the REST API.
    pub(crate) fn has_rest(&self) -> bool {
        !self.token.expose_secret().starts_with(DEPLOY_TOKEN)
    }

    /// The REST API. It is where the token service is, which the registry names when it is asked something.
    pub(crate) async fn rest(&self) -> Result<Session, ProtocolError> {
        if let Some(rest) = self.rest.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(rest);
        }
        if self.tokens.token_service().is_none() {
            match self.registry.ping().await {
                // Known, and without a right to the registry: that is no matter here.
                Err(error) if error.class() == Class::Denied => {}
                other => other?,
            }
        }
        let service = self.tokens.token_service().ok_or_else(|| ProtocolError::AnswerInvalid {
            subject: Subject::Registry,
            reason: "it names no token service, which is where GitLab would be".to_owned(),
        })?;
        let endpoint = Endpoint::new(gitlab_of(&service))?;
        let token = HeaderValue::from_str(self.token.expose_secret())
            .map_err(|_| ProtocolError::CredentialsUnusable { host: endpoint.host() })?;
        let headers = FixedHeaders::new(endpoint.host(), [(HeaderName::from_static("private-token"), token)]);
        let rest = Session::new(Arc::new(self.host.clone()), endpoint, Arc::new(headers));
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest.clone());
        Ok(rest)
    }
}

/// The repositories of a group with all of its subgroups, or of a project, by its path or number.
pub(crate) fn repositories(rest: &Session, kind: &str, id: &str) -> Url {
    // One segment: the `/` of a path is sent as %2F.
    rest.endpoint().below(["api", "v4", kind, id, "registry", "repositories"])
}

/// The groups at the top that the account is a member of, with a role that sees registries.
pub(crate) fn groups(rest: &Session) -> Url {
    let url = rest.endpoint().below(["api", "v4", "groups"]);
    with(url, &[("all_available", "false"), ("top_level_only", "true"), ("min_access_level", REPORTER)])
}

/// The projects in a user's namespace, or without one those that the account is a member of, as above; behind the one with
/// this number.
pub(crate) fn projects(rest: &Session, user: Option<&str>, after: u64) -> Url {
    let url = match user {
        Some(user) => rest.endpoint().below(["api", "v4", "users", user, "projects"]),
        None => with(rest.endpoint().below(["api", "v4", "projects"]), &[("membership", "true")]),
    };
    let after = after.to_string();
    let query = [
        ("simple", "true"),
        ("min_access_level", REPORTER),
        ("order_by", "id"),
        ("sort", "asc"),
        ("id_after", &after),
    ];
    with(url, &query)
}

fn with(mut url: Url, query: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(query);
    url
}

#[cfg(test)]
mod tests {
    use regent_distribution::PathMeaning;

    use super::*;

    #[test]
    fn gitlab_is_where_its_token_service_is() {
        let rows = [
            ("https://gitlab.com/jwt/auth", "https://gitlab.com/"),
            ("https://git.example.com:8443/jwt/auth?x=y", "https://git.example.com:8443/"),
            ("https://example.com/gitlab/jwt/auth", "https://example.com/gitlab/"),
            ("https://example.com/token", "https://example.com/"),
        ];
        for (service, expected) in rows {
            assert_eq!(gitlab_of(&service.parse().unwrap()).as_str(), expected);
        }
    }

    #[test]
    fn a_token_goes_to_gitlabs_own_hosts_and_named_ones() {
        let rows = [
            ("registry.gitlab.com/group", None, vec!["registry.gitlab.com", "gitlab.com"]),
            ("gitlab.example.com:5050", None, vec!["gitlab.example.com"]),
            (
                "registry.example.com",
                Some("git.example.com, b:8443,"),
                vec!["registry.example.com", "git.example.com", "b:8443"],
            ),
        ];
        for (base, named, expected) in rows {
            let (endpoint, _) = Endpoint::from_base(base, false, PathMeaning::RepositoryPrefix).unwrap();
            assert_eq!(token_services(&endpoint, named), expected, "{base}");
        }
    }
}
