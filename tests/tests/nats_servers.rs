//! The servers that the tests of several replicas stand on do what these tests lean on.

use std::time::Duration;

use regent_tests::nats::{Cluster, Network, Node};

async fn is_reachable(url: &str) -> bool {
    let address = url.trim_start_matches("nats://").to_owned();
    let connecting = tokio::net::TcpStream::connect(address);
    tokio::time::timeout(Duration::from_millis(500), connecting).await.is_ok_and(|c| c.is_ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_back_on_its_port_after_it_was_killed() {
    let mut node = Node::start_alone().await;
    let url = node.url();
    node.kill();
    assert!(!is_reachable(&url).await);
    node.start();
    node.ready().await;
    assert!(is_reachable(&url).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_has_a_leader_again_after_a_node_was_killed_or_cut_off() {
    let mut cluster = Cluster::start_in_namespaces().await;
    let urls: Vec<String> = cluster.urls().split(',').map(str::to_owned).collect();
    assert_eq!(urls.len(), 3);
    for number in 0..cluster.n_nodes() {
        cluster.node(number).kill();
        cluster.node(number).start();
        cluster.ready().await;
    }
    cluster.network().unplug(0);
    assert!(!is_reachable(&urls[0]).await);
    assert!(is_reachable(&urls[1]).await);
    cluster.network().heal();
    // Neighbours that were asked for in vain are asked for again a moment later.
    let reached = async { while !is_reachable(&urls[0]).await {} };
    tokio::time::timeout(Duration::from_secs(10), reached).await.expect("it is plugged in again");
    // What is cut off from the others is still reached from here.
    cluster.network().isolate();
    assert!(is_reachable(&urls[0]).await);
    cluster.network().heal();
    cluster.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_on_loopback_needs_no_privilege() {
    let mut cluster = Cluster::start().await;
    cluster.node(1).kill();
    cluster.node(1).start();
    cluster.ready().await;
}

#[test]
fn a_network_leaves_nothing_behind() {
    let name = {
        let network = Network::new(2);
        network.launcher(0)[3].clone()
    };
    let output = std::process::Command::new("ip").args(["netns", "list"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains(&name));
}
