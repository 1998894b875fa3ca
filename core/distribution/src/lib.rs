//! The reading half of the OCI distribution protocol, over any [`Transport`](regent_transport::Transport).
//!
//! No HTTP client, no runtime, no clock of its own: requests, waits, time and randomness come from the transport. So
//! the same code runs in a driver, over what its host gives it, and in the host, over the real client.
//!
//! | type | what it is |
//! | --- | --- |
//! | [`Endpoint`] | where `/v2/` is, and the URLs below it |
//! | [`Authenticator`] | credentials that answer challenges: Basic, tokens, their cache, the rule for realms |
//! | [`Authorizer`] | what it implements, for whoever has headers from elsewhere |
//! | [`IssuedTokens`] | the same for tokens that a vendor's own login issues |
//! | [`Session`] | requests to one registry: authorization, redirects, retries; catalog and tags, page by page |
//! | [`Client`] | manifests and blobs of one repository, verified |
//! | [`BlobStream`] | a blob that resumes by range |
//! | [`Pages`] | a walk over any paged listing, with guards against one that has no end |
//! | [`Error`] | one enum, with class, retry and stable code ([`Fault`](regent_transport::Fault)) |
//!
//! A driver for an ordinary registry makes a [`Session`] from its settings, and answers with [`Session::catalog`],
//! [`Session::tags`] and [`Session::authorization`]:
//!
//! ```
//! use std::sync::Arc;
//!
//! use regent_distribution::{Authenticator, Credentials, Endpoint, PageQuery, PathMeaning, Session};
//! use regent_transport::Transport;
//!
//! fn connect(transport: Arc<dyn Transport>) -> Result<Session, regent_distribution::Error> {
//!     let (endpoint, _prefix) =
//!         Endpoint::from_base("registry-1.docker.io", false, PathMeaning::RepositoryPrefix)?;
//!     let credentials =
//!         Credentials::Basic { username: "robot".into(), password: "secret".to_owned().into() };
//!     let authenticator = Authenticator::new(Arc::clone(&transport), &endpoint, credentials)
//!         .with_realm_host("auth.docker.io");
//!     Ok(Session::new(transport, endpoint, Arc::new(authenticator)))
//! }
//!
//! async fn tags(session: &Session) -> Result<(), regent_distribution::Error> {
//!     let page = session.tags(&"library/redis".parse().expect("a name"), &PageQuery::first(100)).await?;
//!     for tag in page.items {
//!         let _ = tag.as_str();
//!     }
//!     Ok(())
//! }
//! ```
//!
//! What it refuses to do: send credentials anywhere but to the registry's origin and to token services that were
//! allowed; follow a redirect from HTTPS to HTTP or into a private network; hand out content that does not have its
//! digest; pass on the text of a foreign error; write to a registry.

mod answer;
mod authenticator;
mod authorize;
mod blob;
mod cache;
mod challenge;
mod client;
mod endpoint;
mod error;
mod field;
mod issued;
mod link;
mod numbered;
mod page;
mod realm;
mod redirect;
mod retry_after;
mod scope;
mod session;
mod token;
mod walk;
mod when;

pub use authenticator::Authenticator;
pub use authorize::{Ask, Authorized, Authorizer, Credentials, FixedHeaders, Proof, Refusal};
pub use blob::{BlobStream, BlobVerifier, Verify};
pub use challenge::Challenge;
pub use client::{Client, ManifestHead};
pub use endpoint::{Endpoint, PathMeaning, is_within};
pub use error::{Error, RegistryCode, Subject};
pub use issued::{IssuedToken, IssuedTokens, Issuer};
pub use link::{Link, next_cursor};
pub use numbered::NumberedPage;
pub use page::{Page, PageQuery};
pub use redirect::{PrivateTargets, RedirectPolicy};
pub use retry_after::retry_after;
pub use scope::Scope;
pub use session::{Freshness, Session};
pub use token::{TokenFlow, unverified_claims};
pub use walk::{PageLimits, Pages};
pub use when::parse_rfc3339;

/// For [`Session::with_retry`], and for a driver's own requests.
pub use regent_transport::RetryPolicy;
