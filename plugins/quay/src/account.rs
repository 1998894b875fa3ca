//! Who reads: a robot, a user, an application's OAuth token, or a visitor.

use regent_distribution::Credentials;
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::{Error, Result, Settings};

/// The user name that stands for an OAuth token at the token service.
const OAUTH: &str = "$oauthtoken";

/// What a connection's credentials are good for. Quay has two doors: `/v2/` takes them all, the API takes OAuth tokens
/// only.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// For `/v2/`.
    pub(crate) credentials: Credentials,
    /// For the API.
    pub(crate) oauth: Option<SecretString>,
    /// For messages.
    pub(crate) kind: Kind,
}

/// Which door they open, and what to grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Visitor,
    OAuth,
    Robot,
    User,
}

impl Account {
    pub(crate) fn of(settings: &Settings) -> Result<Self> {
        match (settings.username_and_password()?, settings.secret("token")) {
            // Two accounts would be two lists, and a lapsed one of them would not be noticed.
            (Some(_), Some(_)) => {
                let why =
                    "can't stand beside a user name: an OAuth token opens both the API and /v2/ by itself";
                Err(Error::invalid_setting("token", why))
            }
            (Some((OAUTH, secret)), None) | (None, Some(secret)) => Ok(Self::oauth(secret)),
            (Some((username, password)), None) => Ok(Self {
                credentials: Credentials::Basic { username: username.to_owned(), password: password.clone() },
                oauth: None,
                kind: if username.contains('+') { Kind::Robot } else { Kind::User },
            }),
            (None, None) => {
                Ok(Self { credentials: Credentials::Anonymous, oauth: None, kind: Kind::Visitor })
            }
        }
    }

    fn oauth(token: &SecretString) -> Self {
        let credentials = Credentials::Basic { username: OAUTH.to_owned(), password: token.clone() };
        Self { credentials, oauth: Some(token.clone()), kind: Kind::OAuth }
    }

    /// Whether the API answers: to an OAuth token for all that its user sees, to a visitor for what is public.
    pub(crate) fn may_use_api(&self) -> bool {
        self.oauth.is_some() || self.kind == Kind::Visitor
    }
}

impl Kind {
    /// As the subject of a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Visitor => "a visitor",
            Self::OAuth => "the OAuth token",
            Self::Robot => "the robot account",
            Self::User => "the user",
        }
    }

    /// What to grant for reading a repository, as the rest of a sentence.
    pub(crate) fn right_to_read(self) -> &'static str {
        match self {
            Self::Visitor => "configure an account that may read it",
            Self::OAuth => {
                "give the token the scope View all visible repositories (repo:read), and its user the permission Read"
            }
            Self::Robot | Self::User => "give it the permission Read on the repository",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_apart_by_the_names_that_quay_gives_them() {
        let rows = [
            ("", Some((Kind::Visitor, true))),
            ("username=acme+scan password=x", Some((Kind::Robot, false))),
            ("username=sam password=x", Some((Kind::User, false))),
            ("username=$app password=x", Some((Kind::User, false))),
            ("username=$oauthtoken password=x", Some((Kind::OAuth, true))),
            ("token=x", Some((Kind::OAuth, true))),
            ("username=acme+scan password=x token=y", None),
            ("username=acme+scan", None),
            ("password=x", None),
        ];
        for (pairs, expected) in rows {
            let values = pairs.split_ascii_whitespace().map(|pair| pair.split_once('=').unwrap());
            let values = values.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
            let account = Account::of(&Settings::new("quay-cr", values, false));
            assert_eq!(account.ok().map(|a| (a.kind, a.may_use_api())), expected, "{pairs}");
        }
    }
}
