//! How many calls may be made again: a tenth of all that are made, so that a Stripe that fails is
//! not asked several times as much as one that works. Pure: it is told the time.

use std::time::{Duration, Instant};

use crate::config::StripeLimits;

/// A retry, in the unit that the budget is kept in: what each call adds to it.
const RETRY: u32 = 10;
/// A retry is added every second, however few call.
const UNIT_EVERY: Duration = Duration::from_millis(100);

pub(super) struct RetryBudget {
    units: u32,
    /// What is kept at most, and there from the start: where few call, each may try again.
    units_max: u32,
    filled_at: Instant,
}

impl RetryBudget {
    pub(super) fn new(limits: StripeLimits, now: Instant) -> Self {
        let units_max = limits.retries_at_once.saturating_mul(RETRY);
        Self {
            units: units_max,
            units_max,
            filled_at: now,
        }
    }

    /// A call is made for the first time.
    pub(super) fn note_call(&mut self) {
        self.units = self.units.saturating_add(1).min(self.units_max);
    }

    /// Whether a call may be made again, which then counts.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at);
        let added = passed.as_nanos().checked_div(UNIT_EVERY.as_nanos());
        let added = added
            .and_then(|added| u32::try_from(added).ok())
            .unwrap_or(self.units_max);
        if added > 0 {
            self.units = self.units.saturating_add(added).min(self.units_max);
            self.filled_at = now;
        }
        let left = self.units.checked_sub(RETRY);
        self.units = left.unwrap_or(self.units);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(budget: &mut RetryBudget, now: Instant) -> usize {
        (0..1_000).take_while(|_| budget.take(now)).count()
    }

    #[test]
    fn a_few_are_there_from_the_start_and_then_a_tenth_of_the_calls() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(StripeLimits::LIVE, now);

        assert_eq!(retries(&mut budget, now), 10);
        (0..50).for_each(|_| budget.note_call());
        assert_eq!(retries(&mut budget, now), 5);
        (0..10_000).for_each(|_| budget.note_call());
        assert_eq!(retries(&mut budget, now), 10, "no more are kept");
    }

    #[test]
    fn where_few_call_one_comes_back_every_second() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(StripeLimits::LIVE, now);
        retries(&mut budget, now);

        assert_eq!(retries(&mut budget, now + Duration::from_millis(900)), 0);
        assert_eq!(retries(&mut budget, now + Duration::from_millis(2_900)), 2);
        assert_eq!(retries(&mut budget, now + Duration::from_mins(5)), 10);
    }
}
