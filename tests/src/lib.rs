//! What the end-to-end tests stand on: images built in code, real servers started and stopped, emulators of vendors,
//! the broker, and the agent itself as a process.
//!
//! Nothing here skips itself: a server that is missing fails the test that needs it, with the command that installs it
//! (`cargo xtask test` runs it).

pub mod agent;
pub mod artifacts;
pub mod bench;
pub mod broker;
pub mod c_library;
pub mod disk;
pub mod ended;
pub mod estargz;
pub mod faults;
pub mod helm;
pub mod http;
pub mod image;
pub mod moto;
pub mod nats;
pub mod process;
pub mod registry;
pub mod sink;
pub mod skopeo;
pub mod token_server;
pub mod torture;
pub mod vendor;
pub mod zip;
