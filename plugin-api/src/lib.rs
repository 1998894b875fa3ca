//! Write a registry driver for Regent.
//!
//! A driver is one struct that implements [`Driver`], exported by [`export_driver!`] from a crate of type `cdylib`.
//! It says what is special about one kind of registry: how to authenticate, where repositories and tags are listed,
//! what a 403 means. It never sees a layer byte, links no HTTP or TLS stack and runs no threads: what it does to the
//! world goes through its [`Host`].
//!
//! # A driver
//!
//! `Cargo.toml` (`rlib` is for the driver's own tests):
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! regent-plugin-api = "1"
//!
//! [dev-dependencies]
//! regent-plugin-api = { version = "1", features = ["load"] } # contract_tests!
//! futures-executor = "0.3"    # or any other executor
//! ```
//!
//! `src/lib.rs`, for a registry that lists its repositories at `/api/repositories` and takes a token:
//!
//! ```
//! use regent_plugin_api::http::HeaderValue;
//! use regent_plugin_api::http::header::AUTHORIZATION;
//! use regent_plugin_api::oci::{RepositoryName, Tag};
//! use regent_plugin_api::secrecy::ExposeSecret;
//! use regent_plugin_api::transport::{Request, collect};
//! use regent_plugin_api::url::Url;
//! use regent_plugin_api::{
//!     Access, Authorization, Check, Cursor, Driver, Error, Host, Outcome, Page, PageRequest, Result, Settings,
//!     Validation,
//! };
//!
//! struct Example {
//!     host: Host,
//!     base: Url,
//!     token: HeaderValue,
//! }
//!
//! regent_plugin_api::export_driver! {
//!     Example,
//!     name: "example",
//!     summary: "The Example registry",
//!     types: ["example"],
//!     settings: [
//!         { name: "registryBase", required: true, secret: false, help: "host of the registry" },
//!         { name: "password", required: true, secret: true, help: "an access token" },
//!     ],
//! }
//!
//! impl Example {
//!     /// One page of lines; the registry says where the next begins in a header of its own.
//!     async fn lines(&self, path: &str, page: &PageRequest) -> Result<(Vec<String>, Option<Cursor>)> {
//!         let mut url = self.base.join(path).map_err(|_| Error::bad_answer("no URL for the listing"))?;
//!         url.query_pairs_mut().append_pair("n", &page.size.to_string());
//!         if let Some(Cursor(last)) = &page.after {
//!             url.query_pairs_mut().append_pair("last", last);
//!         }
//!         let request = Request::get(url).header(AUTHORIZATION, self.token.clone());
//!         let response = self.host.http(request).await?; // transport errors know their class
//!         let next = response.headers.get("x-next").and_then(|v| v.to_str().ok());
//!         let next = next.map(|v| Cursor(v.to_owned()));
//!         match response.status.as_u16() {
//!             200 => {}
//!             401 => return Err(Error::credentials_rejected("the registry does not know the token")),
//!             403 => return Err(Error::permission_missing("the token may not list: give it the role reader")),
//!             404 => return Err(Error::not_found("the registry has no such repository")),
//!             status => return Err(Error::bad_answer(format!("the registry answered {status}"))),
//!         }
//!         let body = collect(response.body).await?;
//!         let text = std::str::from_utf8(&body).map_err(|_| Error::bad_answer("a listing that is no text"))?;
//!         Ok((text.lines().map(str::to_owned).collect(), next))
//!     }
//! }
//!
//! impl Driver for Example {
//!     fn connect(settings: Settings, host: Host) -> Result<Self> {
//!         let base = settings.base().ok_or_else(|| Error::invalid_setting("registryBase", "is missing"))?;
//!         let scheme = if settings.plain_http() { "http" } else { "https" };
//!         let base = Url::parse(&format!("{scheme}://{base}/"))
//!             .map_err(|_| Error::invalid_setting("registryBase", "is no host"))?;
//!         let token = settings.password().ok_or_else(|| Error::invalid_setting("password", "is missing"))?;
//!         let mut token = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
//!             .map_err(|_| Error::invalid_setting("password", "can't stand in a header"))?;
//!         token.set_sensitive(true); // never logged, dropped on redirects
//!         Ok(Self { host, base, token })
//!     }
//!
//!     async fn validate(&self) -> Result<Validation> {
//!         let (outcome, detail) = match self.lines("api/repositories", &PageRequest::first()).await {
//!             Ok(_) => (Outcome::Passed, "the repositories can be listed".to_owned()),
//!             Err(e) if e.code() == "permission_missing" => (Outcome::Denied, e.message().to_owned()),
//!             Err(e) => return Err(e),
//!         };
//!         let registry = self.base.host_str().unwrap_or_default().to_owned();
//!         Ok(Validation { registry, checks: vec![Check { name: "list".to_owned(), outcome, detail }] })
//!     }
//!
//!     async fn repositories(&self, page: PageRequest) -> Result<Page<RepositoryName>> {
//!         let (lines, next) = self.lines("api/repositories", &page).await?;
//!         // A name that the distribution protocol can't say is left out, not an error of the whole page.
//!         Ok(Page { items: lines.iter().filter_map(|l| l.parse().ok()).collect(), next })
//!     }
//!
//!     async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
//!         let (lines, next) = self.lines(&format!("api/repositories/{repository}/tags"), &page).await?;
//!         Ok(Page { items: lines.iter().filter_map(|l| l.parse().ok()).collect(), next })
//!     }
//!
//!     async fn authorize(&self, access: Access) -> Result<Authorization> {
//!         Ok(Authorization {
//!             endpoint: self.base.clone(),
//!             repository: access.repository,
//!             headers: vec![(AUTHORIZATION, self.token.clone())],
//!             expires: None,
//!         })
//!     }
//! }
//!
//! // In `#[cfg(test)] mod tests`:
//! use regent_plugin_api::http::StatusCode;
//! use regent_plugin_api::secrecy::SecretString;
//! use regent_plugin_api::testkit::{Exchange, Script, contract};
//!
//! # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let list = |query: &str, body: &'static str| {
//!     let url = format!("https://registry.example.com/api/repositories{query}");
//!     let exchange = Exchange::get(&url).answer(StatusCode::OK, body);
//!     exchange.with_secret_header(AUTHORIZATION, "Bearer s3cr3t")
//! };
//! let host = Script::new()
//!     .always(list("?n=1000", "team/app")?)
//!     .always(list("?n=100", "team/app")?)
//!     .always(list("?n=1", "team/app")?)
//!     .always(list("/team/app/tags?n=1000", "1.0\nlatest")?)
//!     .always(list("/team/app/tags?n=1", "1.0")?.answer_header("x-next".parse()?, "1.0"))
//!     .always(list("/team/app/tags?n=1&last=1.0", "latest")?)
//!     .shared();
//! let values = [("registryBase", "registry.example.com"), ("password", "s3cr3t")];
//! let values = values.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
//! let driver = DRIVER.connect(Settings::new("example", values, false), host.clone()).expect("it connects");
//! let breaches = futures_executor::block_on(contract(&*driver, &DRIVER.description()));
//! assert!(breaches.is_empty(), "{breaches:#?}");
//! host.assert_finished();
//! # Ok(())
//! # }
//! ```
//!
//! [`contract`](crate::testkit::contract) is the part of the checks that stands anywhere. All of them, over the linked
//! driver and its loaded library, are made by `contract_tests!` in the crate's folder `tests` (feature `load`).
//!
//! # Building and installing
//!
//! `cargo rustc --release --crate-type cdylib` makes `target/release/lib<crate>.so`: copy it into Regent's plugin
//! directory. (`cargo build --release` makes it too, but leaves link-time optimization out where a crate is an `rlib` as
//! well.) A driver is built with `panic = "unwind"`, Cargo's default. `opt-level = "s"`, `lto = "fat"`,
//! `codegen-units = 1` and `strip = "symbols"` make it less than a megabyte. It runs on the target triple that it was
//! built for, with a C library not older than the one of the machine that built it; the compiler's version need not be
//! the host's.
//!
//! # What crosses the border
//!
//! The driver and its host are built apart, perhaps by different compilers. Between them pass closed C structs
//! of numbers, text, bytes and lists (through `abi_stable`), never a Rust type of the author's side, an
//! allocation without its own way to be freed, or an unwinding. So:
//! - Requests and answers of [`Host::http`] have their whole body in memory; large contents do not go this way.
//! - Settings and sensitive headers are copied over and wiped where they crossed. The mark
//!   [`set_sensitive`](::http::HeaderValue::set_sensitive) survives both ways; set it on every secret.
//! - Errors keep class, code, message (cut at [`Error::MAX_MESSAGE_BYTES`]), retry and details.
//! - The host checks all it gets: names and digests are parsed anew, a page has at most 100 000 items, a cursor 8 KiB.
//! - `tracing`, `log` and other global state are the driver's own copies and end nowhere: use [`Host::log`].
//!
//! # Threads and time
//!
//! Each driver has one thread of its own with a current-thread executor; there is no Tokio on it, no reactor and no
//! timer but [`Host::sleep`]. Calls run side by side on that thread and take turns at each `await`: one that blocks
//! the thread blocks all calls of its driver, and of no other. Every call has a deadline, at which its future is dropped:
//! keep nothing half done across an `await`. Do not retry on your own beyond what the registry asks for.
//!
//! # Trust
//!
//! A driver runs inside the host's process with all its rights. A panic is caught, in calls, in drops and in
//! `connect`, and becomes an error with the code [`PANICKED`]. Nothing else is: **`abort`, `exit`, a stack overflow, a
//! panic in a drop during unwinding, and memory corruption take the process down.** What a driver declares (egress,
//! environment) is enforced for what goes through [`Host`], and is a promise for the rest. An operator may run a driver in a
//! process of its own: what it does to that process it does to itself, and the kernel enforces what it declares.
//!
//! # Stability
//!
//! This crate follows semver, and so does the border. Within 1.x a driver loads into any host that is newer, and into
//! an older one if it has at least the API in the driver's `requires_api`. Later versions add methods with a default (that
//! answers `unsupported`), fields of `#[non_exhaustive]` sets, and keys that older sides ignore; an unknown class or
//! outcome has a safe reading. 2.0 would have its own entry symbol, so that one library can have both.
//!
//! # Features
//!
//! - `load`: the host's side, module `load`, and the test kit's `contract_tests!`. Only tests of a driver need it.

mod description;
mod driver;
pub mod egress;
mod error;
mod host;
mod namespaces;
mod numbered;
mod settings;

mod abi;
pub mod bounds;
mod dyn_driver;
mod export;
mod guard;
#[cfg(feature = "load")]
pub mod load;
mod native;
pub mod testkit;

pub use description::{Description, SettingDescription};
pub use driver::{
    Access, Authorization, BlobHandle, Check, Content, Cursor, Driver, Outcome, Page, PageRequest, TagDetail,
    Validation, first_repository,
};
pub use dyn_driver::DynDriver;
pub use error::{Error, Result};
pub use guard::PANICKED;
pub use host::{Host, HostServices, LogLevel};
pub use namespaces::Namespaces;
pub use native::NativeDriver;
pub use numbered::Numbered;
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
