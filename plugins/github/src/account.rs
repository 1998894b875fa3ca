//! Whose token it is and what it may do, as the API's `/user` says ("REST API endpoints for users").

use std::sync::Arc;

use regent_distribution::{
    Endpoint, Error as ProtocolError, FixedHeaders, PathMeaning, Scope, Session, Subject,
};
use regent_plugin_api::http::header::{ACCEPT, AUTHORIZATION};
use regent_plugin_api::http::{HeaderName, HeaderValue};
use regent_plugin_api::secrecy::{ExposeSecret, SecretString};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::{Error, Host, Result};
use serde::Deserialize;

use crate::{Github, is_refusal};

/// The owner of the token.
#[derive(Debug)]
struct Account {
    login: String,
    /// `None` for tokens that have no scopes: fine-grained ones, and those of apps.
    scopes: Option<Vec<String>>,
}

/// The session with the API that goes with a registry; none where its host can't be known.
pub(crate) fn api(
    registry: &Endpoint,
    named: Option<&str>,
    token: &SecretString,
    transport: Arc<Host>,
) -> Result<Option<Session>> {
    let Some(base) = api_base(&registry.host(), named)? else { return Ok(None) };
    let plain = registry.is_plain_http() && named.is_some();
    let (endpoint, _) = Endpoint::from_base(&base, plain, PathMeaning::ApiPrefix)
        .map_err(|e| Error::invalid_setting("apiBase", e))?;
    let bearer = SecretString::from(format!("Bearer {}", token.expose_secret()));
    let bearer = HeaderValue::from_str(bearer.expose_secret()).map_err(|_| {
        Error::invalid_setting("password", "has a character that can't stand in an HTTP header")
    })?;
    let headers = [
        (AUTHORIZATION, bearer),
        (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
        (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28")),
    ];
    let headers = FixedHeaders::new(endpoint.host(), headers);
    Ok(Some(Session::new(transport, endpoint, Arc::new(headers))))
}

/// Host and path of the API. GitHub and its tenants have a host for it; an Enterprise Server has it below `/api/v3`.
fn api_base(registry: &str, named: Option<&str>) -> Result<Option<String>> {
    if let Some(named) = named {
        // As people copy it: `https://git.example.com/api/v3`.
        let named = named.to_ascii_lowercase();
        let address = named.strip_prefix("https://").unwrap_or(&named).trim_end_matches('/');
        let host = address.strip_suffix("/api/v3").unwrap_or(address);
        if host.contains('/') {
            return Err(Error::invalid_setting(
                "apiBase",
                "is neither a host nor its /api/v3: git.example.com",
            ));
        }
        let has_own_host =
            host == "api.github.com" || (host.starts_with("api.") && host.ends_with(".ghe.com"));
        return Ok(Some(if has_own_host { host.to_owned() } else { format!("{host}/api/v3") }));
    }
    if registry == "ghcr.io" {
        return Ok(Some("api.github.com".to_owned()));
    }
    let tenant = registry.strip_prefix("containers.").filter(|rest| rest.ends_with(".ghe.com"));
    Ok(tenant.map(|tenant| format!("api.{tenant}")))
}

/// There is no API to ask.
pub(crate) fn no_api() -> Error {
    Error::invalid_setting("apiBase", "is missing: set it to the host of GitHub Enterprise Server")
}

/// GitHub does not know the token.
pub(crate) fn rejected(host: &str) -> Error {
    Error::credentials_rejected(format!(
        "{host} does not accept the token: it is wrong, expired or revoked; create a classic personal access token with the \
         scope read:packages"
    ))
}

impl Github {
    pub(crate) fn api(&self) -> Result<&Session> {
        self.api.as_ref().ok_or_else(no_api)
    }

    async fn account(&self, api: &Session) -> std::result::Result<Account, ProtocolError> {
        #[derive(Deserialize)]
        struct User {
            login: String,
        }
        let subject = Subject::Other("the account of the token".to_owned());
        let url = api.endpoint().below(["user"]);
        let (user, headers): (User, _) = api.fetch_json(url, &Scope::none(), &subject).await?;
        let scopes = headers.get("x-oauth-scopes").and_then(|v| v.to_str().ok());
        let scopes = scopes.map(|s| s.split(',').map(|s| s.trim().to_owned()).collect());
        Ok(Account { login: user.login, scopes })
    }

    /// Whether the token's account has this name. Asked once; tokens of apps have no account.
    pub(crate) async fn is_own(&self, owner: &str) -> std::result::Result<bool, ProtocolError> {
        let Some(api) = &self.api else { return Ok(false) };
        if let Some(login) = self.owners.login() {
            return Ok(login.eq_ignore_ascii_case(owner));
        }
        match self.account(api).await {
            Ok(account) => {
                self.owners.set_login(&account.login);
                Ok(account.login.eq_ignore_ascii_case(owner))
            }
            Err(error) if error.class() == Class::Denied => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// That GitHub knows the token, in a sentence.
    pub(crate) async fn authenticated(&self) -> Result<String> {
        let api = self.api()?;
        match self.account(api).await {
            Ok(account) if account.lacks_scope() => Ok(format!(
                "GitHub knows the token as one of {}; it has no scope read:packages",
                account.login
            )),
            Ok(account) => Ok(format!("GitHub knows the token as one of {}", account.login)),
            Err(error) if error.class() == Class::Authentication => Err(rejected(&api.endpoint().host())),
            Err(error) if error.class() == Class::Denied => {
                Ok("GitHub knows the token; it belongs to an app and not to an account".to_owned())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What a refusal means. `what` completes "the token may not".
    pub(crate) async fn explained(&self, error: ProtocolError, what: &str) -> Error {
        if !is_refusal(&error) && error.class() != Class::Absent {
            return error.into();
        }
        let Some(api) = &self.api else {
            return Error::new(
                error.class(),
                error.code(),
                format!(
                    "the token may not {what}, or there is no such package: it has to be a classic personal access token \
                     with the scope read:packages, of an account that may read the package"
                ),
            );
        };
        let account = match self.account(api).await {
            Ok(account) => account,
            Err(refused) if refused.class() == Class::Authentication => {
                return rejected(&api.endpoint().host());
            }
            Err(refused) if refused.class() == Class::Denied => {
                Account { login: String::new(), scopes: None }
            }
            Err(other) => return other.into(),
        };
        let login = &account.login;
        if account.lacks_scope() {
            return Error::permission_missing(format!(
                "the token may not {what}: grant it the scope read:packages"
            ));
        }
        if account.scopes.is_none() {
            return Error::permission_missing(format!(
                "the token may not {what}: GitHub Packages takes classic personal access tokens with the scope \
                 read:packages, and this is a fine-grained token or one of an app"
            ));
        }
        if error.class() == Class::Absent {
            return Error::not_found(format!(
                "can't {what}: not there, or not visible to {login}; the account needs read access to the package, and \
                 the token to be authorised for the organization's single sign-on"
            ));
        }
        Error::permission_missing(format!(
            "{login} may not {what}, or there is no such package: give the account read access to it, and authorise the \
             token for the organization's single sign-on"
        ))
    }
}

impl Account {
    /// Whether it is known that the token may not read packages.
    fn lacks_scope(&self) -> bool {
        let reads = |scope: &String| matches!(scope.as_str(), "read:packages" | "write:packages");
        self.scopes.as_ref().is_some_and(|scopes| !scopes.iter().any(reads))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_of_a_registry_is_where_github_has_it() {
        let rows = [
            ("ghcr.io", None, Some("api.github.com")),
            ("containers.acme.ghe.com", None, Some("api.acme.ghe.com")),
            ("containers.git.example.com", None, None),
            ("containers.git.example.com", Some("Git.Example.com"), Some("git.example.com/api/v3")),
            ("containers.git.example.com", Some("git.example.com:8443"), Some("git.example.com:8443/api/v3")),
            ("containers.h", Some("https://Git.Example.com/api/v3/"), Some("git.example.com/api/v3")),
            ("ghcr.io", Some("api.github.com"), Some("api.github.com")),
            ("mirror.example.com", Some("api.acme.ghe.com"), Some("api.acme.ghe.com")),
            ("ghcr.io.example.com", None, None),
        ];
        for (registry, named, expected) in rows {
            assert_eq!(api_base(registry, named).unwrap().as_deref(), expected, "{registry} {named:?}");
        }
        let error = api_base("containers.h", Some("https://h/elsewhere")).unwrap_err();
        assert_eq!(error.code(), "setting_invalid");
    }

    #[test]
    fn a_scope_is_missing_only_where_the_token_has_scopes() {
        let rows = [
            (None, false),
            (Some(""), true),
            (Some("repo"), true),
            (Some("repo,read:packages"), false),
            (Some("write:packages"), false),
            (Some("delete:packages"), true),
        ];
        for (scopes, lacks) in rows {
            let scopes = scopes.map(|s| s.split(',').map(str::to_owned).collect());
            let account = Account { login: "octocat".to_owned(), scopes };
            assert_eq!(account.lacks_scope(), lacks, "{:?}", account.scopes);
        }
    }
}
