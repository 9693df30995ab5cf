//! Where a request comes from, as far as proxies of ours say it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;

use super::networks::{is_within, network_of};

/// Which addresses a request has come by, nearest last; each proxy adds whom it has it from.
/// <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How many of the nearest addresses are looked at: nobody has more proxies.
const HOPS_MAX: usize = 32;

/// Where a request comes from.
pub(super) struct ClientAddress {
    /// The network that it is counted for.
    pub(super) network: IpAddr,
    /// Who says that it comes from somebody else, and is not believed.
    pub(super) untrusted_forwarder: Option<IpAddr>,
}

impl ClientAddress {
    /// The nearest address that is no proxy of ours. `None` where the connection is not known.
    pub(super) fn of(
        extensions: &Extensions,
        headers: &HeaderMap,
        proxies: &[IpNet],
    ) -> Option<Self> {
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        let peer = peer.ip().to_canonical();
        let is_forwarded = headers.contains_key(FORWARDED_FOR);
        let is_believed = is_forwarded && is_within(peer, proxies);
        let client = if is_believed {
            forwarded(headers, peer, proxies)
        } else {
            peer
        };
        Some(Self {
            network: network_of(client),
            untrusted_forwarder: (is_forwarded && !is_believed).then_some(peer),
        })
    }
}

/// Whom our proxies have it from, of which `peer` is the nearest.
fn forwarded(headers: &HeaderMap, peer: IpAddr, proxies: &[IpNet]) -> IpAddr {
    let mut client = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.take(HOPS_MAX) {
        // What is no address was not said by a proxy of ours, or of nobody that can be named.
        let Some(address) = address(hop) else { break };
        client = address;
        if !is_within(client, proxies) {
            break;
        }
    }
    client
}

/// An address as proxies write it, some with the port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    let address = bare.unwrap_or(hop).parse::<IpAddr>();
    let address = address.or_else(|_| hop.parse::<SocketAddr>().map(|hop| hop.ip()));
    Some(address.ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> (String, bool) {
        let proxies = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"].map(|net| net.parse().unwrap());
        let mut extensions = Extensions::new();
        let peer: IpAddr = peer.parse().unwrap();
        extensions.insert(ConnectInfo(SocketAddr::new(peer, 4_000)));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let client = ClientAddress::of(&extensions, &headers, &proxies).unwrap();
        (
            client.network.to_string(),
            client.untrusted_forwarder.is_some(),
        )
    }

    #[test]
    fn the_client_is_the_nearest_address_that_is_no_proxy_of_ours() {
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
            // What the client has invented stands to the left of what our proxies have seen.
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
            let (client, is_untrusted) = client(peer, lines);
            assert_eq!(
                (client.as_str(), is_untrusted),
                expected,
                "{peer} {lines:?}"
            );
        }
    }
}
