//! For a driver's tests: a host that follows a script, and the checks that every driver has to pass.
//!
//! Nothing here needs a network, a clock or a certain executor.

mod contract;
mod script;

pub use contract::contract;
pub use script::{Exchange, Script};
