//! Dates and instants as far as the contract can write them and the database can keep them: RFC
//! 3339 has four digits for a year, and the database has microseconds.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};

/// What is said of a date or an instant in another year.
pub const YEARS_SENTENCE: &str = "must lie in the years 0 to 9999";

/// Whether the date can be written and kept.
pub fn has_date(date: NaiveDate) -> bool {
    (0..=9_999).contains(&date.year())
}

/// Whether the instant can be written and kept.
pub fn has_instant(instant: DateTime<Utc>) -> bool {
    has_date(instant.date_naive())
}

/// The next instant that the database can tell from `now`: what begins now has begun.
pub fn just_after(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::microseconds(1)
}
