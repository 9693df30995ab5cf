//! The simulator's own clock: it follows the system's, may be set ahead of it, and may stand still.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, TimeDelta, Utc};

/// Stripe's clock, which is never exactly the client's.
#[derive(Debug)]
pub(super) struct Clock {
    standing_at: Option<DateTime<Utc>>,
    ahead: TimeDelta,
    /// How far it is off by chance, standing or not.
    astray: TimeDelta,
}

impl Clock {
    /// Stands still at `now`, or follows the system clock.
    pub(super) fn new(now: Option<DateTime<Utc>>) -> Self {
        Self {
            standing_at: now,
            ahead: TimeDelta::zero(),
            astray: TimeDelta::zero(),
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        let now = self.standing_at.unwrap_or_else(|| {
            let system = DateTime::<Utc>::from(SystemTime::now());
            system.checked_add_signed(self.ahead).unwrap_or(system)
        });
        now.checked_add_signed(self.astray).unwrap_or(now)
    }

    /// From here on the clock stands still.
    pub(super) fn stand_at(&mut self, now: DateTime<Utc>) {
        self.standing_at = Some(now);
    }

    /// From here on the clock is wrong by so much.
    pub(super) fn go_astray(&mut self, by: TimeDelta) {
        self.astray = by;
    }

    /// Moves the clock, standing or not. A time outside the calendar changes nothing.
    pub(super) fn advance(&mut self, by: TimeDelta) {
        match &mut self.standing_at {
            Some(now) => *now = now.checked_add_signed(by).unwrap_or(*now),
            None => self.ahead = self.ahead.checked_add(&by).unwrap_or(self.ahead),
        }
    }
}

/// Real time: deliveries are retried while the simulated clock stands still.
pub(super) fn real_milliseconds() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
