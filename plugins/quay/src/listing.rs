//! Repositories and tags, by Quay's API and by `/v2/`.

use std::time::{Duration, UNIX_EPOCH};

use regent_distribution::{Error as ProtocolError, PageQuery, Scope, Subject, is_within};
use regent_oci::{RepositoryName, Tag};
use regent_plugin_api::transport::{Class, Fault as _};
use regent_plugin_api::url::Url;
use regent_plugin_api::{Error, LogLevel, Namespaces, Numbered, Page, Result, TagDetail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::account::Kind;
use crate::place::Place;
use crate::{Protocol, Quay, is_refusal};

/// "Max 100", says the API of `limit`.
pub(crate) const MAX_PAGE: u32 = 100;
/// What `/v2/` is asked for: it takes any number, and gives 100 unless configured to give more.
pub(crate) const MAX_V2_PAGE: u32 = 1000;

/// A page of repositories, and the list it is from.
pub(crate) struct Listed {
    pub(crate) repositories: Vec<RepositoryName>,
    pub(crate) next: Option<Place>,
    pub(crate) is_from_api: bool,
}

impl From<Listed> for Page<RepositoryName> {
    fn from(listed: Listed) -> Self {
        Self { items: listed.repositories, next: listed.next.map(|place| place.cursor()) }
    }
}

#[derive(Debug, Deserialize)]
struct Repositories {
    repositories: Vec<Repository>,
    #[serde(default)]
    next_page: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    namespace: String,
    name: String,
    #[serde(default)]
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct User {
    username: String,
    #[serde(default)]
    organizations: Vec<Organization>,
}

#[derive(Debug, Deserialize)]
struct Organization {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Tags {
    tags: Vec<ApiTag>,
    #[serde(default)]
    has_additional: bool,
}

#[derive(Debug, Deserialize)]
struct ApiTag {
    name: String,
    manifest_digest: String,
    #[serde(default)]
    size: Option<u64>,
    /// When the tag began to stand for this manifest, in seconds since 1970.
    #[serde(default)]
    start_ts: Option<u64>,
}

impl Quay {
    /// The first page, from the better of the two lists that the account may read.
    pub(crate) async fn list_from_start(&self, size: u32) -> Result<Listed> {
        self.ensure_known().await?;
        let refusal = match self.start_of_api().await {
            Ok(Some(place)) => match self.list(&place, size).await {
                Ok(listed) => return self.unless_nowhere(listed),
                Err(error) => error,
            },
            Ok(None) => return self.start_of_catalog(size).await,
            Err(error) => error,
        };
        if self.account.kind == Kind::Visitor || !is_refusal(&refusal) {
            return Err(self.explained(refusal));
        }
        self.host.log(LogLevel::Info, format!("{refusal}: /v2/_catalog is asked instead"));
        self.start_of_catalog(size).await
    }

    /// Where the API's list begins; `None` if it is not for this account, or for nobody without a namespace.
    async fn start_of_api(&self) -> Protocol<Option<Place>> {
        if !self.account.may_use_api() {
            return Ok(None);
        }
        let namespaces = match &self.prefix {
            Some(prefix) => Namespaces::new(prefix.as_str().split('/').next()),
            None if self.account.kind == Kind::Visitor => None,
            None => self.namespaces().await?,
        };
        Ok(namespaces.map(Place::first))
    }

    async fn start_of_catalog(&self, size: u32) -> Result<Listed> {
        let listed = self.list(&Place::Catalog(None), size).await.map_err(|error| {
            if is_refusal(&error) {
                let right = self.account.kind.right_to_read();
                return Error::permission_missing(format!("{error}: {right}"));
            }
            self.explained(error)
        })?;
        if self.account.kind == Kind::Visitor && listed.repositories.is_empty() && listed.next.is_none() {
            let message = "quay shows visitors no list of repositories: name a namespace in the connection's registryBase, \
                           or configure credentials";
            return Err(Error::new(Class::Unsupported, "catalog_unsupported", message));
        }
        self.unless_nowhere(listed)
    }

    /// Quay has an empty list for a namespace that is not there. Whoever names one means one that is.
    fn unless_nowhere(&self, listed: Listed) -> Result<Listed> {
        match &self.prefix {
            Some(prefix) if listed.repositories.is_empty() && listed.next.is_none() => {
                let (who, right) = (self.account.kind.name(), self.account.kind.right_to_read());
                Err(Error::not_found(format!(
                    "{who} sees no repository in {prefix}: check the namespace in the connection's registryBase, or {right}"
                )))
            }
            _ => Ok(listed),
        }
    }

    /// One page from here.
    pub(crate) async fn list(&self, place: &Place, size: u32) -> Protocol<Listed> {
        match place {
            Place::Api { namespaces, page } => self.list_namespace(namespaces, page.as_deref()).await,
            Place::Catalog(after) => {
                let query = PageQuery { n: Some(size.clamp(1, MAX_V2_PAGE)), after: after.clone() };
                let _turn = self.turn.lock().await;
                // With any scope but a repository's the token service refuses.
                let page = self.registry.catalog(&query, &Scope::none()).await?;
                let next = page.next.map(|query| Place::Catalog(Some(query)));
                Ok(Listed { repositories: self.wanted(page.items), next, is_from_api: false })
            }
        }
    }

    async fn list_namespace(&self, namespaces: &Namespaces, page: Option<&str>) -> Protocol<Listed> {
        let namespace = namespaces.current().as_str();
        let mut url = self.api.endpoint().below(["api", "v1", "repository"]);
        // Without `public`, repositories that are the account's for being everyone's would be missing.
        url.query_pairs_mut().append_pair("namespace", namespace).append_pair("public", "true");
        if let Some(page) = page {
            url.query_pairs_mut().append_pair("next_page", page);
        }
        let subject = Subject::Other(format!("the repositories of the namespace {namespace}"));
        let listed: Repositories = self.api_json(url, &subject).await?;
        let images =
            listed.repositories.into_iter().filter(|r| r.kind.as_deref().is_none_or(|k| k == "image"));
        let names = images.filter_map(|r| format!("{}/{}", r.namespace, r.name).parse().ok()).collect();
        let next = match listed.next_page.filter(|page| !page.is_empty()) {
            Some(page) => Some(Place::Api { namespaces: namespaces.clone(), page: Some(page) }),
            None => namespaces.following().map(Place::first),
        };
        Ok(Listed { repositories: self.wanted(names), next, is_from_api: true })
    }

    /// The user of the OAuth token and its organizations.
    async fn namespaces(&self) -> Protocol<Option<Namespaces>> {
        let url = self.api.endpoint().below(["api", "v1", "user", ""]);
        let user: User = self.api_json(url, &Subject::Other("the token's user".to_owned())).await?;
        let organizations = user.organizations.into_iter().map(|organization| organization.name);
        Ok(Namespaces::new([user.username].into_iter().chain(organizations)))
    }

    /// One page of a repository's tags, without those that are history.
    pub(crate) async fn tag_page(
        &self,
        repository: &RepositoryName,
        at: Numbered,
    ) -> Protocol<Page<TagDetail>> {
        let name = repository.as_str().split('/');
        let segments = ["api", "v1", "repository"].into_iter().chain(name).chain(["tag", ""]);
        let mut url = self.api.endpoint().below(segments);
        let pairs = [("limit", at.size.to_string()), ("page", at.page.to_string())];
        url.query_pairs_mut().append_pair("onlyActiveTags", "true").extend_pairs(pairs);
        let listed: Tags = self.api_json(url, &Subject::Tags(repository.clone())).await?;
        let next = listed.has_additional.then(|| at.following().to_string());
        Ok(Page::new(listed.tags.into_iter().filter_map(ApiTag::detail).collect(), next))
    }

    /// One page of a repository's tags by `/v2/`.
    pub(crate) async fn v2_tags(
        &self,
        repository: &RepositoryName,
        query: &PageQuery,
    ) -> Protocol<Page<Tag>> {
        let _turn = self.turn.lock().await;
        let page = self.registry.tags(repository, query).await?;
        Ok(Page::new(page.items, page.next))
    }

    async fn api_json<T: DeserializeOwned>(&self, url: Url, subject: &Subject) -> Protocol<T> {
        let _turn = self.turn.lock().await;
        match self.api.fetch_json(url, &Scope::none(), subject).await {
            Ok((value, _)) => Ok(value),
            // The token is known by now (`ensure_known`): what Quay refuses here is a scope that it lacks.
            Err(error) if error.class() == Class::Authentication => {
                Err(ProtocolError::PermissionMissing { subject: subject.clone(), registry_code: None })
            }
            Err(error) => Err(error),
        }
    }

    fn wanted(&self, names: Vec<RepositoryName>) -> Vec<RepositoryName> {
        names.into_iter().filter(|name| is_within(name, self.prefix.as_ref())).collect()
    }
}

impl ApiTag {
    /// `None` if the specification has no way to say it.
    fn detail(self) -> Option<TagDetail> {
        let pushed = self.start_ts.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        Some(TagDetail {
            tag: self.name.parse().ok()?,
            digest: self.manifest_digest.parse().ok()?,
            pushed,
            size_bytes: self.size,
        })
    }
}
