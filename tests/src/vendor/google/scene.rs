//! Google's two registries in the shared suite.

use regent_plugin_api::NativeDriver;

use super::accounts::ServiceAccount;
use super::{GCR, Google, PKG, PROJECT};
use crate::vendor::emulator::{Desk, Emulator};
use crate::vendor::internet::Internet;
use crate::vendor::operation::Operation;
use crate::vendor::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use crate::vendor::store::Store;

/// Artifact Registry, with a connection to a whole project.
#[derive(Debug)]
pub struct GoogleArtifactScene(Emulator<Google>);

/// Container Registry, by a regional name.
#[derive(Debug)]
pub struct ContainerRegistryScene(Emulator<Google>);

fn fields(base: String, account: Account) -> Fields {
    let account = match account {
        Account::Full => ServiceAccount::Reader,
        Account::Unknown => ServiceAccount::Gone,
        Account::Expired => ServiceAccount::KeyDeleted,
        Account::MayNotList => ServiceAccount::Puller,
        Account::MayNotPull => ServiceAccount::Lister,
    };
    vec![("registryBase", base), ("username", "_json_key".to_owned()), ("password", account.key())]
}

macro_rules! scene {
    ($scene:ty, $types:expr, $driver:literal, $library:ident, $host:expr, $base:expr, $name:expr) => {
        impl Scene for $scene {
            const TYPES: &'static [&'static str] = &$types;
            const DRIVER: &'static str = $driver;
            const LISTS_NATIVELY: bool = true;
            const DETAILS: Details = Details { pushed: Pushed::OfManifest, size: true };
            const FALLBACK: Fallback = Fallback::Lists;

            fn open(internet: &Internet) -> Self {
                Self(Google::on(internet))
            }

            fn driver() -> &'static NativeDriver {
                &$library::DRIVER
            }

            fn desk(&self) -> &Desk {
                self.0.desk()
            }

            fn table(&self) -> Vec<Operation> {
                self.0.table().to_vec()
            }

            fn named_hosts(&self) -> Vec<String> {
                vec![$host.to_owned()]
            }

            fn connection(&self, account: Account) -> Option<Fields> {
                Some(fields($base, account))
            }

            fn wrong_base(&self) -> Fields {
                fields(format!("{}/no-such-project", $host), Account::Full)
            }

            fn repository(number: usize) -> String {
                $name(number)
            }

            fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
                self.0.with(|vendor| change(vendor.store($host)))
            }

            fn expire_tokens(&self) {
                self.0.with(Google::expire_tokens);
            }
        }
    };
}

scene!(
    GoogleArtifactScene,
    ["google-artifact-cr", "GoogleArtifactCR"],
    "google-artifact",
    regent_driver_google_artifact,
    PKG,
    format!("https://{PKG}"),
    |number: usize| match number % 3 {
        0 => format!("{PROJECT}/apps/app-{number}"),
        1 => format!("{PROJECT}/apps/group/app-{number}"),
        _ => format!("{PROJECT}/tools/a/b/app-{number}"),
    }
);

scene!(
    ContainerRegistryScene,
    ["gcr", "GoogleCR"],
    "gcr",
    regent_driver_gcr,
    GCR,
    format!("{GCR}/{PROJECT}"),
    |number: usize| match number % 3 {
        0 => format!("{PROJECT}/app-{number}"),
        _ => format!("{PROJECT}/group/app-{number}"),
    }
);
