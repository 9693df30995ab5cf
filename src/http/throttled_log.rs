//! Says how often something has happened, without a line of the log for each.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines of the log about the same.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts what strangers can make happen as often as they like.
#[derive(Default)]
pub(super) struct ThrottledLog(Mutex<State>);

#[derive(Default)]
struct State {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl ThrottledLog {
    /// Counts one. How many there were since they were last said, if it is time to say so.
    pub(super) fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid = state.unsaid.saturating_add(1);
        let is_time = |said_at| now.duration_since(said_at) >= PAUSE;
        if !state.said_at.is_none_or(is_time) {
            return None;
        }
        state.said_at = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_then_once_a_second_how_many_there_were() {
        let (log, now) = (ThrottledLog::default(), Instant::now());

        assert_eq!(log.count_at(now), Some(1));
        for milliseconds in 0..20 {
            let soon = now + Duration::from_millis(milliseconds * 50);
            assert_eq!(log.count_at(soon), None);
        }

        assert_eq!(log.count_at(now + PAUSE), Some(21));
        assert_eq!(log.count_at(now + PAUSE), None);
    }
}
