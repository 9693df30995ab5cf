//! Which connections are trusted: those that were made after anything last went wrong with one.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::sqlstate::SqlState;

/// While a server only reads, connections are not made anew for each statement that fails.
const LOSS_PAUSE: Duration = Duration::from_secs(1);

/// What is thought of the connections of a process, of all its pools. What breaks one has mostly
/// broken them all: its server was stopped, has changed roles, or cannot be reached any more. So
/// one request finds that out, and not one for each connection.
#[derive(Debug, Default)]
pub struct Trust {
    lost_at: watch::Sender<Option<Instant>>,
}

impl Trust {
    /// Trusts no connection any more that is there now.
    pub fn lose(&self, why: &dyn fmt::Display) {
        self.lost_at.send_replace(Some(Instant::now()));
        tracing::warn!("connections to Postgres are made anew: {why}");
    }

    /// The same, because a connection has broken that was lent at this time. One that was lent
    /// before trust was last lost says nothing of those that were made since.
    pub(super) fn lose_by_statement(&self, lent_at: Instant, error: &sqlx::Error) {
        // Where it only reads, a new connection may be no better.
        let is_read_only = SqlState::of(error) == Some(SqlState::ReadOnly);
        let is_known = |lost_at: Instant| {
            lent_at <= lost_at || (is_read_only && lost_at.elapsed() < LOSS_PAUSE)
        };
        if !self.lost_at.borrow().is_some_and(is_known) {
            self.lose(error);
        }
    }

    /// Whether a connection of this age is trusted.
    pub fn includes(&self, age: Duration) -> bool {
        self.lost_at
            .borrow()
            .is_none_or(|lost_at| age < lost_at.elapsed())
    }

    /// Waits for the next time that trust is lost after this call.
    pub fn lost(&self) -> impl Future<Output = ()> + use<> {
        let mut lost_at = self.lost_at.subscribe();
        async move {
            // An error means that nobody is left to lose it.
            let _ = lost_at.changed().await;
        }
    }
}
