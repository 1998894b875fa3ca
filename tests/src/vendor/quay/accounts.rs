//! Who Quay knows: OAuth tokens with some scopes, and a robot account.

/// Someone who is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Its name at the token service.
    pub(super) name: &'static str,
    /// What goes with it.
    pub(super) secret: &'static str,
    /// Namespaces that it may read all of.
    pub(super) namespaces: &'static [&'static str],
    /// Scopes, of an OAuth token.
    pub(super) scopes: &'static [&'static str],
}

pub(super) const OAUTH: &str = "$oauthtoken";
const TOKEN: Known = Known {
    name: OAUTH,
    secret: "oauth-full",
    namespaces: &["sam", "acme", "globex"],
    scopes: &["repo:read", "user:read"],
};
pub(super) const KNOWN: [Known; 4] = [
    TOKEN,
    Known { secret: "oauth-nouser", scopes: &["repo:read"], ..TOKEN },
    // Lists do not look at scopes; what reads from a repository does.
    Known { secret: "oauth-noread", scopes: &["user:read"], ..TOKEN },
    Known { name: "acme+scan", secret: "robot", namespaces: &["acme"], scopes: &[] },
];

impl Known {
    pub(super) fn reads(&self, repository: &str) -> bool {
        let namespace = repository.split('/').next().unwrap_or_default();
        self.namespaces.contains(&namespace)
    }

    pub(super) fn may_pull(&self, repository: &str) -> bool {
        self.reads(repository) && (self.name != OAUTH || self.scopes.contains(&"repo:read"))
    }
}

pub(super) fn known(name: &str, secret: &str) -> Option<Known> {
    KNOWN.into_iter().find(|known| known.name == name && known.secret == secret)
}
