//! Three nodes that replicate what is stored.

use super::network::Network;
use super::node::{Node, NodeAddress};

/// Nodes of a cluster: one may be gone, and the other two go on.
const NODES: usize = 3;

/// A cluster of three nodes.
#[derive(Debug)]
pub struct Cluster {
    // Dropped first: namespaces with processes in them stay.
    nodes: Vec<Node>,
    network: Option<Network>,
}

impl Cluster {
    /// One on loopback.
    pub async fn start() -> Self {
        let addresses: Vec<NodeAddress> = (0..NODES).map(|_| NodeAddress::on_loopback()).collect();
        let launchers = vec![Vec::new(); NODES];
        Self::start_at(&addresses, launchers, None).await
    }

    /// One whose nodes have a network namespace each, so that the network between them can be cut. Takes root.
    pub async fn start_in_namespaces() -> Self {
        let network = Network::new(NODES);
        let addresses: Vec<NodeAddress> = (0..NODES)
            .map(|number| NodeAddress {
                ip: network.ip(number),
                // The namespace has no other server.
                port: 4222,
                route_port: 6222,
                monitor_port: 8222,
            })
            .collect();
        let launchers = (0..NODES).map(|number| network.launcher(number)).collect();
        Self::start_at(&addresses, launchers, Some(network)).await
    }

    async fn start_at(
        addresses: &[NodeAddress],
        launchers: Vec<Vec<String>>,
        network: Option<Network>,
    ) -> Self {
        let mut nodes: Vec<Node> = addresses
            .iter()
            .zip(launchers)
            .enumerate()
            .map(|(number, (address, launcher))| {
                Node::new(&format!("node-{number}"), address.clone(), addresses.to_vec(), launcher)
            })
            .collect();
        nodes.iter_mut().for_each(Node::start);
        let mut cluster = Self { nodes, network };
        cluster.ready().await;
        cluster
    }

    /// URLs of all nodes, with commas between them.
    pub fn urls(&self) -> String {
        self.nodes.iter().map(Node::url).collect::<Vec<_>>().join(",")
    }

    /// How many nodes there are.
    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// A node.
    pub fn node(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    /// Waits until all nodes take work.
    pub async fn ready(&mut self) {
        for node in &mut self.nodes {
            node.ready().await;
        }
    }

    /// The network between the nodes.
    ///
    /// # Panics
    /// When the nodes are not in namespaces.
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("the nodes are in namespaces")
    }
}
