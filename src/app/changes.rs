//! News of bookings that have changed.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{broadcast, mpsc};

use crate::domain::ids::BookingId;

/// News that is kept for a slow reader.
const CHANGES_KEPT: usize = 1_024;

/// News of bookings that have changed, for those who wait for them: in this process at once, in the
/// others by a relay.
pub struct Changes {
    here: broadcast::Sender<BookingId>,
    elsewhere: mpsc::Sender<BookingId>,
    outbox: Mutex<Option<mpsc::Receiver<BookingId>>>,
}

impl Changes {
    pub(super) fn new() -> Self {
        let (here, _) = broadcast::channel(CHANGES_KEPT);
        let (elsewhere, outbox) = mpsc::channel(CHANGES_KEPT);
        Self {
            here,
            elsewhere,
            outbox: Mutex::new(Some(outbox)),
        }
    }

    /// Tells that a booking has changed, once that is committed. Never waits: who misses the news
    /// looks for himself.
    pub fn tell(&self, id: BookingId) {
        self.tell_here(id);
        if self.elsewhere.try_send(id).is_err() {
            tracing::debug!("the news of a booking does not reach the other processes");
        }
    }

    /// Tells those who wait in this process.
    pub fn tell_here(&self, id: BookingId) {
        // An error means that nobody waits.
        drop(self.here.send(id));
    }

    /// The news from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<BookingId> {
        self.here.subscribe()
    }

    /// What is to be told to the other processes; there is one outbox, for whoever comes first.
    pub fn take_outbox(&self) -> Option<mpsc::Receiver<BookingId>> {
        self.outbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
