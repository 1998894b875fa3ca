//! What a vendor's emulator tells the shared suite.

use std::sync::Arc;

use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::{DynDriver, NativeDriver, Settings};

use super::emulator::Desk;
use super::internet::Internet;
use super::operation::Operation;
use super::store::Store;

/// Whose credentials a connection has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// All rights that the driver asks for.
    Full,
    /// No one's.
    Unknown,
    /// Good until some time ago.
    Expired,
    /// May pull, and may not use the vendor's own listing.
    MayNotList,
    /// May list, and may not pull.
    MayNotPull,
}

/// The fields of a connection's JSON, nested ones joined by a dot; `env:NAME` is no field but a variable of the process
/// that the driver runs in.
pub type Fields = Vec<(&'static str, String)>;

/// How a driver lists for an account without the right to the native listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// All the same, by `/v2/_catalog` or another way.
    Lists,
    /// Not at all, with an error of class denied whose message has this text: the right to grant.
    Names(&'static str),
}

/// A vendor with one registry, on an internet.
pub trait Scene: Send + Sync + Sized {
    /// The connection types that its driver serves, as they may be spelled.
    const TYPES: &'static [&'static str];
    /// The folder of its driver.
    const DRIVER: &'static str;
    /// Whether there is a listing of its own, so that `/v2/_catalog` is never asked with full rights.
    const LISTS_NATIVELY: bool;
    /// Whether its driver's tag details have push times, and sizes. Without both the host asks for each tag's digest.
    const DETAILS: Details;
    /// What happens to [`Account::MayNotList`]; ignored if there is none.
    const FALLBACK: Fallback;

    /// Opens it on this internet, with all accounts and an empty registry.
    fn open(internet: &Internet) -> Self;

    /// Its driver, linked in.
    fn driver() -> &'static NativeDriver;

    /// The log.
    fn desk(&self) -> &Desk;

    /// What it takes.
    fn table(&self) -> Vec<Operation>;

    /// Hosts that a connection to it names, besides those that the driver declares.
    fn named_hosts(&self) -> Vec<String>;

    /// A connection; `None` where the vendor knows no such account.
    fn connection(&self, account: Account) -> Option<Fields>;

    /// A connection with good credentials and a base that leads to no registry (an unknown project, a wrong path).
    fn wrong_base(&self) -> Fields;

    /// The name of a repository, by a number, which the connections see. Names differ in their depth.
    fn repository(number: usize) -> String;

    /// Looks at or changes what the registry holds.
    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R;

    /// Lets all tokens expire that were issued until now.
    fn expire_tokens(&self);
}

/// What a driver's tag details have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Details {
    /// The push time: [`Pushed`].
    pub pushed: Pushed,
    /// The registry's figure for the size.
    pub size: bool,
}

/// Which time the vendor gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// None.
    Never,
    /// Of the tag.
    OfTag,
    /// Of the manifest: moving a tag to an older one does not change it.
    OfManifest,
    /// The driver has no details: the host asks for each tag's digest.
    NoDetails,
}

/// A driver connected with these fields, as one of its types.
pub fn connect<S: Scene>(
    scene: &S,
    internet: &Internet,
    registry_type: &str,
    fields: Fields,
) -> regent_plugin_api::Result<Arc<dyn DynDriver>> {
    let (mut values, mut variables) = (Vec::new(), Vec::new());
    for (name, value) in fields {
        match name.strip_prefix("env:") {
            Some(variable) => variables.push((variable.to_owned(), value)),
            None => values.push((name.to_owned(), SecretString::from(value))),
        }
    }
    let services = internet.services(&S::driver().description(), &scene.named_hosts(), &variables);
    S::driver().connect(Settings::new(registry_type, values, false), services)
}
