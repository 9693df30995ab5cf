//! Says how often something has happened, without a line of the log for each.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines of the log about the same.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts what strangers can make happen as often as they like.
#[derive(Default)]
pub(super) struct Tally(Mutex<State>);

#[derive(Default)]
struct State {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl Tally {
    /// Counts one. How many there were since they were last said, if it is time to say so.
    pub(super) fn count(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid = state.unsaid.saturating_add(1);
        let now = Instant::now();
        let is_time = |said_at| now.duration_since(said_at) >= PAUSE;
        if !state.said_at.is_none_or(is_time) {
            return None;
        }
        state.said_at = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}
