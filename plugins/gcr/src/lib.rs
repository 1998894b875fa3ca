//! Google Container Registry: `gcr.io`, `us.gcr.io`, `eu.gcr.io`, `asia.gcr.io`.
//!
//! The registry was shut down in 2025. Its names live on: each host is one repository of Artifact Registry in each
//! project, so that what is listed, and how, is shared with the driver for that (`regent-google`).

#![forbid(unsafe_code)]

use std::sync::Arc;

use regent_distribution::Freshness;
use regent_google::{Error as GoogleError, Family, Finding, GoogleRegistry, Login};
use regent_plugin_api::oci::{RepositoryName, Tag};
use regent_plugin_api::{
    Access, Authorization, Check, Driver, Error, Host, LogLevel, Page, PageRequest, Result, Settings,
    TagDetail, Validation,
};

struct ContainerRegistry(GoogleRegistry);

regent_plugin_api::export_driver! {
    ContainerRegistry,
    name: "gcr",
    summary: "Google Container Registry: gcr.io names, which Artifact Registry serves today",
    types: ["gcr", "GoogleCR"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "[us.|eu.|asia.]gcr.io[/project[/image]]; the project of the key if there is none" },
        { name: "username", required: true, secret: false, help: "_json_key for a service account's key, oauth2accesstoken for an access token" },
        { name: "password", required: true, secret: true, help: "the key: its JSON, or base64 of that; or the access token" },
    ],
    egress: ["gcr.io", "artifactregistry.googleapis.com", "oauth2.googleapis.com"],
}

impl Driver for ContainerRegistry {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let login = Login {
            base: settings.required_text("registryBase")?,
            username: settings.username(),
            password: settings.required_secret("password")?,
            plain_http: settings.plain_http(),
        };
        let transport = Arc::new(host.clone());
        let log = move |line| host.log(LogLevel::Warn, line);
        match GoogleRegistry::connect(Family::ContainerRegistry, &login, transport, log) {
            Ok(registry) => Ok(Self(registry)),
            Err(GoogleError::Setting { name, reason }) => Err(Error::invalid_setting(name, reason)),
            Err(error) => Err(error.into()),
        }
    }

    async fn validate(&self) -> Result<Validation> {
        let found = self.0.diagnose().await?;
        let registry = found.registry;
        let checks = vec![
            Check::passed(Check::REACHED, format!("{registry} answers at /v2/")),
            Check::passed(Check::AUTHENTICATED, format!("{registry} accepts the connection's credentials")),
            check(Check::LIST, found.list),
            check(Check::PULL, found.pull),
        ];
        Ok(Validation { registry, checks })
    }

    async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
        let listed = self.0.repositories(page.size, page.after().as_deref()).await?;
        Ok(Page::new(listed.items, listed.next))
    }

    async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
        let listed = self.0.tags(repository, page.size, page.after().as_deref()).await?;
        Ok(Page::new(listed.items, listed.next))
    }

    async fn tag_details(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<TagDetail>> {
        let listed = self.0.tagged(repository, page.after().as_deref()).await?;
        let listed = listed.ok_or_else(|| Error::unsupported("tag details of this registry"))?;
        let details = listed.items.into_iter().map(|image| TagDetail {
            tag: image.tag,
            digest: image.digest,
            pushed: image.pushed,
            size_bytes: image.size_bytes,
        });
        Ok(Page::new(details.collect(), listed.next))
    }

    async fn authorize(&self, access: Access) -> Result<Authorization> {
        let freshness = Freshness::renewed_if(access.renew);
        let authorized = self.0.authorization(&access.repository, freshness).await?;
        let endpoint = self.0.endpoint().url().clone();
        Ok(Authorization::new(endpoint, access.repository, &authorized.headers, authorized.expires))
    }
}

fn check(name: &str, finding: Finding) -> Check {
    match finding {
        Finding::Passed(detail) => Check::passed(name, detail),
        Finding::Denied(detail) => Check::denied(name, detail),
        Finding::Skipped(detail) => Check::skipped(name, detail),
    }
}
