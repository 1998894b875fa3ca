//! Name resolution that refuses addresses out of reach.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::Network;
use super::egress::Reach;

/// The system's resolver, with what it says looked at. A name with one address out of reach is refused as a whole:
/// a name that points at the Internet and at this machine wants to be mistaken.
pub(super) struct GuardedResolver {
    pub(super) reach: Reach,
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
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|_| Unresolved)?;
            let addresses: Vec<SocketAddr> = found.collect();
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
    use super::*;

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
