//! What crosses the ABI.
//!
//! The rules that keep it stable for all of 1.x:
//! - A struct never changes. New data go into its `ext` bag, and unknown keys of a bag are ignored.
//! - Open sets are numbers or strings with a reading for unknown values; no enum of ours is on the wire.
//! - A trait grows at its end only, with a default body; `last_prefix_field` stays where it is.
//! - Every method returns an `RResult` or a future of one, such that a panic can be told.

pub(crate) mod driver_side;
#[cfg(feature = "load")]
pub(crate) mod host_side;
#[cfg(any(test, feature = "load"))]
pub(crate) mod layouts;
pub(crate) mod message;
pub(crate) mod root;
pub(crate) mod values;
mod wire;

pub(crate) use wire::*;

#[cfg(test)]
mod tests;
