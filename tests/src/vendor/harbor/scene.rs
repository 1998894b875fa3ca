//! Harbor in the shared suite, with robot accounts.

use regent_plugin_api::NativeDriver;

use super::{Account as Owner, HOST, Harbor, Right};
use crate::vendor::emulator::{Desk, Emulator};
use crate::vendor::internet::Internet;
use crate::vendor::operation::Operation;
use crate::vendor::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use crate::vendor::store::Store;

/// With two projects.
#[derive(Debug)]
pub struct HarborScene(Emulator<Harbor>);

impl Scene for HarborScene {
    const TYPES: &'static [&'static str] = &["harbor-cr", "HarborCR"];
    const DRIVER: &'static str = "harbor";
    const LISTS_NATIVELY: bool = true;
    const DETAILS: Details = Details { pushed: Pushed::OfTag, size: true };
    const FALLBACK: Fallback = Fallback::Names("List Repository");

    fn open(internet: &Internet) -> Self {
        let accounts = [
            ("robot$scan", &Right::ALL as &[Right]),
            ("robot$pull", &[Right::PullRepository]),
            ("robot$list", &[Right::ListRepository, Right::ListArtifact]),
        ];
        let accounts = accounts.map(|(name, rights)| (name.to_owned(), Owner::robot(None, rights)));
        let harbor = Harbor { accounts: accounts.into(), robots_see_public_only: true, ..Harbor::default() };
        let emulator = Emulator::new(harbor);
        internet.add(emulator.clone());
        Self(emulator)
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_harbor::DRIVER
    }

    fn desk(&self) -> &Desk {
        self.0.desk()
    }

    fn table(&self) -> Vec<Operation> {
        self.0.table().to_vec()
    }

    fn named_hosts(&self) -> Vec<String> {
        vec![HOST.to_owned()]
    }

    fn connection(&self, account: Account) -> Option<Fields> {
        let (username, password) = match account {
            Account::Full => ("robot$scan", "s3cr3t"),
            Account::Unknown => ("robot$scan", "wrong"),
            // To Harbor it is as good as one that never was.
            Account::Expired => ("robot$expired", "s3cr3t"),
            Account::MayNotList => ("robot$pull", "s3cr3t"),
            Account::MayNotPull => ("robot$list", "s3cr3t"),
        };
        Some(vec![
            ("registryBase", format!("https://{HOST}")),
            ("username", username.to_owned()),
            ("password", password.to_owned()),
        ])
    }

    fn wrong_base(&self) -> Fields {
        let mut fields = self.connection(Account::Full).unwrap();
        fields[0].1 = format!("{HOST}/no-such-project");
        fields
    }

    fn repository(number: usize) -> String {
        match number % 3 {
            0 => format!("team/app-{number}"),
            1 => format!("team/group/app-{number}"),
            _ => format!("other/deep/er/app-{number}"),
        }
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.0.with(|harbor| change(&mut harbor.store))
    }

    fn expire_tokens(&self) {
        self.0.with(Harbor::expire_tokens);
    }
}
