//! Nexus in the shared suite, twice: at a path with its REST API, and at a connector that wants tokens.

use regent_plugin_api::NativeDriver;

use super::{HOSTED, Nexus, Setup};
use crate::vendor::emulator::{Desk, Emulator};
use crate::vendor::internet::Internet;
use crate::vendor::operation::Operation;
use crate::vendor::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use crate::vendor::store::Store;

/// At `/repository/<name>`: Basic, and the REST API is where it must be.
#[derive(Debug)]
pub struct NexusScene(Emulator<Nexus>);

/// At a connector: tokens, and nobody knows where the REST API is.
#[derive(Debug)]
pub struct NexusConnectorScene(Emulator<Nexus>);

/// What the suite runs at a path.
pub const AT_PATH: Setup = Setup {
    main: "nexus.example.com",
    connector: ("nexus.example.com:8082", HOSTED),
    wants_tokens: false,
    is_open: false,
    is_old: false,
};

/// What the suite runs at a connector.
pub const AT_CONNECTOR: Setup = Setup {
    main: "nexus.example.net",
    connector: ("nexus.example.net:8082", HOSTED),
    wants_tokens: true,
    is_open: false,
    is_old: false,
};

/// User name and password of an account.
pub fn login(account: Account) -> Option<Fields> {
    let name = match account {
        Account::Full => "full",
        Account::Unknown => "nobody",
        Account::Expired => return None,
        Account::MayNotList => "reader",
        Account::MayNotPull => "browser",
    };
    Some(vec![("username", name.to_owned()), ("password", "s3cr3t".to_owned())])
}

fn open(internet: &Internet, setup: Setup) -> Emulator<Nexus> {
    let emulator = Emulator::new(Nexus::new(setup));
    internet.add(emulator.clone());
    emulator
}

fn at(base: &str, account: Account) -> Option<Fields> {
    let mut fields = login(account)?;
    fields.push(("registryBase", base.to_owned()));
    Some(fields)
}

fn repository(number: usize) -> String {
    match number % 3 {
        0 => format!("app-{number}"),
        1 => format!("team/app-{number}"),
        _ => format!("team/group/app-{number}"),
    }
}

impl Scene for NexusScene {
    const TYPES: &'static [&'static str] = &["nexus-cr", "NexusCR"];
    const DRIVER: &'static str = "nexus";
    // The catalog is what Nexus lists images with.
    const LISTS_NATIVELY: bool = false;
    const DETAILS: Details = Details { pushed: Pushed::OfTag, size: false };
    const FALLBACK: Fallback = Fallback::Names("nx-repository-view-docker-docker-hosted-browse");

    fn open(internet: &Internet) -> Self {
        Self(open(internet, AT_PATH))
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_nexus::DRIVER
    }

    fn desk(&self) -> &Desk {
        self.0.desk()
    }

    fn table(&self) -> Vec<Operation> {
        self.0.table().to_vec()
    }

    fn named_hosts(&self) -> Vec<String> {
        vec![AT_PATH.main.to_owned()]
    }

    fn connection(&self, account: Account) -> Option<Fields> {
        at(&format!("https://{}/repository/{HOSTED}", AT_PATH.main), account)
    }

    fn wrong_base(&self) -> Fields {
        at(&format!("{}/repository/no-such", AT_PATH.main), Account::Full).unwrap()
    }

    fn repository(number: usize) -> String {
        repository(number)
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.0.with(|vendor| change(&mut vendor.hosted))
    }

    fn expire_tokens(&self) {
        self.0.with(Nexus::expire);
    }
}

impl Scene for NexusConnectorScene {
    const TYPES: &'static [&'static str] = NexusScene::TYPES;
    const DRIVER: &'static str = "nexus";
    const LISTS_NATIVELY: bool = false;
    const DETAILS: Details = Details { pushed: Pushed::NoDetails, size: false };
    const FALLBACK: Fallback = Fallback::Names("nx-repository-view-docker-<repository>-browse");

    fn open(internet: &Internet) -> Self {
        Self(open(internet, AT_CONNECTOR))
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_nexus::DRIVER
    }

    fn desk(&self) -> &Desk {
        self.0.desk()
    }

    fn table(&self) -> Vec<Operation> {
        self.0.table().to_vec()
    }

    fn named_hosts(&self) -> Vec<String> {
        vec![AT_CONNECTOR.connector.0.to_owned(), AT_CONNECTOR.main.to_owned()]
    }

    fn connection(&self, account: Account) -> Option<Fields> {
        at(AT_CONNECTOR.connector.0, account)
    }

    /// The main address, where no registry is.
    fn wrong_base(&self) -> Fields {
        at(AT_CONNECTOR.main, Account::Full).unwrap()
    }

    fn repository(number: usize) -> String {
        repository(number)
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.0.with(|vendor| change(&mut vendor.hosted))
    }

    fn expire_tokens(&self) {
        self.0.with(Nexus::expire);
    }
}
