//! The driver of either registry: what `regent-plugin-api` asks, answered by [`GoogleRegistry`].

use std::marker::PhantomData;
use std::sync::Arc;

use regent_distribution::Freshness;
use regent_oci::{RepositoryName, Tag};
use regent_plugin_api::{
    Access, Authorization, Driver, Error, Host, LogLevel, Page, PageRequest, Result, Settings, TagDetail,
    Validation,
};

use crate::error::Error as GoogleError;
use crate::registry::{Family, GoogleRegistry, Login};

/// Says which of the two registries a [`GoogleDriver`] is for.
pub trait Product: Send + Sync + 'static {
    /// That one.
    const FAMILY: Family;
}

/// Google Container Registry.
#[derive(Debug)]
pub struct Gcr;

/// Google Artifact Registry.
#[derive(Debug)]
pub struct Gar;

impl Product for Gcr {
    const FAMILY: Family = Family::ContainerRegistry;
}

impl Product for Gar {
    const FAMILY: Family = Family::ArtifactRegistry;
}

/// The driver of a product.
#[derive(Debug)]
pub struct GoogleDriver<P> {
    registry: GoogleRegistry,
    product: PhantomData<P>,
}

impl<P: Product> Driver for GoogleDriver<P> {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let login = Login {
            base: settings.required_text("registryBase")?,
            username: settings.username(),
            password: settings.required_secret("password")?,
            plain_http: settings.plain_http(),
        };
        let transport = Arc::new(host.clone());
        let log = move |line| host.log(LogLevel::Warn, line);
        match GoogleRegistry::connect(P::FAMILY, &login, transport, log) {
            Ok(registry) => Ok(Self { registry, product: PhantomData }),
            Err(GoogleError::Setting { name, reason }) => Err(Error::invalid_setting(name, reason)),
            Err(error) => Err(error.into()),
        }
    }

    async fn validate(&self) -> Result<Validation> {
        Ok(self.registry.validate().await?)
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let listed = self.registry.repositories(page.size, page.after().as_deref()).await?;
        Ok(Page::new(listed.items, listed.next))
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let listed = self.registry.tags(repository, page.size, page.after().as_deref()).await?;
        Ok(Page::new(listed.items, listed.next))
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        let listed = self.registry.tag_details(repository, page.after().as_deref()).await?;
        let listed = listed.ok_or_else(|| Error::unsupported("tag details of this registry"))?;
        Ok(Page::new(listed.items, listed.next))
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let freshness = Freshness::renewed_if(access.renew);
        let authorized = self.registry.authorization(&access.repository, freshness).await?;
        let endpoint = self.registry.endpoint().url().clone();
        Ok(Authorization::new(endpoint, access.repository, &authorized.headers, authorized.expires))
    }
}
