//! The feed: who waits for a booking to change learns it here, whichever process has changed it.
//!
//! It is fed from the rows of `booking_events` by one reader per process, and by nothing else. The
//! reader reads while somebody follows a booking; a commit of this process only nudges it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::domain::ids::BookingId;

/// Who follows which booking in this process.
#[derive(Default)]
pub struct Feed {
    followed: Mutex<HashMap<BookingId, watch::Sender<()>>>,
    nudges: Notify,
}

/// Follows one booking from the moment it is made.
pub struct Follower<'a> {
    feed: &'a Feed,
    booking_id: BookingId,
    /// Absent only while it is dropped.
    changes: Option<watch::Receiver<()>>,
}

impl Feed {
    /// Follows a booking. Made before the first look at it, it misses no change after that look.
    pub fn follow(&self, booking_id: BookingId) -> Follower<'_> {
        let mut followed = self.followed();
        let is_first = followed.is_empty();
        let sender = followed
            .entry(booking_id)
            .or_insert_with(|| watch::channel(()).0);
        let changes = sender.subscribe();
        drop(followed);
        if is_first {
            self.nudge();
        }
        Follower {
            feed: self,
            booking_id,
            changes: Some(changes),
        }
    }

    /// Whether anybody follows a booking.
    pub fn is_followed(&self) -> bool {
        !self.followed().is_empty()
    }

    /// Tells the followers of a booking that it has changed.
    pub fn publish(&self, booking_id: BookingId) {
        if let Some(sender) = self.followed().get(&booking_id) {
            sender.send_replace(());
        }
    }

    /// Tells all followers to look again: changes may have been missed.
    pub fn publish_gap(&self) {
        for sender in self.followed().values() {
            sender.send_replace(());
        }
    }

    /// Tells the reader that there may be something to read.
    pub fn nudge(&self) {
        self.nudges.notify_one();
    }

    /// Waits for the next nudge, or takes one that came meanwhile.
    pub async fn nudged(&self) {
        self.nudges.notified().await;
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<BookingId, watch::Sender<()>>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower<'_> {
    /// Returns when the booking may have changed since the last call, or since this was made.
    pub async fn changed(&mut self) {
        let told = match &mut self.changes {
            Some(changes) => changes.changed().await.is_ok(),
            None => false,
        };
        if !told {
            // The feed keeps the sender as long as somebody follows.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Follower<'_> {
    fn drop(&mut self) {
        let mut followed = self.feed.followed();
        // Under the lock, so that the last of two who leave at once knows that it is the last.
        drop(self.changes.take());
        if followed
            .get(&self.booking_id)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            followed.remove(&self.booking_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn only_the_followers_of_a_booking_hear_of_it() {
        let feed = Feed::default();
        let (one, other) = (BookingId::new(), BookingId::new());
        let mut follower = feed.follow(one);

        feed.publish(other);
        assert!(follower.changed().now_or_never().is_none());
        feed.publish(one);
        assert!(follower.changed().now_or_never().is_some());
        assert!(follower.changed().now_or_never().is_none());
        feed.publish_gap();
        assert!(follower.changed().now_or_never().is_some());
    }

    #[test]
    fn a_booking_is_forgotten_with_its_last_follower() {
        let feed = Feed::default();
        let id = BookingId::new();
        let (first, second) = (feed.follow(id), feed.follow(id));

        drop(first);
        assert!(feed.is_followed());
        drop(second);
        assert!(!feed.is_followed());
    }
}
