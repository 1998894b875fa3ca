//! Tokens that are issued, expire, and are looked at.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use serde_json::json;

/// The tokens of one issuer.
#[derive(Debug, Default)]
pub struct Tokens(BTreeMap<String, Token>);

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Whose it is; empty for an anonymous visitor.
    pub account: String,
    /// What it allows, e.g. `repository:team/app:pull`.
    pub grants: Vec<String>,
    expires: SystemTime,
}

impl Tokens {
    /// Issues a token that looks like a JWT: three parts, with `exp` among its claims.
    pub fn issue(
        &mut self,
        account: &str,
        grants: Vec<String>,
        now: SystemTime,
        lifetime: Duration,
    ) -> String {
        let expires = now + lifetime;
        let part = |value: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value);
        let exp = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let header = part(json!({ "alg": "RS256", "typ": "JWT" }).to_string());
        let claims = part(json!({ "sub": account, "exp": exp }).to_string());
        let token = format!("{header}.{claims}.{}", uuid::Uuid::new_v4().simple());
        self.0.insert(token.clone(), Token { account: account.to_owned(), grants, expires });
        token
    }

    /// A token that was issued and lives.
    pub fn get(&self, token: &str, now: SystemTime) -> Option<&Token> {
        self.0.get(token).filter(|token| now < token.expires)
    }

    /// Lets all tokens expire that were issued until now.
    pub fn expire(&mut self) {
        self.0.clear();
    }
}

impl Token {
    /// Whether it allows this.
    pub fn grants(&self, scope: &str) -> bool {
        self.grants.iter().any(|grant| grant == scope)
    }

    /// Whether it allows to pull from a repository.
    pub fn may_pull(&self, repository: &str) -> bool {
        self.grants(&format!("repository:{repository}:pull"))
    }
}
