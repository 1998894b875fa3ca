//! What kind of network an address is in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Host;

/// Kinds of addresses, by what a request to one could reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Network {
    /// The Internet.
    Public,
    /// The operator's network (RFC 1918, RFC 4193, RFC 6598).
    Private,
    /// This machine.
    Loopback,
    /// Link-local addresses, and those at which clouds keep their instance credentials; also what no server has, such
    /// as multicast. Never reached unless a driver declares the very address.
    Forbidden,
}

/// Addresses of instance metadata outside of the link-local ranges: Azure's wire server, Alibaba, Oracle's old one.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
/// AWS, over IPv6: of instances, and of pods.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023),
];

impl Network {
    /// Of this address.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| Self::of_v6(v6), Self::of_v4),
        }
    }

    /// Of a URL's host, if it is written as an address.
    pub(super) fn of_literal(host: &Host<&str>) -> Option<Self> {
        match host {
            Host::Ipv4(v4) => Some(Self::of(IpAddr::V4(*v4))),
            Host::Ipv6(v6) => Some(Self::of(IpAddr::V6(*v6))),
            Host::Domain(_) => None,
        }
    }

    fn of_v4(v4: Ipv4Addr) -> Self {
        let shared =
            v4.octets().first() == Some(&100) && v4.octets().get(1).is_some_and(|b| (64..128).contains(b));
        if v4.is_link_local() || METADATA_V4.contains(&v4) || v4.is_multicast() || v4.is_broadcast() {
            Self::Forbidden
        } else if v4.is_loopback() || v4.octets().first() == Some(&0) {
            Self::Loopback // 0.0.0.0 connects to this machine
        } else if v4.is_private() || shared {
            Self::Private
        } else {
            Self::Public
        }
    }

    fn of_v6(v6: Ipv6Addr) -> Self {
        if v6.is_unicast_link_local() || METADATA_V6.contains(&v6) || v6.is_multicast() {
            Self::Forbidden
        } else if v6.is_loopback() || v6.is_unspecified() {
            Self::Loopback
        } else if v6.is_unique_local() {
            Self::Private
        } else {
            Self::Public
        }
    }

    /// In words, for messages.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Loopback => "a loopback address",
            Self::Forbidden => "a link-local or metadata address",
        }
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = v6.octets();
    let v4 = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets.get(at..at + 4)?).ok()?));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => v4(12),
        [0x2002, ..] => v4(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sorted_by_what_they_reach() {
        let rows = [
            ("8.8.8.8", Network::Public),
            ("10.1.2.3", Network::Private),
            ("172.31.0.1", Network::Private),
            ("172.32.0.1", Network::Public),
            ("192.168.0.1", Network::Private),
            ("100.64.0.1", Network::Private),
            ("100.128.0.1", Network::Public),
            ("127.8.8.8", Network::Loopback),
            ("0.0.0.0", Network::Loopback),
            ("169.254.169.254", Network::Forbidden),
            ("169.254.170.2", Network::Forbidden),
            ("168.63.129.16", Network::Forbidden),
            ("100.100.100.200", Network::Forbidden),
            ("224.0.0.1", Network::Forbidden),
            ("255.255.255.255", Network::Forbidden),
            ("::1", Network::Loopback),
            ("::", Network::Loopback),
            ("fe80::1", Network::Forbidden),
            ("fd00:ec2::254", Network::Forbidden),
            ("fd00:ec2::23", Network::Forbidden),
            ("fd12::1", Network::Private),
            ("2001:4860:4860::8888", Network::Public),
            ("::ffff:169.254.169.254", Network::Forbidden),
            ("::ffff:127.0.0.1", Network::Loopback),
            ("64:ff9b::a9fe:a9fe", Network::Forbidden),
            ("2002:7f00:1::", Network::Loopback),
        ];
        for (address, expected) in rows {
            assert_eq!(Network::of(address.parse().unwrap()), expected, "{address}");
        }
    }
}
