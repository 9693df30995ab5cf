//! The time.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SubsecRound, Utc};

use crate::error::{Error, Result};

/// Tells the time: the system's, or one that stands still until a test moves it.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Stopped(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `at` until it is moved.
    pub fn stopped(at: DateTime<Utc>) -> Self {
        Self(Source::Stopped(Arc::new(Mutex::new(at))))
    }

    /// The time, in whole microseconds: what the database keeps.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the time"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.0 {
            Source::System => Utc::now(),
            Source::Stopped(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.trunc_subsecs(6)
    }

    /// Moves a stopped clock, forward or back. A fault on the system's clock, and where the time
    /// would leave the calendar.
    pub fn advance(&self, by: chrono::Duration) -> Result<()> {
        let Source::Stopped(at) = &self.0 else {
            return Err(Error::fault("the system's clock cannot be moved"));
        };
        let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = at
            .checked_add_signed(by)
            .ok_or_else(|| Error::fault("the clock would leave the calendar"))?;
        Ok(())
    }
}
