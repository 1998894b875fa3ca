//! Name resolution that refuses addresses out of reach.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::Network;
use super::egress::Reach;

/// Finds the addresses of a name.
pub(super) type Lookup = Arc<dyn Fn(String) -> LookupFuture + Send + Sync>;
type LookupFuture = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// The system's.
pub(super) fn system() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
}

/// A resolver, with what it says looked at. A name with one address out of reach is refused as a whole:
/// a name that points at the Internet and at this machine wants to be mistaken. The addresses that were looked at are the
/// ones that the connection is made to: nothing is resolved a second time in between.
pub(super) struct GuardedResolver {
    pub(super) reach: Reach,
    pub(super) lookup: Lookup,
    /// The operator's own choice, wherever they are.
    pub(super) proxies: Arc<[String]>,
}

/// A name that resolves to an address out of reach.
#[derive(Debug)]
pub(super) struct OutOfReach(pub(super) Network);

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it resolves to {}", self.0.as_str())
    }
}

impl std::error::Error for OutOfReach {}

/// A name that can't be resolved.
#[derive(Debug)]
pub(super) struct Unresolved;

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name can't be resolved")
    }
}

impl std::error::Error for Unresolved {}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        let is_proxy = self.proxies.iter().any(|p| p.eq_ignore_ascii_case(name.as_str()));
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let addresses = found.await.map_err(|_| Unresolved)?;
            if !is_proxy {
                check(reach, &addresses)?;
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

fn check(reach: Reach, addresses: &[SocketAddr]) -> Result<(), OutOfReach> {
    let outside = addresses.iter().map(|a| Network::of(a.ip())).find(|n| !reach.includes(*n));
    outside.map_or(Ok(()), |network| Err(OutOfReach(network)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::http::failure::sort;
    use crate::http::test_server::{TestServer, answer};

    /// Says one thing after the other.
    fn scripted(answers: &[&str]) -> (Lookup, Arc<Mutex<Vec<SocketAddr>>>) {
        let addresses = answers.iter().rev().map(|a| SocketAddr::new(a.parse().unwrap(), 0));
        let left = Arc::new(Mutex::new(addresses.collect::<Vec<_>>()));
        let answers = Arc::clone(&left);
        let lookup: Lookup = Arc::new(move |_| {
            let next = answers.lock().unwrap().pop();
            Box::pin(async move { next.map(|a| vec![a]).ok_or_else(|| io::ErrorKind::NotFound.into()) })
        });
        (lookup, left)
    }

    #[tokio::test]
    async fn a_name_that_changes_its_address_is_judged_by_the_one_that_is_connected_to() {
        crate::http::install_tls_provider();
        let server = TestServer::plain(|_| answer(200, "")).await;
        let (lookup, left) = scripted(&["127.0.0.1", "169.254.169.254", "10.0.0.1", "127.0.0.1"]);
        let client = |reach| {
            let resolver = GuardedResolver { reach, lookup: Arc::clone(&lookup), proxies: Arc::new([]) };
            let builder = reqwest::Client::builder().no_proxy().tls_certs_only([]).pool_max_idle_per_host(0);
            builder.dns_resolver(resolver).build().unwrap()
        };
        let url = format!("http://rebound.example:{}/", server.port());
        let loopback = client(Reach::Loopback);
        // Looked up once, judged, and connected to.
        assert_eq!(loopback.get(&url).send().await.unwrap().status(), 200);
        assert_eq!(left.lock().unwrap().len(), 3);
        // The next connection finds what no driver may reach, whatever the first one found; and so on.
        for (client, rule) in [
            (&loopback, "it resolves to a link-local or metadata address"),
            (&client(Reach::Public), "it resolves to a private address"),
            (&client(Reach::Private), "it resolves to a loopback address"),
        ] {
            let error = sort(&client.get(&url).send().await.unwrap_err(), "rebound.example");
            assert_eq!(error.to_string(), format!("rebound.example may not be reached: {rule}"));
        }
        assert_eq!(server.seen().len(), 1);
    }

    #[test]
    fn one_address_out_of_reach_refuses_the_name() {
        let rows = [
            (Reach::Public, "8.8.8.8", true),
            (Reach::Public, "8.8.8.8 10.0.0.1", false),
            (Reach::Public, "127.0.0.1", false),
            (Reach::Private, "8.8.8.8 10.0.0.1", true),
            (Reach::Private, "127.0.0.1", false),
            (Reach::Loopback, "127.0.0.1 10.0.0.1 8.8.8.8", true),
            (Reach::Loopback, "169.254.169.254", false),
        ];
        for (reach, addresses, allowed) in rows {
            let list: Vec<SocketAddr> =
                addresses.split(' ').map(|a| SocketAddr::new(a.parse().unwrap(), 443)).collect();
            assert_eq!(check(reach, &list).is_ok(), allowed, "{reach:?} {addresses}");
        }
    }
}
