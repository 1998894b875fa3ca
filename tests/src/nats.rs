//! Debian's `nats-server`, with `JetStream`: one node or three, on loopback or each in a network namespace of its own.

mod cluster;
mod network;
mod node;

pub use cluster::Cluster;
pub use network::Network;
pub use node::{Node, NodeAddress};
