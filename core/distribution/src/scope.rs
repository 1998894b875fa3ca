//! What a token is asked for (CNCF Distribution, "Token Scope Documentation").

use std::fmt;

use regent_oci::RepositoryName;

/// A set of resource scopes such as `repository:team/app:pull`, in the order they are asked for.
///
/// The order matters, since some servers read the first `scope` parameter only.
///
/// ```
/// use regent_distribution::Scope;
///
/// assert_eq!(Scope::pull(&"team/app".parse()?).to_string(), "repository:team/app:pull");
/// let metadata = Scope::of(["repository:team/app:metadata_read", "repository:team/app:pull"]);
/// assert_eq!(metadata.iter().count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Scope(Vec<String>);

impl Scope {
    /// The most that is taken from a challenge; more is no challenge but an attack.
    const MAX: usize = 16;

    /// No scope at all: a token that proves the login, and what Quay wants for its catalog.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// To read tags, manifests and blobs of a repository.
    pub fn pull(repository: &RepositoryName) -> Self {
        Self(vec![format!("repository:{repository}:pull")])
    }

    /// To list repositories with `_catalog`; the `*` is literal.
    pub fn catalog() -> Self {
        Self(vec!["registry:catalog:*".to_owned()])
    }

    /// Scopes in a registry's own words, such as ACR's `repository:team/app:metadata_read`.
    pub fn of<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        Self(scopes.into_iter().map(Into::into).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// These, and behind them what a challenge asks for beyond them. Actions that change something are left out:
    /// nothing here writes, so no token of ours needs to be able to.
    pub(crate) fn with_challenged(&self, challenged: &str) -> Self {
        let mut all = self.clone();
        for scope in challenged.split_ascii_whitespace() {
            if let Some(scope) = reading_half(scope)
                && all.0.len() < Self::MAX
                && !all.0.contains(&scope)
            {
                all.0.push(scope);
            }
        }
        all
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// A scope without `push` and `delete`; `None` if nothing remains. A resource name may hold a `:` (a host with its
/// port), so the actions are split off from the right.
fn reading_half(scope: &str) -> Option<String> {
    let Some((resource, actions)) = scope.rsplit_once(':') else { return Some(scope.to_owned()) };
    let reading: Vec<&str> = actions.split(',').filter(|a| !matches!(*a, "push" | "delete" | "")).collect();
    (!reading.is_empty()).then(|| format!("{resource}:{}", reading.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_adds_what_was_not_asked_for_and_never_the_right_to_write() {
        let pull = Scope::pull(&"team/app".parse().unwrap());
        let rows = [
            ("", "repository:team/app:pull"),
            ("repository:team/app:pull", "repository:team/app:pull"),
            ("repository:team/app:pull,push", "repository:team/app:pull"),
            ("repository:x:push", "repository:team/app:pull"),
            ("*", "repository:team/app:pull *"),
            (
                "repository:host:5000/x:pull a:b:c",
                "repository:team/app:pull repository:host:5000/x:pull a:b:c",
            ),
        ];
        for (challenged, expected) in rows {
            assert_eq!(pull.with_challenged(challenged).to_string(), expected, "{challenged}");
        }
    }

    #[test]
    fn a_challenge_with_endless_scopes_is_cut() {
        let endless: Vec<String> = (0..1000).map(|i| format!("repository:x{i}:pull")).collect();
        assert_eq!(Scope::none().with_challenged(&endless.join(" ")).iter().count(), Scope::MAX);
    }
}
