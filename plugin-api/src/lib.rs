//! Write a registry driver for Regent.
//!
//! A driver is one struct that implements [`Driver`], exported by [`export_driver!`] from a crate of type `cdylib`.
//! It says what is special about one kind of registry: how to authenticate, where repositories and tags are listed,
//! what a 403 means. It never sees a layer byte, links no HTTP or TLS stack and runs no threads: what it does to the
//! world goes through its [`Host`].

mod description;
mod driver;
mod error;
mod host;
mod settings;

mod abi;
mod dyn_driver;
mod export;
mod guard;
#[cfg(feature = "load")]
pub mod load;
mod native;

pub use description::{Description, SettingDescription};
pub use driver::{
    Access, Authorization, BlobHandle, Check, Content, Cursor, Driver, Outcome, Page, PageRequest, TagDetail,
    Validation,
};
pub use dyn_driver::DynDriver;
pub use error::{Error, Result};
pub use guard::PANICKED;
pub use host::{Host, HostServices, LogLevel};
pub use native::NativeDriver;
pub use settings::Settings;

// Crates whose types stand in this API: a driver needs no other dependency for them.
pub use bytes;
pub use http;
pub use regent_oci as oci;
pub use regent_transport as transport;
pub use secrecy;
pub use url;

/// What [`export_driver!`] expands to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use abi_stable::library::LibHeader;

    pub use crate::abi::root::root;
    pub use crate::export::meta::{Meta, MetaSetting, text};
}
