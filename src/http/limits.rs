//! The limits of the server.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::files::connections_max;

/// How long and how much connections may keep the server busy.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What the first line and the headers of a request may have together, and what is read of a
    /// body at once. There are at most 100 headers, which is hyper's own limit: another one would
    /// cost each request an allocation.
    pub head_bytes_max: usize,
    /// How long the head of a request may take, from its first byte on.
    pub head_wait_max: Duration,
    /// How long a connection may be without a request.
    pub idle_wait_max: Duration,
    /// How long a body may take, from when a handler asks for it on.
    pub body_wait_max: Duration,
    /// How much of all bodies that are not whole may be in memory together.
    pub body_bytes_max: usize,
    /// How long a client may take nothing of its answers, in all: what it takes, and the time in
    /// which nothing waits for it, make up for it.
    pub answer_wait_max: Duration,
    /// How long a client may take to end after its last answer.
    pub end_wait_max: Duration,
    /// How long a body may still take when the server stops, or a client nothing of its answer.
    pub stop_wait_max: Duration,
    /// How many connections may be open at once.
    pub connections_max: usize,
    /// How many of them one address may have …
    pub connections_per_address_max: usize,
    /// … unless it is of a network that many are behind, as behind a proxy.
    pub shared_networks: Vec<IpNet>,
}

impl Limits {
    /// The usual ones, behind these proxies.
    pub fn behind(proxies: &[IpNet]) -> Self {
        let mut limits = Self::default();
        limits.shared_networks.extend(proxies);
        limits
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Twice what browsers and proxies send at most.
            head_bytes_max: 32 << 10,
            head_wait_max: Duration::from_secs(10),
            // A proxy that closes an idle connection as late as this can send a request just when
            // it ends: the RUNBOOK tells operators to let theirs be sooner.
            idle_wait_max: Duration::from_mins(1),
            // What is left of the 30 s of a request is enough to ask Stripe. The largest body of
            // a buyer's comes within it at 7 KB/s.
            body_wait_max: Duration::from_secs(10),
            body_bytes_max: 64 << 20,
            // Longer than a mobile phone is out of reach in a tunnel.
            answer_wait_max: Duration::from_secs(30),
            // So long a client at 30 Mbit/s takes for what is read at most.
            end_wait_max: Duration::from_secs(5),
            // What has been sent has come by then.
            stop_wait_max: Duration::from_millis(500),
            connections_max: connections_max(),
            // An office, or the customers of a mobile network that share an address, with the six
            // connections that a browser makes.
            connections_per_address_max: 256,
            shared_networks: vec![
                Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into(),
                Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
            ],
        }
    }
}
