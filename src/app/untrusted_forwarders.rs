//! Who forwards requests and is not believed.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// How many are noted by one process: anybody may send the header.
const FORWARDERS_MAX: usize = 20;

/// Remembers who has been noted.
#[derive(Default)]
pub struct ForwardersSeen(Mutex<HashSet<IpAddr>>);

impl ForwardersSeen {
    /// Whether this one is to be noted, which is said once.
    pub fn is_new(&self, forwarder: IpAddr) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.len() < FORWARDERS_MAX && seen.insert(forwarder)
    }
}
