//! Three servers that are one.

use std::sync::atomic::{AtomicU32, Ordering};

use super::NatsServer;
use crate::settings::{NatsServers, NatsSettings};

/// A cluster on loopback.
#[derive(Debug)]
pub struct Cluster {
    /// Its servers.
    pub servers: Vec<NatsServer>,
}

impl Cluster {
    /// Starts one. Which server leads is settled later.
    pub async fn start() -> Self {
        static CLUSTERS: AtomicU32 = AtomicU32::new(0);
        // Servers have to know each other's addresses before they have a port: so each has an address of its own, which no
        // other test process has at the same time.
        let number =
            std::process::id().wrapping_mul(8).wrapping_add(CLUSTERS.fetch_add(1, Ordering::Relaxed));
        let [_, high, middle, low] = (number << 2).to_be_bytes();
        let address = |server: u8| format!("127.{high}.{middle}.{}:6222", low + server);
        let routes: Vec<_> = (1..=3).map(|server| format!("\"nats-route://{}\"", address(server))).collect();
        let config = |server: u8| {
            let (own, routes) = (address(server), routes.join(", "));
            format!(
                "server_name: server{server}\ncluster {{ name: test, listen: \"{own}\", routes: [{routes}] }}\n"
            )
        };
        let servers = (1..=3).map(|server| NatsServer::with(move |_| config(server)));
        Self { servers: futures_util::future::join_all(servers).await }
    }

    /// How it is reached, for things that are stored on all of its servers.
    pub fn settings(&self, prefix: &str) -> NatsSettings {
        let urls: Vec<_> = self.servers.iter().map(NatsServer::url).collect();
        let servers = NatsServers::parse(&urls.join(",")).unwrap();
        let [first, ..] = self.servers.as_slice() else { unreachable!() };
        NatsSettings { servers, replicas: 3, ..first.settings(prefix) }
    }
}
