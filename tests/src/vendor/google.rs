//! Google: Artifact Registry, the names of Container Registry, the API of both, and the token service for service accounts.
//!
//! One vendor with two registries, since they share what is behind them. Each has a [`Scene`](super::scene::Scene) of its
//! own.

pub mod accounts;
mod api;
mod registry;
mod scene;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::distribution;
use super::emulator::{Emulator, Vendor};
use super::internet::Internet;
use super::message::{Answer, Received, json as answer_json, with_header};
use super::operation::{Operation, PathValues, Violation};
use super::store::Store;
use super::tokens::Tokens;

pub use scene::{ContainerRegistryScene, GoogleArtifactScene};

/// The host of Artifact Registry.
pub const PKG: &str = "europe-west4-docker.pkg.dev";
/// The host of Container Registry, whose token service is at another.
pub const GCR: &str = "eu.gcr.io";
/// Where that is.
const GCR_TOKENS: &str = "gcr.io";
/// Where service accounts get access tokens.
const OAUTH: &str = "oauth2.googleapis.com";
/// The Artifact Registry API.
const API: &str = "artifactregistry.googleapis.com";
/// Where blobs of Container Registry are.
const STORAGE: &str = "storage.googleapis.com";
/// The project with the images.
pub const PROJECT: &str = "acme-prod";
/// A domain-scoped project, as it stands in names.
pub const SCOPED_PROJECT: &str = "example.com/acme";
/// What a token of the registries' own lives.
const REGISTRY_TOKEN_LIFE: Duration = Duration::from_mins(5);

/// The vendor.
#[derive(Debug, Default)]
pub struct Google {
    /// What its registries hold, by host.
    stores: BTreeMap<&'static str, Store>,
    /// Tokens of the registries' token services.
    tokens: Tokens,
    /// OAuth access tokens.
    access_tokens: Tokens,
    /// The API is not enabled in the projects.
    pub api_disabled: bool,
}

impl Google {
    /// The one on this internet.
    pub fn on(internet: &Internet) -> Emulator<Self> {
        internet.shared(|| Emulator::new(Self::default()))
    }

    /// What a registry holds.
    pub fn store(&mut self, host: &'static str) -> &mut Store {
        self.stores.entry(host).or_default()
    }

    /// Lets all tokens expire that were issued until now.
    pub fn expire_tokens(&mut self) {
        self.tokens.expire();
        self.access_tokens.expire();
    }

    /// An OAuth access token, as `gcloud auth print-access-token` gives it.
    pub fn access_token(&mut self, account: accounts::ServiceAccount, internet: &Internet) -> String {
        let email = account.email();
        self.access_tokens.issue(&email, Vec::new(), internet.now(), accounts::ACCESS_TOKEN_LIFE)
    }
}

impl Vendor for Google {
    fn operations(&self) -> Vec<Operation> {
        let mut all = api::TABLE.to_vec();
        all.push(accounts::TOKEN);
        all.extend(registry::operations());
        all
    }

    fn answer(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        match request.host.as_str() {
            OAUTH => Ok(self.issue_access_token(request)),
            API => self.answer_api(operation, path, request),
            _ => self.answer_registry(operation, path, request),
        }
    }

    fn rate_limited(&self, request: &Received) -> Answer {
        let answer = match request.host.as_str() {
            API | OAUTH => api::error(429, "RESOURCE_EXHAUSTED", Some("RATE_LIMIT_EXCEEDED")),
            _ => distribution::error(429, "TOOMANYREQUESTS"),
        };
        with_header(answer, "retry-after", "1")
    }

    fn refusal(&self, violation: &Violation) -> Answer {
        answer_json(
            violation.status,
            &json!({ "error": { "code": violation.status, "message": "a message" } }),
        )
    }
}
