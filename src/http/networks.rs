//! Networks: what of an address names who has it, and whether it is of some that are known.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// What of an address of IPv6 names a network that one customer has: whoever has it can be any of
/// its addresses. <https://www.rfc-editor.org/rfc/rfc6177>
const IPV6_CUSTOMER: u128 = u128::MAX << 64;

/// The network that its user has: the address itself, or of IPv6 the first half of it.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_CUSTOMER).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Whether the address is of one of these networks, also where a socket of IPv6 names one of IPv4.
pub(super) fn is_within(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
