//! Agents that are killed at random while callbacks fail at random: is anything lost?
//!
//! A [`Scene`] has a registry with a [`Fleet`] of images, a [`FailingSink`], and [`Replica`]s of the agent on one queue.
//! [`run`] has scans accepted by a [`Client`] that repeats what got no answer, strikes as often as its [`Plan`] says, and
//! compares what the sink got with what was promised ([`Ledger`]). Randomness is the point here, in time as well: a seed
//! gives the same choices, and not the same run.

mod backend;
mod client;
mod crash_points;
mod failing_sink;
mod fleet;
mod footprint;
mod ledger;
mod progress;
mod replica;
mod report;
mod run;
mod scene;
mod sick_registry;
mod soak;
mod strike;
mod tally;
mod watch;

pub use backend::{Backend, QueueKind, SEAL_KEY};
pub use client::{Client, Order};
pub use crash_points::{Crash, crash_at, crash_points};
pub use failing_sink::{FailingSink, Failure};
pub use fleet::{Fleet, Member};
pub use footprint::Footprint;
pub use ledger::{Expected, Ledger, Verdict};
pub use progress::{Counts, Progress};
pub use replica::{Installation, Replica};
pub use report::Report;
pub use run::{Plan, run};
pub use scene::{Scene, Stage};
pub use sick_registry::{Sickness, sick_registry};
pub use soak::{Soak, soak};
pub use tally::{Arrived, Tally};
