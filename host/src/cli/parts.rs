//! The parts of the program that commands use, put together from the settings.

use std::sync::Arc;

use regent_oci::ImageRef;

use super::image::{self, Source};
use super::{Failure, ImageArgs, RegistryArgs, connection, output};
use crate::connection::Connection;
use crate::disk_cache::{DiskCache, DiskCacheConfig};
use crate::drivers::Drivers;
use crate::http::InsecureRegistries;
use crate::registry::Registry;
use crate::settings::Settings;

/// Settings with the drivers that they lead to.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) drivers: Drivers,
    /// What earlier commands have kept. A command leaves nothing on a disk unless the settings say so.
    pub(super) cache: Option<DiskCache>,
}

/// The settings of this process's environment; warnings go to standard error.
pub(super) fn settings() -> Result<Settings, Failure> {
    let (settings, warnings) = Settings::from_environment().map_err(|e| Failure::usage(e.to_string()))?;
    for warning in warnings {
        output::say(format_args!("regent: {warning}"));
    }
    Ok(settings)
}

impl Parts {
    /// With `plain_http`, every registry may be called over plain HTTP: there is only the one that the command names.
    pub(super) fn new(settings: Settings, plain_http: bool) -> Result<Self, Failure> {
        let http = crate::serve::http_client(&settings)?;
        let cache = DiskCacheConfig::of(&settings, 0).map(DiskCache::open);
        let mut config = crate::serve::drivers_config(&settings, cache.as_ref())?;
        if plain_http {
            config.insecure = InsecureRegistries::all();
        }
        Ok(Self { drivers: Drivers::new(config, http), settings, cache })
    }

    /// An open session with the registry that the flags name.
    pub(super) async fn open(&self, arguments: &RegistryArgs) -> Result<Arc<Registry>, Failure> {
        self.open_connection(&connection::connection(arguments, &self.settings)?).await
    }

    /// An image, and an open session with where it is: the registry that the flags name, or the disk.
    pub(super) async fn open_image(
        &self,
        arguments: &ImageArgs,
    ) -> Result<(Arc<Registry>, ImageRef), Failure> {
        Ok(match image::parse(&arguments.image)? {
            Source::Registry(image) => (self.open(&arguments.registry).await?, image),
            Source::Local { connection, image, .. } => (self.open_connection(&connection).await?, image),
        })
    }

    /// An open session for a connection.
    pub(super) async fn open_connection(&self, connection: &Connection) -> Result<Arc<Registry>, Failure> {
        Ok(self.drivers.open(connection).await?)
    }
}
