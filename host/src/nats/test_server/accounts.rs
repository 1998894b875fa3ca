//! An operator's accounts: who may connect is said by JWTs that an account has signed, and the account's by the operator.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator with one account.
#[derive(Debug)]
pub struct Accounts {
    operator: KeyPair,
    account: KeyPair,
}

impl Accounts {
    /// New ones.
    pub fn generate() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account() }
    }

    /// Lines of a server's configuration that make it trust this operator.
    pub fn config(&self) -> String {
        let (operator, system) = (&self.operator, KeyPair::new_account());
        let (account, system_key) = (self.account.public_key(), system.public_key());
        let unlimited = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let no_jetstream = json!({"subs": -1, "data": -1, "payload": -1, "conn": -1});
        let trusted = token(operator, &operator.public_key(), json!({"type": "operator"}));
        let ours = token(operator, &account, json!({"type": "account", "limits": unlimited}));
        let theirs = token(operator, &system_key, json!({"type": "account", "limits": no_jetstream}));
        format!(
            "operator: {trusted}\nsystem_account: {system_key}\nresolver: MEMORY\n\
             resolver_preload: {{ {account}: {ours}, {system_key}: {theirs} }}"
        )
    }

    /// The credentials file of a new user.
    pub fn credentials(&self) -> String {
        let user = KeyPair::new_user();
        let rights = json!({"type": "user", "subs": -1, "data": -1, "payload": -1});
        let token = token(&self.account, &user.public_key(), rights);
        let seed = user.seed().unwrap();
        format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

fn token(issuer: &KeyPair, subject: &str, mut claims: Value) -> String {
    claims["version"] = json!(2);
    let claims = json!({
        "jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test", "sub": subject,
        "nats": claims,
    });
    let encoded = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encoded(json!({"typ": "JWT", "alg": "ed25519-nkey"})), encoded(claims));
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
