//! Whose request it is, for limits: the user, or the address where none is known.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;

/// Which addresses a request has come by, nearest last; each proxy adds whom it has it from.
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How many of the nearest addresses are looked at: nobody has more proxies.
const HOPS_MAX: usize = 32;
/// What of an address of IPv6 names a network that one customer has: whoever has it can be any of
/// its addresses. <https://www.rfc-editor.org/rfc/rfc6177>
const NETWORK_BITS: u32 = 64;

/// The way that a request has come.
pub(super) struct Route {
    /// Whom it is counted for.
    pub(super) caller: IpAddr,
    /// Who says that it comes from somebody else, and is not believed.
    pub(super) untrusted_forwarder: Option<IpAddr>,
}

/// The way of a request, as far as proxies of ours say it: the caller is the nearest address that
/// is not one of them. `None` where the connection is not known.
pub(super) fn route(
    extensions: &Extensions,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> Option<Route> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    let peer = peer.ip().to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let is_forwarded = headers.contains_key(FORWARDED_FOR);
    if !is_forwarded || !is_trusted(&peer) {
        return Some(Route {
            caller: network_of(peer),
            untrusted_forwarder: is_forwarded.then_some(peer),
        });
    }
    let mut caller = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.take(HOPS_MAX) {
        // What is no address was not said by a proxy of ours, or of nobody that can be named.
        let Some(address) = address(hop) else { break };
        caller = address;
        if !is_trusted(&caller) {
            break;
        }
    }
    Some(Route {
        caller: network_of(caller),
        untrusted_forwarder: None,
    })
}

/// An address as proxies write it, some with the port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    let address = bare.unwrap_or(hop).parse::<IpAddr>();
    let address = address.or_else(|_| hop.parse::<SocketAddr>().map(|hop| hop.ip()));
    Some(address.ok()?.to_canonical())
}

/// The network that its user has: the address itself, or of IPv6 the first half of it.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let host_bits = Ipv6Addr::BITS.saturating_sub(NETWORK_BITS);
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(peer: &str, lines: &[&str]) -> (String, bool) {
        let trusted = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"].map(|net| net.parse().unwrap());
        let mut extensions = Extensions::new();
        let peer: IpAddr = peer.parse().unwrap();
        extensions.insert(ConnectInfo(SocketAddr::new(peer, 4_000)));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let route = route(&extensions, &headers, &trusted).unwrap();
        (
            route.caller.to_string(),
            route.untrusted_forwarder.is_some(),
        )
    }

    #[test]
    fn the_caller_is_the_nearest_address_that_is_no_proxy_of_ours() {
        for (peer, lines, expected) in [
            ("203.0.113.9", &[][..], ("203.0.113.9", false)),
            // Whoever is not trusted may say what they like.
            ("203.0.113.9", &["198.51.100.1"], ("203.0.113.9", true)),
            ("10.1.2.3", &[], ("10.1.2.3", false)),
            ("10.1.2.3", &["198.51.100.1"], ("198.51.100.1", false)),
            (
                "::ffff:10.1.2.3",
                &["198.51.100.1"],
                ("198.51.100.1", false),
            ),
            // What the caller has invented stands to the left of what our proxies have seen.
            (
                "10.1.2.3",
                &["1.1.1.1, 198.51.100.1, 10.9.9.9"],
                ("198.51.100.1", false),
            ),
            (
                "10.1.2.3",
                &["1.1.1.1", "198.51.100.1,10.9.9.9"],
                ("198.51.100.1", false),
            ),
            ("10.1.2.3", &["1.1.1.1, unknown"], ("10.1.2.3", false)),
            ("10.1.2.3", &["198.51.100.1:51234"], ("198.51.100.1", false)),
            ("10.1.2.3", &["10.0.0.1, 10.0.0.2"], ("10.0.0.1", false)),
            ("10.1.2.3", &[""], ("10.1.2.3", false)),
            (
                "fd00::1",
                &["2001:db8:1:2:3:4:5:6"],
                ("2001:db8:1:2::", false),
            ),
            (
                "10.1.2.3",
                &["[2001:db8:1:2::9]:443"],
                ("2001:db8:1:2::", false),
            ),
            (
                "10.1.2.3",
                &["[2001:db8:1:2::9]"],
                ("2001:db8:1:2::", false),
            ),
            ("2001:db8:1:2:ffff::1", &[], ("2001:db8:1:2::", false)),
        ] {
            let (caller, is_untrusted) = caller(peer, lines);
            assert_eq!(
                (caller.as_str(), is_untrusted),
                expected,
                "{peer} {lines:?}"
            );
        }
    }
}
