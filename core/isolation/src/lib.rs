//! A driver in a process of its own: the two ends of the connection to it.
//!
//! The agent's end is a [`Link`]: it makes sessions that are [`DynDriver`](regent_plugin_api::DynDriver)s like those of a
//! library in the same process, and gives the driver the services of its host. The driver's end is [`serve`]. Between them
//! is one Unix socket with frames of a bounded size (`frame`), each of them a message (`message`): calls with a number,
//! their answers and cancellations one way, requests that the driver has of its host the other way.
//!
//! Both ends are the same program, so messages have no versions. The agent trusts nothing that comes from the driver's
//! process: what can't be read ends the connection, what can is held against the bounds of the ABI
//! ([`Checked`](regent_plugin_api::load::Checked)), and nothing of it is kept without a limit.
//!
//! What a process is started with, how it is confined and when it is started anew is the host's business.

mod agent_side;
mod driver_side;
mod frame;
mod http;
mod message;
mod outbox;
mod values;

pub use agent_side::{Link, Within};
pub use driver_side::{Connect, serve};
pub use frame::{Broken, MAX_FRAME_BYTES};
#[doc(hidden)]
pub use message::read_from_a_driver;

#[cfg(test)]
mod tests;
