//! For a driver's tests: a host that follows a script, and the checks that every driver has to pass.
//!
//! `contract_tests!` runs all checks (feature `load`), on the driver as it is linked into the
//! test and as it is loaded from its library; [`contract`] is the part of them that needs a registry in fair weather;
//! `probe` the one that needs no registry at all. Nothing here needs a network, a clock or a certain executor.

mod contract;
mod script;

#[cfg(feature = "load")]
mod conduct;
#[cfg(feature = "load")]
mod content;
#[cfg(feature = "load")]
mod egress;
#[cfg(feature = "load")]
mod faults;
#[cfg(feature = "load")]
mod probe;
#[cfg(feature = "load")]
mod stage;
#[cfg(feature = "load")]
mod subject;
#[cfg(feature = "load")]
mod suite;
#[cfg(feature = "load")]
mod watch;

pub use contract::contract;
#[cfg(feature = "load")]
pub use probe::probe;
pub use script::{Exchange, Script};
#[cfg(feature = "load")]
pub use suite::Suite;
