//! The list of repositories, in whichever of the ways the token is allowed.
//!
//! A group's list has those of its subgroups. Without a group in the connection, the groups at the top that the account is a
//! member of come first, since each is one request for a hundred repositories; then the projects that are in none of them, one by
//! one.

use regent_distribution::{
    Error as ProtocolError, NumberedPage, PageQuery, Scope, Session, Subject, is_within,
};
use regent_plugin_api::oci::RepositoryName;
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::url::Url;
use regent_plugin_api::{Error, LogLevel, Namespaces, Numbered, Page, Result};

use crate::place::Place;
use crate::rest::{self, Group, Listed, MAX_PAGE, Project};
use crate::{Gitlab, registry};

type Protocol<T> = std::result::Result<T, ProtocolError>;

/// How many levels a repository's name may have below its project's.
const MAX_UP: usize = 2;
/// The most text of groups' names: a cursor holds them.
const MAX_GROUPS_BYTES: usize = 6000;
/// The most projects that are asked for their repositories in one call, which has a deadline.
const MAX_PROJECTS: usize = 20;

impl Gitlab {
    /// The first page, in the first way that is there and allowed.
    pub(crate) async fn list_from_start(&self, size: u32) -> Result<Page<RepositoryName>> {
        let mut refusal = ProtocolError::PermissionMissing { subject: Subject::Catalog, registry_code: None };
        if self.has_rest() {
            // What goes wrong here is the registry's or its token service's.
            self.rest().await.map_err(|error| self.explained(error, "list repositories"))?;
            match self.list_by_rest(size).await {
                Ok(page) => return Ok(page),
                Err(error) if matches!(error.class(), Class::Authentication | Class::Denied) => {
                    refusal = error;
                }
                Err(error) => return Err(self.unlisted(error)),
            }
        }
        let below = self.prefix.as_ref().map(|_| Place::Below(None));
        for way in below.into_iter().chain([Place::Catalog(None)]) {
            match self.list(&way, size).await {
                Ok(page) => return Ok(page),
                Err(error) if matches!(error.class(), Class::Denied | Class::Absent | Class::Unsupported) => {
                }
                Err(error) => return Err(self.explained(error, "list repositories")),
            }
        }
        Err(self.unlisted(refusal))
    }

    /// The first page of the REST API: what the connection names may be a group, a project, what is below one, or a user.
    async fn list_by_rest(&self, size: u32) -> Protocol<Page<RepositoryName>> {
        let at = Numbered::first(size, MAX_PAGE);
        let Some(prefix) = &self.prefix else { return self.list_memberships(at).await };
        let levels = prefix.as_str().split('/').count();
        let projects = (0..=MAX_UP).filter(|up| up + 2 <= levels).map(|up| Place::Project { up, at });
        let user = (levels == 1).then_some(Place::Projects { after: 0, groups: None });
        let ways = std::iter::once(Place::Group(at)).chain(projects).chain(user);
        let mut absence = ProtocolError::CursorInvalid;
        for way in ways {
            match self.list(&way, size).await {
                Err(error) if error.class() == Class::Absent => absence = error,
                other => return other,
            }
        }
        Err(absence)
    }

    /// The page at this place; `size` is for the ways that do not keep it in their place.
    pub(crate) async fn list(&self, place: &Place, size: u32) -> Protocol<Page<RepositoryName>> {
        match place {
            Place::Group(at) => {
                let group = self.prefix_above(0)?;
                let url = rest::repositories(&self.rest().await?, "groups", group);
                self.list_numbered(url, *at, &Place::Group).await
            }
            Place::Project { up, at } => {
                let project = self.prefix_above(*up)?;
                let url = rest::repositories(&self.rest().await?, "projects", project);
                self.list_numbered(url, *at, &|at| Place::Project { up: *up, at }).await
            }
            Place::Groups { index, at, all } => self.list_group(*index, *at, all).await,
            Place::Projects { after, groups } => self.list_projects(*after, groups.as_ref()).await,
            Place::Below(after) => {
                let path = self.prefix.as_ref().ok_or(ProtocolError::CursorInvalid)?;
                let (names, next) = self.repositories_below(path, &query(after.as_ref(), size)).await?;
                let next = next.map(|query| Place::Below(Some(query)).cursor());
                Ok(Page { items: names.iter().filter_map(|name| self.wanted(name)).collect(), next })
            }
            Place::Catalog(after) => {
                let listed = self.registry.catalog(&query(after.as_ref(), size), &Scope::catalog()).await?;
                let next = listed.next.map(|query| Place::Catalog(Some(query)).cursor());
                let items = listed.items.into_iter().filter(|name| is_within(name, self.prefix.as_ref()));
                Ok(Page { items: items.collect(), next })
            }
        }
    }

    /// The first page of the groups and projects that the account is a member of.
    async fn list_memberships(&self, at: Numbered) -> Protocol<Page<RepositoryName>> {
        let (rest, mut names) = (self.rest().await?, Vec::new());
        let mut groups = Numbered::first(MAX_PAGE, MAX_PAGE);
        loop {
            let subject = Subject::Other("the groups of the account".to_owned());
            let listed =
                rest.numbered::<Group>(rest::groups(&rest), groups.page, groups.size, &subject).await?;
            names.extend(listed.elements.into_iter().map(|group| group.path.to_ascii_lowercase()));
            if names.iter().map(|name| name.len() + 1).sum::<usize>() > MAX_GROUPS_BYTES {
                let (listing, limit) = ("the list of the account's groups".to_owned(), MAX_GROUPS_BYTES);
                return Err(ProtocolError::PagingLimit { listing, limit, unit: "bytes" });
            }
            if !listed.more {
                break;
            }
            groups = groups.following();
        }
        match Namespaces::new(names) {
            Some(all) => self.list_group(0, at, &all).await,
            None => self.list_projects(0, None).await,
        }
    }

    /// A page of one of the account's groups. One that is closed to it does not close the others.
    async fn list_group(
        &self,
        index: usize,
        at: Numbered,
        all: &Namespaces,
    ) -> Protocol<Page<RepositoryName>> {
        let group = nth(all, index).ok_or(ProtocolError::CursorInvalid)?;
        let url = rest::repositories(&self.rest().await?, "groups", group.current().as_str());
        let place = |at| Place::Groups { index, at, all: all.clone() };
        let mut page = match self.list_numbered(url, at, &place).await {
            Ok(page) => page,
            Err(error) if is_left_out(&error) => {
                self.leave_out(&format!("group {}", group.current()), &error);
                Page::only(Vec::new())
            }
            Err(error) => return Err(error),
        };
        if page.next.is_none() {
            let first = Numbered::first(at.size, MAX_PAGE);
            let following = match group.following() {
                Some(_) => Place::Groups { index: index + 1, at: first, all: all.clone() },
                None => Place::Projects { after: 0, groups: Some(all.clone()) },
            };
            page.next = Some(following.cursor());
        }
        Ok(page)
    }

    /// The repositories of some projects: those of the user that the connection names, or those of the account that are in none
    /// of the groups.
    async fn list_projects(&self, after: u64, groups: Option<&Namespaces>) -> Protocol<Page<RepositoryName>> {
        let rest = self.rest().await?;
        let user = self.prefix.as_ref().map(RepositoryName::as_str);
        let subject = Subject::Other("the projects of the account".to_owned());
        let listed =
            rest.numbered::<Project>(rest::projects(&rest, user, after), 1, MAX_PAGE, &subject).await?;
        let (mut items, mut last, mut asked) = (Vec::new(), after, 0);
        for project in &listed.elements {
            let path = project.path_with_namespace.to_ascii_lowercase();
            if is_in_one(&path, groups) {
                last = project.id;
                continue;
            }
            if asked == MAX_PROJECTS {
                let next = Some(Place::Projects { after: last, groups: groups.cloned() }.cursor());
                return Ok(Page { items, next });
            }
            asked += 1;
            match self.list_project(&rest, project.id).await {
                Ok(names) => items.extend(names),
                Err(error) if is_left_out(&error) => self.leave_out(&format!("project {path}"), &error),
                Err(error) => return Err(error),
            }
            last = project.id;
        }
        let next = listed.more.then(|| Place::Projects { after: last, groups: groups.cloned() }.cursor());
        Ok(Page { items, next })
    }

    /// All repositories of a project: a project has few.
    async fn list_project(&self, rest: &Session, id: u64) -> Protocol<Vec<RepositoryName>> {
        let (mut names, mut at) = (Vec::new(), Numbered::first(MAX_PAGE, MAX_PAGE));
        loop {
            let url = rest::repositories(rest, "projects", &id.to_string());
            let listed: NumberedPage<Listed> =
                rest.numbered(url, at.page, at.size, &Subject::Catalog).await?;
            names.extend(self.names(listed.elements));
            if !listed.more {
                return Ok(names);
            }
            at = at.following();
        }
    }

    async fn list_numbered(
        &self,
        url: Url,
        at: Numbered,
        place: &(dyn Fn(Numbered) -> Place + Sync),
    ) -> Protocol<Page<RepositoryName>> {
        let rest = self.rest().await?;
        let listed: NumberedPage<Listed> = rest.numbered(url, at.page, at.size, &Subject::Catalog).await?;
        let next = listed.more.then(|| place(at.following()).cursor());
        Ok(Page { items: self.names(listed.elements).collect(), next })
    }

    fn names(&self, listed: Vec<Listed>) -> impl Iterator<Item = RepositoryName> {
        listed.into_iter().filter(|repository| !repository.is_going()).filter_map(|r| self.wanted(&r.path))
    }

    /// The name, if the specification knows it and the connection wants it.
    fn wanted(&self, name: &str) -> Option<RepositoryName> {
        name.parse().ok().filter(|name| is_within(name, self.prefix.as_ref()))
    }

    /// What the connection names, so many levels up.
    fn prefix_above(&self, up: usize) -> Protocol<&str> {
        let prefix = self.prefix.as_ref().ok_or(ProtocolError::CursorInvalid)?.as_str();
        (0..up)
            .try_fold(prefix, |path, _| path.rsplit_once('/').map(|(path, _)| path))
            .ok_or(ProtocolError::CursorInvalid)
    }

    fn leave_out(&self, what: &str, error: &ProtocolError) {
        // Most projects have no registry, and that is answered with 404.
        let level = if error.class() == Class::Absent { LogLevel::Debug } else { LogLevel::Warn };
        let why = "its repositories are left out: it has no registry, or the token's account needs the role Reporter there";
        self.host.log(level, format!("{what}: {error}; {why}"));
    }

    /// Why nothing is listed.
    pub(crate) fn unlisted(&self, error: ProtocolError) -> Error {
        let of = self.prefix.as_ref().map(|prefix| format!(" of {prefix}")).unwrap_or_default();
        match error.class() {
            Class::Denied | Class::Authentication => Error::permission_missing(format!(
                "the token may not list the repositories{of}: use an access token with the scopes read_api and \
                 read_registry, of an account with the role Reporter; deploy tokens can't list"
            )),
            Class::Absent => Error::not_found(format!(
                "can't find the repositories{of}: check the group or project in registryBase, and give the token's \
                 account the role Reporter there"
            )),
            _ => self.explained(error, "list repositories"),
        }
    }
}

fn query(after: Option<&String>, size: u32) -> PageQuery {
    PageQuery { n: Some(size.clamp(1, registry::MAX_PAGE)), after: after.cloned() }
}

fn nth(all: &Namespaces, index: usize) -> Option<Namespaces> {
    (0..index).try_fold(all.clone(), |left, _| left.following())
}

fn is_in_one(path: &str, groups: Option<&Namespaces>) -> bool {
    let mut left = groups.cloned();
    while let Some(group) = left {
        if is_below(path, group.current().as_str()) {
            return true;
        }
        left = group.following();
    }
    false
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether it is about one group or project among others.
fn is_left_out(error: &ProtocolError) -> bool {
    matches!(error.class(), Class::Denied | Class::Absent)
}
