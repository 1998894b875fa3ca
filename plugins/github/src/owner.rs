//! Whose packages: organizations, users and the token's own account have them in different places of the API.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use regent_distribution::{Endpoint, Error as ProtocolError};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::url::Url;

use crate::Github;

/// How many owners are remembered: a connection rarely has more than its organizations.
const MAX_OWNERS: usize = 1000;

/// What kind of owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The token's account: its private packages are surely seen nowhere else.
    Own,
    /// An organization.
    Org,
    /// Another account.
    User,
}

impl Kind {
    /// The URL of the packages of the owner called `name`, with these segments behind it.
    pub(crate) fn packages<'a>(self, api: &Endpoint, name: &'a str, rest: &[&'a str]) -> Url {
        let front: &[&str] = match self {
            Self::Own => &["user"],
            Self::Org => &["orgs", name],
            Self::User => &["users", name],
        };
        api.below([front, &["packages"], rest].into_iter().flatten().copied())
    }
}

/// What was learned of owners. Std locks: held for a look-up, never over an await.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    login: Mutex<Option<String>>,
    kinds: Mutex<HashMap<String, Kind>>,
}

impl Owners {
    /// The name of the token's account, once asked for.
    pub(crate) fn login(&self) -> Option<String> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_login(&self, login: &str) {
        *self.login.lock().unwrap_or_else(PoisonError::into_inner) = Some(login.to_owned());
    }

    fn kind(&self, name: &str) -> Option<Kind> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    fn set_kind(&self, name: &str, kind: Kind) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= MAX_OWNERS {
            kinds.clear();
        }
        kinds.insert(name.to_owned(), kind);
    }
}

impl Github {
    /// What `look` finds at the owner of this name. Nothing says whether that is an organization or a user, so the first is
    /// looked at, and where there is none, the second; and it is remembered where something was found.
    pub(crate) async fn at_owner<T, F, Fut>(&self, name: &str, look: F) -> Result<(Kind, T), ProtocolError>
    where
        F: Fn(Kind) -> Fut,
        Fut: Future<Output = Result<T, ProtocolError>>,
    {
        if let Some(kind) = self.owners.kind(name) {
            return look(kind).await.map(|found| (kind, found));
        }
        // The name of the connection's user is rarely an organization's.
        let user = self.username.as_deref().is_some_and(|user| user.eq_ignore_ascii_case(name));
        let own = user && self.is_own(name).await?;
        if !own {
            match look(Kind::Org).await {
                Ok(found) => {
                    self.owners.set_kind(name, Kind::Org);
                    return Ok((Kind::Org, found));
                }
                Err(error) if error.class() == Class::Absent => {}
                Err(error) => return Err(error),
            }
        }
        let kind = if own || self.is_own(name).await? { Kind::Own } else { Kind::User };
        let found = look(kind).await?;
        self.owners.set_kind(name, kind);
        Ok((kind, found))
    }
}
