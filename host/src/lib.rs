//! The library behind the `regent` program: a container-registry agent that loads one driver per kind of registry.
//!
//! A request comes in through [`server`] and [`api`], which finds its [`connection`] and asks [`drivers`] for the session
//! with that registry. Listings are answered in the request. A scan becomes an operation in the queue of [`jobs`]; a
//! [`worker`] takes it, [`scanning`] reads the image, and [`callbacks`] brings the result to the Broker Client. [`serve`]
//! puts the parts together, and [`cli`] is what people type.

pub mod cli;
pub mod settings;

pub mod server;

pub mod admission;
pub mod api;
pub mod connection;

pub mod breaker;
pub mod disk_cache;
pub mod drivers;
pub mod http;
pub mod layout;
pub mod nats;
pub mod registry;
pub mod scanning;

pub mod callbacks;
pub mod crash_point;
pub mod jobs;
pub mod worker;

mod causes;
mod crash;
mod recent;
pub mod seal;
pub mod serve;
pub mod shutdown;
mod small_file;
mod supervisor;
pub mod telemetry;
pub mod threads;
mod told_time;
