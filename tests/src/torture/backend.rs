//! Where the agents of a run keep their operations.

use std::fmt;
use std::str::FromStr;

use crate::nats::{Cluster, Node};

/// Agents are killed without end here, and what they had should not wait for a minute each time. An agent that is slow for
/// longer loses what it has to another one, which has to be right as well.
const LEASE: &str = "5s";
/// A key for what is stored of connections. Of tests only.
pub const SEAL_KEY: &str = "cmVnZW50LXRlc3RzLWEta2V5LW9mLTMyLWJ5dGVzISE=";

/// Which kind of queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// A file in the data directory.
    Embedded,
    /// One `nats-server`.
    Jetstream,
    /// Three of them, in network namespaces.
    Cluster,
}

impl QueueKind {
    /// All of them, with their names.
    pub const ALL: [(&str, Self); 3] =
        [("embedded", Self::Embedded), ("jetstream", Self::Jetstream), ("cluster", Self::Cluster)];
}

impl fmt::Display for QueueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for QueueKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind);
        found.ok_or_else(|| format!("{text} is no queue: embedded, jetstream or cluster"))
    }
}

/// The servers of a queue.
#[derive(Debug)]
pub enum Backend {
    /// None: the agent has it.
    Embedded,
    /// One node.
    Jetstream(Box<Node>),
    /// Three nodes.
    Cluster(Cluster),
}

impl Backend {
    /// Starts what the queue needs.
    pub async fn start(kind: QueueKind) -> Self {
        match kind {
            QueueKind::Embedded => Self::Embedded,
            QueueKind::Jetstream => Self::Jetstream(Box::new(Node::start_alone().await)),
            QueueKind::Cluster => Self::Cluster(Cluster::start_in_namespaces().await),
        }
    }

    /// What tells an agent of it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let (urls, copies) = match self {
            Self::Embedded => return Vec::new(),
            Self::Jetstream(node) => (node.url(), 1),
            Self::Cluster(cluster) => (cluster.urls(), cluster.n_nodes()),
        };
        let copies = copies.to_string();
        [
            ("REGENT_QUEUE", &*urls),
            ("REGENT_QUEUE_REPLICAS", &copies),
            ("REGENT_QUEUE_LEASE", LEASE),
            ("REGENT_SEAL_KEY", SEAL_KEY),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}
