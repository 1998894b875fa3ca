//! Why a registry could not be read: one enum, a variant for each thing that someone acts on differently.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use regent_oci::{Digest, Reference, RepositoryName};
use regent_transport::{Class, Fault, Retry, TransportError};

/// What a request was about; error messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// The registry as such (`GET /v2/`).
    Registry,
    /// The token service that a challenge names.
    Token,
    /// The list of repositories.
    Catalog,
    /// The tags of a repository.
    Tags(RepositoryName),
    /// A manifest or index.
    Manifest(RepositoryName, Reference),
    /// A blob.
    Blob(RepositoryName, Digest),
    /// A call of a driver's own, in words: `the robots of project team`.
    Other(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry => f.write_str("the registry"),
            Self::Token => f.write_str("the registry's token service"),
            Self::Catalog => f.write_str("the list of repositories"),
            Self::Tags(repository) => write!(f, "the tags of {repository}"),
            Self::Manifest(repository, Reference::Tag(tag)) => write!(f, "{repository}:{tag}"),
            Self::Manifest(repository, Reference::Digest(digest)) => write!(f, "{repository}@{digest}"),
            Self::Blob(repository, digest) => write!(f, "blob {digest} of {repository}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// An error code from a registry's answer, such as `MANIFEST_UNKNOWN` (distribution-spec 1.1, "Error Codes").
///
/// The only part of a foreign error body that leaves this crate: at most 64 of `A-Z`, `0-9` and `_`, so that it can
/// stand in a log or a message. The set is open, since registries invent their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegistryCode(Box<str>);

impl RegistryCode {
    const MAX_BYTES: usize = 64;

    /// The code, if the text has the form of one.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        let wellformed = !text.is_empty() && text.len() <= Self::MAX_BYTES && text.bytes().all(allowed);
        wellformed.then(|| Self(text.into()))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegistryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What this crate's calls fail with. No message holds a secret, a query or a foreign body.
///
/// Who acts on an error looks at its class, not at its variant:
///
/// ```
/// use regent_distribution::{Error, Subject};
/// use regent_transport::{Class, Fault};
///
/// let error = Error::PermissionMissing { subject: Subject::Catalog, registry_code: None };
/// assert_eq!((error.class(), error.code()), (Class::Denied, "permission_missing"));
/// assert_eq!(error.to_string(), "the credentials do not permit reading the list of repositories");
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer was had, or not the whole of it.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The text or URL given as the registry's address is none.
    #[error("the registry's address {reason}")]
    Endpoint {
        /// What is wrong, as the rest of a sentence.
        reason: String,
    },
    /// A user name, password or token has a character that can't be sent in a header.
    #[error("the credentials for {host} have a character that can't stand in an HTTP header")]
    CredentialsUnusable {
        /// The registry.
        host: String,
    },
    /// The registry wants credentials and there are none.
    #[error("{host} asks for credentials to read {subject}, and none are configured")]
    CredentialsMissing {
        /// Who asks.
        host: String,
        /// What for.
        subject: Subject,
    },
    /// The registry or its token service does not take the credentials.
    #[error("{host} does not accept the credentials{}", shown(registry_code.as_ref()))]
    CredentialsRejected {
        /// Who refused.
        host: String,
        /// What it said.
        registry_code: Option<RegistryCode>,
    },
    /// The credentials are good, as far as can be seen, but do not permit this.
    #[error("the credentials do not permit reading {subject}{}", shown(registry_code.as_ref()))]
    PermissionMissing {
        /// What was to be read.
        subject: Subject,
        /// What the registry said.
        registry_code: Option<RegistryCode>,
    },
    /// Not there, or hidden: many registries answer 404 for what the credentials may not see.
    #[error("can't find {subject}: not there, or not visible to the credentials{}", shown(registry_code.as_ref()))]
    NotFound {
        /// What was to be read.
        subject: Subject,
        /// What the registry said.
        registry_code: Option<RegistryCode>,
    },
    /// The registry has no list of repositories (`_catalog` is optional).
    #[error("{host} does not offer a list of its repositories (answer {status})")]
    CatalogUnsupported {
        /// The registry.
        host: String,
        /// Its answer.
        status: StatusCode,
    },
    /// 429.
    #[error("{host} limits how often it may be asked")]
    RateLimited {
        /// Who limits.
        host: String,
        /// How long to wait, if it said so.
        after: Option<Duration>,
    },
    /// 5xx or 408.
    #[error("{host} failed with {status}")]
    Unavailable {
        /// Who failed.
        host: String,
        /// The status.
        status: StatusCode,
        /// How long to wait, if it said so.
        after: Option<Duration>,
    },
    /// A status that has no place in the protocol here.
    #[error("the answer {status} to the request for {subject} was not expected{}", shown(registry_code.as_ref()))]
    UnexpectedStatus {
        /// What was to be read.
        subject: Subject,
        /// The status.
        status: StatusCode,
        /// What the registry said.
        registry_code: Option<RegistryCode>,
    },
    /// An answer that breaks the protocol: no JSON, no realm, no `Location`.
    #[error("the answer about {subject} is not usable: {reason}")]
    AnswerInvalid {
        /// What was to be read.
        subject: Subject,
        /// What is wrong, without quoting the answer.
        reason: String,
    },
    /// An answer above its limit.
    #[error("the answer about {subject} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What was to be read.
        subject: Subject,
        /// The limit.
        limit_bytes: u64,
    },
    /// A manifest that can't be used.
    #[error("{subject} can't be used: {source}")]
    Manifest {
        /// Which manifest.
        subject: Subject,
        /// What is wrong with it.
        source: regent_oci::Error,
    },
    /// Content that is not what its digest says.
    #[error("{subject} has digest {actual}, expected {expected}")]
    DigestMismatch {
        /// Whose content.
        subject: Subject,
        /// The digest that names it.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// A blob with more bytes than its descriptor says.
    #[error("{subject} is larger than the {expected_bytes} bytes of its descriptor")]
    SizeMismatch {
        /// Which blob.
        subject: Subject,
        /// The size in its descriptor.
        expected_bytes: u64,
    },
    /// A blob that ended early, also after resuming.
    #[error("{subject} ended after {got_bytes} of {expected_bytes} bytes")]
    BlobTruncated {
        /// Which blob.
        subject: Subject,
        /// How much came.
        got_bytes: u64,
        /// The size in its descriptor.
        expected_bytes: u64,
    },
    /// A redirect that is not followed.
    #[error("{subject} was redirected to {target}, which is refused: {reason}")]
    RedirectRefused {
        /// What was to be read.
        subject: Subject,
        /// Scheme and host of the target.
        target: String,
        /// The rule.
        reason: &'static str,
    },
    /// The server that a redirect led to refused. Its 401 is no challenge of the registry.
    #[error("{host}, to which the registry redirected the request for {subject}, answered {status}")]
    RedirectTarget {
        /// Where the redirect led.
        host: String,
        /// What was to be read.
        subject: Subject,
        /// Its answer.
        status: StatusCode,
    },
    /// A token service that may not be given the credentials.
    #[error("the registry names {realm} as its token service, which may not see the credentials: {reason}")]
    RealmRefused {
        /// Scheme and host of the realm.
        realm: String,
        /// The rule.
        reason: &'static str,
    },
    /// Credentials of a kind that the token service has no way to take.
    #[error("the token service at {host} takes no refresh tokens (answer {status})")]
    GrantUnsupported {
        /// The token service.
        host: String,
        /// Its answer.
        status: StatusCode,
    },
    /// A listing that leads back to where it was, or brings nothing new.
    #[error("the pages of {listing} repeat themselves")]
    PagingLoop {
        /// Which listing.
        listing: String,
    },
    /// A listing with more pages or items than are read.
    #[error("{listing} is longer than the limit of {limit} {unit}")]
    PagingLimit {
        /// Which listing.
        listing: String,
        /// The limit.
        limit: usize,
        /// `pages` or `items`.
        unit: &'static str,
    },
    /// A mark of a place in a listing that none of its pages gave.
    #[error("the cursor is not one that this listing gave")]
    CursorInvalid,
    /// Whoever provides the authorization (a driver) failed; it knows why.
    #[error("{0}")]
    Authorizer(Arc<dyn Fault + Send + Sync>),
}

fn shown(code: Option<&RegistryCode>) -> String {
    code.map_or_else(String::new, |code| format!(" ({code})"))
}

fn after_or_backoff(after: Option<Duration>) -> Retry {
    after.map_or(Retry::Backoff, Retry::After)
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Transport(e) => e.class(),
            Self::Authorizer(e) => e.class(),
            Self::Endpoint { .. } | Self::CredentialsUnusable { .. } | Self::CursorInvalid => Class::Invalid,
            Self::CredentialsMissing { .. } | Self::CredentialsRejected { .. } => Class::Authentication,
            Self::PermissionMissing { .. } => Class::Denied,
            Self::NotFound { .. } => Class::Absent,
            Self::CatalogUnsupported { .. } | Self::GrantUnsupported { .. } => Class::Unsupported,
            Self::RateLimited { .. } => Class::Throttled,
            Self::Unavailable { .. } | Self::BlobTruncated { .. } | Self::RedirectTarget { .. } => {
                Class::Unavailable
            }
            Self::UnexpectedStatus { .. }
            | Self::AnswerInvalid { .. }
            | Self::Manifest { .. }
            | Self::DigestMismatch { .. }
            | Self::SizeMismatch { .. }
            | Self::PagingLoop { .. } => Class::Corrupt,
            Self::TooLarge { .. } | Self::PagingLimit { .. } => Class::Limit,
            Self::RedirectRefused { .. } | Self::RealmRefused { .. } => Class::Refused,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Transport(e) => e.retry(),
            Self::Authorizer(e) => e.retry(),
            Self::RateLimited { after, .. } | Self::Unavailable { after, .. } => after_or_backoff(*after),
            Self::BlobTruncated { .. } | Self::RedirectTarget { .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Transport(e) => e.code(),
            Self::Authorizer(e) => e.code(),
            Self::Endpoint { .. } => "registry_address_invalid",
            Self::CredentialsUnusable { .. } => "credentials_unusable",
            Self::CredentialsMissing { .. } => "credentials_missing",
            Self::CredentialsRejected { .. } => "credentials_rejected",
            Self::PermissionMissing { .. } => "permission_missing",
            Self::NotFound { .. } => "not_found",
            Self::CatalogUnsupported { .. } => "catalog_unsupported",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "registry_unavailable",
            Self::UnexpectedStatus { .. } | Self::AnswerInvalid { .. } => "registry_answer_invalid",
            Self::TooLarge { .. } => "registry_answer_too_large",
            Self::Manifest { .. } => "manifest_invalid",
            Self::DigestMismatch { .. } => "digest_mismatch",
            Self::SizeMismatch { .. } => "size_mismatch",
            Self::BlobTruncated { .. } => "blob_truncated",
            Self::RedirectRefused { .. } => "redirect_refused",
            Self::RedirectTarget { .. } => "redirect_target_failed",
            Self::RealmRefused { .. } => "realm_refused",
            Self::GrantUnsupported { .. } => "grant_unsupported",
            Self::PagingLoop { .. } => "paging_loop",
            Self::PagingLimit { .. } => "paging_limit",
            Self::CursorInvalid => "cursor_invalid",
        }
    }
}
