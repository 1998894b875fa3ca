//! The list of packages ("REST API endpoints for packages", List packages for an organization, for a user, for the
//! authenticated user's namespace).

use regent_distribution::{Error as ProtocolError, NumberedPage, Session, Subject, is_within};
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::{Error, LogLevel, Namespaces, Numbered, Page, Result};
use serde::Deserialize;

use crate::owner::Kind;
use crate::place::{MAX_PAGE, Place};
use crate::{Github, is_refusal};

type Protocol<T> = std::result::Result<T, ProtocolError>;

/// "The value of `per_page` multiplied by `page` cannot be greater than 10000": a 400 otherwise.
const MAX_LISTED: u32 = 10_000;
/// The most organizations: as many as fit into a cursor.
const MAX_ORGS: usize = 200;

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    owner: Option<Login>,
}

#[derive(Debug, Deserialize)]
struct Login {
    login: String,
}

impl Github {
    /// The first page.
    pub(crate) async fn list_from_start(&self, size: u32) -> Result<Page<RepositoryName>> {
        let api = self.api()?;
        let at = Numbered::first(size, MAX_PAGE);
        let Some(name) = self.named_owner() else { return self.list(Place::Account(at)).await };
        match self.at_owner(name, |kind| packages(api, kind, name, at)).await {
            Ok((kind, listed)) => Ok(self.page(name, listed, &|at| Place::Of(kind, at), at)),
            Err(error) => Err(self.explained(error, &format!("list the packages of {name}")).await),
        }
    }

    /// The page at this place.
    pub(crate) async fn list(&self, place: Place) -> Result<Page<RepositoryName>> {
        let api = self.api()?;
        match place {
            Place::Of(kind, at) => {
                let name = self.named_owner().ok_or_else(Error::invalid_cursor)?;
                within_limit(at, name)?;
                match packages(api, kind, name, at).await {
                    Ok(listed) => Ok(self.page(name, listed, &|at| Place::Of(kind, at), at)),
                    Err(error) => Err(self.explained(error, &format!("list the packages of {name}")).await),
                }
            }
            Place::Account(at) => {
                within_limit(at, "the account")?;
                let listed = match packages(api, Kind::Own, "", at).await {
                    Ok(listed) => listed,
                    Err(error) => {
                        return Err(self.explained(error, "list the packages of its account").await);
                    }
                };
                let (last, login) = (!listed.more, self.owners.login().unwrap_or_default());
                let mut page = self.page(&login, listed, &Place::Account, at);
                if last {
                    let first = Numbered::first(at.size, MAX_PAGE);
                    page.next = self.orgs_or_none(api).await?.map(|orgs| Place::Orgs(first, orgs).cursor());
                }
                Ok(page)
            }
            Place::Orgs(at, orgs) => self.list_org(api, at, orgs).await,
        }
    }

    /// A page of one of the account's organizations. One that is closed to the token does not close the others.
    async fn list_org(&self, api: &Session, at: Numbered, orgs: Namespaces) -> Result<Page<RepositoryName>> {
        let name = orgs.current().as_str();
        within_limit(at, name)?;
        let listed = match packages(api, Kind::Org, name, at).await {
            Ok(listed) => listed,
            Err(error) if is_refusal(&error) || error.class() == Class::Absent => {
                let why =
                    "its packages are left out: authorise the token for the organization's single sign-on";
                self.host.log(LogLevel::Warn, format!("organization {name}: {error}; {why}"));
                NumberedPage { elements: Vec::new(), more: false }
            }
            Err(error) => return Err(error.into()),
        };
        let last = !listed.more;
        let mut page = self.page(name, listed, &|at| Place::Orgs(at, orgs.clone()), at);
        if last {
            let first = Numbered::first(at.size, MAX_PAGE);
            page.next = orgs.following().map(|orgs| Place::Orgs(first, orgs).cursor());
        }
        Ok(page)
    }

    /// The organizations of the account. For more than the public ones the token needs `read:org`.
    pub(crate) async fn orgs(&self, api: &Session) -> Protocol<Vec<String>> {
        let subject = Subject::Other("the organizations of the account".to_owned());
        let (mut names, mut at) = (Vec::new(), Numbered::first(MAX_PAGE, MAX_PAGE));
        loop {
            let url = api.endpoint().below(["user", "orgs"]);
            let listed = api.numbered::<Login>(url, at.page, at.size, &subject).await?;
            names.extend(listed.elements.into_iter().map(|org| org.login.to_ascii_lowercase()));
            if !listed.more || names.len() > MAX_ORGS {
                return Ok(names);
            }
            at = at.following();
        }
    }

    /// The organizations whose packages are listed; none, and a line in the log, where the token may not list them.
    async fn orgs_or_none(&self, api: &Session) -> Result<Option<Namespaces>> {
        match self.orgs(api).await {
            Ok(names) if names.len() > MAX_ORGS => {
                let message = format!(
                    "the account has more than {MAX_ORGS} organizations: name one owner in registryBase"
                );
                Err(Error::new(Class::Limit, "paging_limit", message))
            }
            Ok(names) => Ok(Namespaces::new(names)),
            Err(error) if is_refusal(&error) => {
                let why = "packages of organizations are left out: grant the token the scope read:org, or name an owner in \
                           registryBase";
                self.host.log(LogLevel::Warn, format!("{error}; {why}"));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The owner that the connection names.
    fn named_owner(&self) -> Option<&str> {
        self.prefix.as_ref().and_then(|prefix| prefix.as_str().split('/').next())
    }

    /// The names of a page that the specification knows and the connection wants.
    fn page(
        &self,
        owner: &str,
        listed: NumberedPage<Package>,
        place: &dyn Fn(Numbered) -> Place,
        at: Numbered,
    ) -> Page<RepositoryName> {
        let name = |package: Package| {
            let owner = package.owner.map_or_else(|| owner.to_owned(), |owner| owner.login);
            format!("{owner}/{}", package.name).to_ascii_lowercase().parse().ok()
        };
        let names = listed.elements.into_iter().filter_map(name);
        let items = names.filter(|name| is_within(name, self.prefix.as_ref())).collect();
        Page { items, next: listed.more.then(|| place(at.following()).cursor()) }
    }
}

async fn packages(api: &Session, kind: Kind, name: &str, at: Numbered) -> Protocol<NumberedPage<Package>> {
    let mut url = kind.packages(api.endpoint(), name, &[]);
    url.query_pairs_mut().append_pair("package_type", "container");
    api.numbered(url, at.page, at.size, &Subject::Catalog).await
}

/// Refuses to read on where GitHub does: to stop would be to pass the list off as complete.
fn within_limit(at: Numbered, owner: &str) -> Result<()> {
    if at.page.saturating_mul(at.size) <= MAX_LISTED {
        return Ok(());
    }
    let message =
        format!("GitHub lists no more than {MAX_LISTED} packages of {owner}: name repositories one by one");
    Err(Error::new(Class::Limit, "paging_limit", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_is_the_one_that_github_lists_last() {
        let rows =
            [(100, 100, true), (101, 100, false), (333, 30, true), (334, 30, false), (u32::MAX, 100, false)];
        for (page, size, allowed) in rows {
            let outcome = within_limit(Numbered { page, size }, "acme");
            assert_eq!(outcome.is_ok(), allowed, "{page} of {size}");
        }
    }
}
