//! The vendor in the shared suite.

use std::collections::BTreeSet;

use regent_plugin_api::NativeDriver;

use super::{Ecr, Principal, REGIONS, Region, Role};
use crate::vendor::emulator::{Desk, Emulator};
use crate::vendor::internet::Internet;
use crate::vendor::operation::Operation;
use crate::vendor::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use crate::vendor::store::Store;

/// The access key of the agent's identity.
pub const KEY: &str = "AKIA000000000000";
/// Its secret.
pub const SECRET: &str = "the agent's secret";
/// What the roles' trust policies ask for.
pub const EXTERNAL_ID: &str = "an:external/id";
/// The account that the agent runs in.
const HOME: &str = "999999999999";
/// What the agent's documentation asks for.
const ACTIONS: [&str; 7] = [
    "ecr:GetAuthorizationToken",
    "ecr:DescribeRepositories",
    "ecr:DescribeImages",
    "ecr:ListImages",
    "ecr:BatchGetImage",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
];

/// ECR with an account and a role in each region: `full`, `no-list`, `no-describe`, `no-pull`, `no-token`.
#[derive(Debug)]
pub struct EcrScene(pub Emulator<Ecr>);

/// The ARN of a role in the account of a region.
pub fn role(region: &Region, name: &str) -> String {
    format!("arn:{}:iam::{}:role/{name}", region.partition, region.account)
}

impl EcrScene {
    /// A connection to the registry of a region.
    pub fn fields(region: &Region, name: &str) -> Fields {
        vec![
            ("env:AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("env:AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("roleArn", role(region, name)),
            ("extra.region", region.name.to_owned()),
            ("extra.externalId", EXTERNAL_ID.to_owned()),
        ]
    }

    /// A principal of an account with all rights but some.
    pub fn principal(arn: String, account: &str, without: &[&str]) -> Principal {
        let actions = ACTIONS.into_iter().filter(|action| !without.contains(action)).collect();
        Principal { account: account.to_owned(), arn, actions }
    }
}

impl Scene for EcrScene {
    const TYPES: &'static [&'static str] = &["ecr", "ElasticCR"];
    const DRIVER: &'static str = "ecr";
    const LISTS_NATIVELY: bool = true;
    const DETAILS: Details = Details { pushed: Pushed::OfManifest, size: true };
    const FALLBACK: Fallback = Fallback::Names("ecr:DescribeRepositories");

    fn open(internet: &Internet) -> Self {
        let mut vendor = Ecr::default();
        let agent = Principal {
            account: HOME.to_owned(),
            arn: format!("arn:aws:iam::{HOME}:user/agent"),
            actions: BTreeSet::from(["sts:AssumeRole"]),
        };
        vendor.add_key(KEY, SECRET, agent);
        let roles: [(&str, &[&str]); 5] = [
            ("full", &[]),
            ("no-list", &["ecr:DescribeRepositories"]),
            ("no-describe", &["ecr:DescribeImages"]),
            ("no-pull", &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]),
            ("no-token", &["ecr:GetAuthorizationToken"]),
        ];
        for region in &REGIONS {
            for (name, without) in roles {
                let principal = Self::principal(role(region, name), region.account, without);
                let external_id = Some(EXTERNAL_ID.to_owned());
                vendor.add_role(Role { principal, external_id, web_identity: None });
            }
        }
        let emulator = Emulator::new(vendor);
        internet.add(emulator.clone());
        Self(emulator)
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_ecr::DRIVER
    }

    fn desk(&self) -> &Desk {
        self.0.desk()
    }

    fn table(&self) -> Vec<Operation> {
        self.0.table().to_vec()
    }

    fn named_hosts(&self) -> Vec<String> {
        Vec::new()
    }

    fn connection(&self, account: Account) -> Option<Fields> {
        let region = &REGIONS[0];
        let with = |name: &'static str, value: &str| {
            let mut fields = Self::fields(region, "full");
            fields.push((name, value.to_owned()));
            fields
        };
        Some(match account {
            Account::Full => Self::fields(region, "full"),
            // The agent's identity is no one, or was someone until some time ago.
            Account::Unknown => with("env:AWS_ACCESS_KEY_ID", "AKIA999999999999"),
            Account::Expired => with("env:AWS_ACCESS_KEY_ID", &self.expired()),
            Account::MayNotList => Self::fields(region, "no-list"),
            Account::MayNotPull => Self::fields(region, "no-pull"),
        })
    }

    fn wrong_base(&self) -> Fields {
        let mut fields = Self::fields(&REGIONS[0], "full");
        fields.push(("registryBase", REGIONS[1].registry.to_owned()));
        fields
    }

    fn repository(number: usize) -> String {
        if number.is_multiple_of(3) { format!("app-{number}") } else { format!("team/group/app-{number}") }
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.0.with(|vendor| change(vendor.registry(REGIONS[0].name)))
    }

    fn expire_tokens(&self) {
        self.0.with(Ecr::expire);
    }
}

impl EcrScene {
    /// A key like the agent's that has run out.
    fn expired(&self) -> String {
        let id = "AKIA111111111111";
        self.0.with(|vendor| {
            let principal = Self::principal(String::new(), HOME, &[]);
            vendor.add_key(id, SECRET, principal);
            vendor.keys.get_mut(id).unwrap().until = Some(std::time::SystemTime::UNIX_EPOCH);
        });
        id.to_owned()
    }
}
