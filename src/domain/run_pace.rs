//! How many bookings all runs together may begin to end, so that buyers are served beside them.

use chrono::{DateTime, TimeDelta, Utc};

/// How long one booking lasts, in milliseconds: runs ask Stripe for no more than ten things a
/// second, fewer than half of what a sandbox allows.
const BOOKING_LASTS_MILLISECONDS: i64 = 100;
/// How long lasts what may be taken on in one go: twenty bookings.
const LASTS: TimeDelta = TimeDelta::seconds(2);

/// Bookings that may be taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How many.
    pub bookings: usize,
    /// Until when lasts what was taken on in all.
    pub lasts_until: DateTime<Utc>,
}

/// How many of so many wanted bookings may be taken on at `now`, where what was taken on before
/// lasts until then. More than is ever taken on in one go was stored by a clock that is ahead, and
/// does not count: else all runs would wait for its time to come.
pub fn take(lasts_until: DateTime<Utc>, wanted: usize, now: DateTime<Utc>) -> Taken {
    let is_possible = (now..=now + LASTS).contains(&lasts_until);
    let from = if is_possible { lasts_until } else { now };
    let room = (now + LASTS - from).num_milliseconds();
    let room = room.checked_div(BOOKING_LASTS_MILLISECONDS);
    let room = room.and_then(|room| usize::try_from(room).ok());
    let bookings = wanted.min(room.unwrap_or_default());
    let lasting = i64::try_from(bookings).unwrap_or_default();
    let lasting = lasting.saturating_mul(BOOKING_LASTS_MILLISECONDS);
    Taken {
        bookings,
        lasts_until: from + TimeDelta::milliseconds(lasting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_ten_bookings_a_second_are_taken_on() {
        let hour = 3_600_000;
        for (lasts_until, wanted, expected) in [
            (-hour, 0, (0, 0)),
            (-hour, 7, (7, 700)),
            (-hour, 300, (20, 2_000)),
            (0, 20, (20, 2_000)),
            (700, 20, (13, 2_000)),
            (1_950, 20, (0, 1_950)),
            (2_000, 20, (0, 2_000)),
            (2_001, 20, (20, 2_000)),
            (hour, 1, (1, 100)),
        ] {
            let now = DateTime::UNIX_EPOCH;

            let taken = take(now + TimeDelta::milliseconds(lasts_until), wanted, now);

            let lasts = (taken.lasts_until - now).num_milliseconds();
            assert_eq!((taken.bookings, lasts), expected, "{lasts_until} {wanted}");
        }
    }
}
