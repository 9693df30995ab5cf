//! What a verification has found.

use crate::domain::difference::Difference;

/// More differences are only counted.
const DIFFERENCES_MAX: usize = 1_000;

/// What has come out.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many bookings were looked at.
    pub bookings: u64,
    /// How many events were replayed.
    pub events: u64,
    /// What differs, the first thousand.
    pub differences: Vec<Difference>,
    /// How much more differs.
    pub more: u64,
}

impl Findings {
    pub(super) fn add(&mut self, differences: Vec<Difference>) {
        for difference in differences {
            if self.differences.len() < DIFFERENCES_MAX {
                self.differences.push(difference);
            } else {
                self.more = self.more.saturating_add(1);
            }
        }
    }
}

pub(super) fn add(sum: u64, number: usize) -> u64 {
    sum.saturating_add(u64::try_from(number).unwrap_or_default())
}
