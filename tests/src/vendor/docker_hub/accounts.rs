//! Who Docker Hub knows: a user's access token, and an organization's with some scopes.

/// An account with a secret and what it opens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Credential {
    /// A user, or an organization.
    pub(super) name: &'static str,
    /// A personal or organization access token.
    pub(super) secret: &'static str,
    /// Namespaces whose private repositories it sees.
    pub(super) namespaces: &'static [&'static str],
    /// Whether lists show it private repositories: `scope-repository-list`, or "Repo Read-only".
    pub(super) list: bool,
    /// Whether it may pull: `scope-image-pull`.
    pub(super) pull: bool,
    /// Whether it may read tags in the API: `scope-tag-read`.
    pub(super) tags: bool,
}

/// A user, member of the organization `acme`.
const USER: Credential = Credential {
    name: "sam",
    secret: "dckr_pat_full",
    namespaces: &["sam", "acme"],
    list: true,
    pull: true,
    tags: true,
};
/// An organization access token.
const ORGANIZATION: Credential =
    Credential { name: "acme", secret: "dckr_oat_full", namespaces: &["acme"], ..USER };
pub(super) const CREDENTIALS: [Credential; 5] = [
    USER,
    ORGANIZATION,
    Credential { secret: "dckr_oat_nolist", list: false, ..ORGANIZATION },
    Credential { secret: "dckr_oat_nopull", pull: false, ..ORGANIZATION },
    Credential { secret: "dckr_oat_notags", tags: false, ..ORGANIZATION },
];

pub(super) fn credential(name: &str, secret: &str) -> Option<Credential> {
    CREDENTIALS.into_iter().find(|known| known.name == name && known.secret == secret)
}
