//! The connections that are open: no more than there is room for, nor than one address may have.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::Limits;
use super::progress::Progress;
use super::tally::Tally;

/// Connections that are looked at to find one that makes room: enough that an old one is among
/// them, and few, as a stranger can make us look for each that they open.
const CANDIDATES_MAX: usize = 64;
/// The part of an IPv6 address that a network hands to one customer.
const IPV6_CUSTOMER: u128 = u128::MAX << 64;

/// All connections of a server.
pub(super) struct Connections {
    table: Mutex<Table>,
    limits: Limits,
    refused: Tally,
    ended: Tally,
}

#[derive(Default)]
struct Table {
    open: BTreeMap<u64, Open>,
    by_address: HashMap<IpAddr, usize>,
    next: u64,
    /// Where the next search for one that makes room begins.
    hand: u64,
}

struct Open {
    address: IpAddr,
    progress: Arc<Progress>,
}

/// A connection's place among the others, until it is dropped.
pub(super) struct Place {
    id: u64,
    connections: Arc<Connections>,
    pub(super) progress: Arc<Progress>,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            table: Mutex::default(),
            limits,
            refused: Tally::default(),
            ended: Tally::default(),
        }
    }

    /// A place for a connection from `address`. Where there is none left, one without a request
    /// makes room. None if there is no such, or the address has its part.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let is_shared = (self.limits.is_shared)(address);
        let address = customer(address);
        let mut table = self.table();
        let has_its_part =
            !is_shared && table.of(address) >= self.limits.connections_per_address_max;
        let is_full = table.open.len() >= self.limits.connections_max;
        if has_its_part || (is_full && !self.end_idle(&mut table)) {
            drop(table);
            self.tell_refused(address, has_its_part);
            return None;
        }
        let progress = Arc::new(Progress::new());
        let id = table.insert(address, Arc::clone(&progress));
        Some(Place {
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

    fn tell_refused(&self, address: IpAddr, has_its_part: bool) {
        let Some(count) = self.refused.count() else {
            return;
        };
        let reason = if has_its_part {
            format!("{address} has as many as one address may have")
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
    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or_default()
    }

    fn insert(&mut self, address: IpAddr, progress: Arc<Progress>) -> u64 {
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.open.insert(id, Open { address, progress });
        let count = self.by_address.entry(address).or_default();
        *count = count.saturating_add(1);
        id
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        if let Some(count) = self.by_address.get_mut(&open.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_address.remove(&open.address);
            }
        }
        Some(open)
    }

    /// Of some connections, another part of them each time, one that has no request: rather one
    /// that never had any, and then the one that has been so for the longest.
    fn longest_idle(&mut self) -> Option<u64> {
        let before = self.open.range(..self.hand);
        let candidates = self.open.range(self.hand..).chain(before);
        let mut last = self.hand;
        let idle = candidates.take(CANDIDATES_MAX).filter_map(|(id, open)| {
            last = *id;
            let (since, never_had_any) = open.progress.idle_since()?;
            Some((!never_had_any, since, *id))
        });
        let longest = idle.min();
        self.hand = last.wrapping_add(1);
        longest.map(|(_, _, id)| id)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.table().remove(self.id);
    }
}

/// Whoever has an IPv6 address has 2⁶⁴ of them.
fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_CUSTOMER).into(),
        address @ IpAddr::V4(_) => address,
    }
}
