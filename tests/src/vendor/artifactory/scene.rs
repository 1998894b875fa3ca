//! The vendor in the shared suite.

use regent_plugin_api::NativeDriver;

use super::super::emulator::{Desk, Emulator};
use super::super::internet::Internet;
use super::super::operation::Operation;
use super::super::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use super::super::store::Store;
use super::{Access, Artifactory, KEY};

/// The vendor in the shared suite, by one of its access methods.
#[derive(Debug)]
pub struct ArtifactoryScene<A: Access>(Emulator<Artifactory<A>>);

impl<A: Access> ArtifactoryScene<A> {
    /// Looks at or changes the vendor's state.
    pub fn with<R>(&self, look: impl FnOnce(&mut Artifactory<A>) -> R) -> R {
        self.0.with(look)
    }
}

impl<A: Access> Scene for ArtifactoryScene<A> {
    const TYPES: &'static [&'static str] = &["artifactory-cr", "ArtifactoryCR"];
    const DRIVER: &'static str = "artifactory";
    const LISTS_NATIVELY: bool = false;
    const DETAILS: Details = Details { pushed: Pushed::OfTag, size: false };
    const FALLBACK: Fallback = Fallback::Names("Read on the Docker repository");

    fn open(internet: &Internet) -> Self {
        let emulator = Emulator::new(Artifactory::<A>::default());
        internet.add(emulator.clone());
        Self(emulator)
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_artifactory::DRIVER
    }

    fn desk(&self) -> &Desk {
        self.0.desk()
    }

    fn table(&self) -> Vec<Operation> {
        self.0.table().to_vec()
    }

    fn named_hosts(&self) -> Vec<String> {
        vec![A::HOST.to_owned()]
    }

    fn connection(&self, account: Account) -> Option<Fields> {
        let (username, password) = match account {
            Account::Full => ("full", "secret"),
            // An identity token that has expired is as good as a wrong password.
            Account::Unknown | Account::Expired => ("full", "wrong"),
            Account::MayNotList => ("pull", "secret"),
            Account::MayNotPull => ("list", "secret"),
        };
        let mut fields = vec![
            ("registryBase", format!("{}{}", A::HOST, A::PATH)),
            ("username", username.to_owned()),
            ("password", password.to_owned()),
        ];
        if A::PATH.is_empty() && !A::NAMES_BEGIN_WITH_KEY {
            fields.push(("repositoryKey", KEY.to_owned()));
        }
        Some(fields)
    }

    fn wrong_base(&self) -> Fields {
        let mut fields = self.connection(Account::Full).unwrap();
        fields[0].1 = format!("{}/artifactory/api/docker/no-such-key", A::HOST);
        fields
    }

    fn repository(number: usize) -> String {
        let image =
            if number.is_multiple_of(3) { format!("app-{number}") } else { format!("team/app-{number}") };
        match (A::NAMES_BEGIN_WITH_KEY, number % 5) {
            (false, _) => image,
            (true, 0) => format!("docker-dev/{image}"),
            (true, _) => format!("{KEY}/{image}"),
        }
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.with(|artifactory| change(&mut artifactory.store))
    }

    fn expire_tokens(&self) {
        self.with(|artifactory| artifactory.tokens.expire());
    }
}
