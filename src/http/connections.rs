//! The connections that are open: no more than there is room for, nor than one address may have.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::Limits;
use super::networks::{is_within, network_of};
use super::progress::Progress;
use super::throttled_log::ThrottledLog;

/// Connections that are looked at to find one that makes room: enough that an old one is among
/// them, and few, as a stranger can make us look for each that they open.
const CANDIDATES_MAX: usize = 64;

/// All connections of a server.
pub(super) struct Connections {
    table: Mutex<Table>,
    limits: Limits,
    refused: ThrottledLog,
    ended: ThrottledLog,
}

#[derive(Default)]
struct Table {
    open: BTreeMap<u64, Open>,
    by_network: HashMap<IpAddr, usize>,
    next: u64,
    /// Where the next search for one that makes room begins.
    hand: u64,
}

struct Open {
    network: IpAddr,
    progress: Arc<Progress>,
}

/// Lets a connection be open, until it is dropped.
pub(super) struct ConnectionPermit {
    id: u64,
    connections: Arc<Connections>,
    pub(super) progress: Arc<Progress>,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            table: Mutex::default(),
            limits,
            refused: ThrottledLog::default(),
            ended: ThrottledLog::default(),
        }
    }

    /// Lets a connection from `address` be open. Where there are as many as there may be, one
    /// without a request makes room. None if there is no such, or its network has its part.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionPermit> {
        let is_shared = is_within(address, &self.limits.shared_networks);
        let network = network_of(address);
        let mut table = self.table();
        let has_its_part =
            !is_shared && table.of(network) >= self.limits.connections_per_address_max;
        let is_full = table.open.len() >= self.limits.connections_max;
        if has_its_part || (is_full && !self.end_idle(&mut table)) {
            drop(table);
            self.tell_refused(network, has_its_part);
            return None;
        }
        let progress = Arc::new(Progress::new());
        let id = table.insert(network, Arc::clone(&progress));
        Some(ConnectionPermit {
            id,
            connections: Arc::clone(self),
            progress,
        })
    }

    /// Ends a connection without a request, as the process has no file left for another.
    pub(super) fn make_room(&self) {
        self.end_idle(&mut self.table());
    }

    fn end_idle(&self, table: &mut Table) -> bool {
        let Some(id) = table.longest_idle() else {
            return false;
        };
        if let Some(open) = table.remove(id) {
            open.progress.end();
        }
        if let Some(count) = self.ended.count() {
            let open = table.open.len();
            tracing::warn!(
                connections.ended = count,
                "{open} connections are open: of those without a request, {count} made room"
            );
        }
        true
    }

    fn tell_refused(&self, network: IpAddr, has_its_part: bool) {
        let Some(count) = self.refused.count() else {
            return;
        };
        let reason = if has_its_part {
            format!("{network} has as many as one address may have")
        } else {
            "none of those that are open is without a request".to_owned()
        };
        tracing::warn!(
            connections.refused = count,
            "{count} connections were closed at once, the last as {reason}"
        );
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn of(&self, network: IpAddr) -> usize {
        self.by_network.get(&network).copied().unwrap_or_default()
    }

    fn insert(&mut self, network: IpAddr, progress: Arc<Progress>) -> u64 {
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.open.insert(id, Open { network, progress });
        let count = self.by_network.entry(network).or_default();
        *count = count.saturating_add(1);
        id
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        if let Some(count) = self.by_network.get_mut(&open.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_network.remove(&open.network);
            }
        }
        Some(open)
    }

    /// Of some connections, another part of them each time, one that has no request: rather one
    /// that never had any, and then the one that has been so for the longest.
    ///
    /// They are gone through in the order in which they came, one after the other: who has just
    /// come is safe for as many as are looked at, however fast they come, and so has time for a
    /// request.
    fn longest_idle(&mut self) -> Option<u64> {
        let before = self.open.range(..self.hand);
        let candidates = self.open.range(self.hand..).chain(before);
        let mut last = self.hand;
        let idle = candidates.take(CANDIDATES_MAX).filter_map(|(id, open)| {
            last = *id;
            let (since, never_had_any) = open.progress.idle_since()?;
            Some((!never_had_any, since, *id))
        });
        let longest = idle.min().map(|(_, _, id)| id);
        self.hand = longest.unwrap_or(last).wrapping_add(1);
        longest
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.table().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;

    /// Where an address may have one connection.
    fn behind(proxies: &[&str]) -> Arc<Connections> {
        let proxies = proxies.iter().map(|network| network.parse().unwrap());
        Arc::new(Connections::new(Limits {
            connections_per_address_max: 1,
            ..Limits::behind(&proxies.collect::<Vec<_>>())
        }))
    }

    #[test]
    fn who_has_a_network_of_ipv6_is_one_whichever_of_its_addresses_they_use() {
        let connections = behind(&[]);
        let admit = |address: &str| connections.admit(address.parse().unwrap());

        let first = admit("2001:db8:1:2::1");

        assert!(admit("2001:db8:1:2:ffff::1").is_none());
        assert!(admit("2001:db8:1:3::1").is_some());
        drop(first);
        assert!(admit("2001:db8:1:2:ffff::1").is_some());
    }

    #[test]
    fn an_address_of_ipv4_is_one_also_where_a_socket_of_ipv6_names_it() {
        let connections = behind(&[]);
        let admit = |address: &str| connections.admit(address.parse().unwrap());

        let _first = admit("203.0.113.9");

        assert!(admit("::ffff:203.0.113.9").is_none());
        assert!(admit("203.0.113.10").is_some());
    }

    #[test]
    fn many_may_be_behind_a_proxy_or_on_this_machine() {
        let connections = behind(&["10.0.0.0/8"]);
        let admit = |address: &str| connections.admit(address.parse().unwrap());

        let _held = ["10.1.2.3", "127.0.0.1", "::1", "11.1.2.3"].map(admit);

        assert!(admit("10.1.2.3").is_some());
        assert!(admit("127.0.0.1").is_some());
        assert!(admit("::1").is_some());
        assert!(admit("::ffff:10.1.2.3").is_some());
        assert!(admit("11.1.2.3").is_none());
    }

    /// Else a flood of silent connections would end requests that are about to be sent.
    #[test]
    fn who_has_just_come_makes_no_room_before_others_do() {
        let connections = Arc::new(Connections::new(Limits {
            connections_max: 2 * CANDIDATES_MAX,
            ..Limits::default()
        }));
        let admit = || connections.admit(Ipv4Addr::LOCALHOST.into()).unwrap();
        let _silent: Vec<_> = (0..2 * CANDIDATES_MAX).map(|_| admit()).collect();

        for round in 0..CANDIDATES_MAX {
            let buyer = admit();
            let _flood: Vec<_> = (1..CANDIDATES_MAX).map(|_| admit()).collect();

            assert!(buyer.progress.ended().now_or_never().is_none(), "{round}");
        }
    }
}
