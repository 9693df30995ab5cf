//! How far a clock of ours is from somebody else's, and from when on that matters.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

/// More than a clock that is kept right by NTP is ever off, and than answers take.
pub const SKEW_NOTICED: TimeDelta = TimeDelta::seconds(30);
/// The signatures of events are good for five minutes, and what sends them is not always quick.
/// <https://docs.stripe.com/webhooks#replay-attacks>
pub const SKEW_MAX: TimeDelta = TimeDelta::minutes(4);

/// By how much our clock is ahead of another one; below zero, it is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew(TimeDelta);

impl Skew {
    /// What is certain of it, if the other clock was read between `before` and `after` of ours.
    pub fn between(before: DateTime<Utc>, theirs: DateTime<Utc>, after: DateTime<Utc>) -> Self {
        Self(if theirs < before {
            before - theirs
        } else if theirs > after {
            after - theirs
        } else {
            TimeDelta::zero()
        })
    }

    /// Whether somebody should look at the clocks.
    pub fn is_noticeable(self) -> bool {
        self.0.abs() > SKEW_NOTICED
    }

    /// Whether what depends on the time goes wrong.
    pub fn is_too_large(self) -> bool {
        self.0.abs() > SKEW_MAX
    }
}

/// What stands before the other's name: `45 s ahead of`.
impl fmt::Display for Skew {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.abs().num_seconds();
        let side = if self.0 < TimeDelta::zero() {
            "behind"
        } else {
            "ahead of"
        };
        write!(formatter, "{seconds} s {side}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_is_what_the_time_of_the_answer_does_not_explain() {
        let at = |seconds: i64| DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap();
        let cases = [
            ((0, 3, 5), "0 s ahead of", false, false),
            ((0, -30, 5), "30 s ahead of", false, false),
            ((0, -31, 5), "31 s ahead of", true, false),
            ((0, 35, 5), "30 s behind", false, false),
            ((0, 36, 5), "31 s behind", true, false),
            ((0, -240, 0), "240 s ahead of", true, false),
            ((0, -241, 0), "241 s ahead of", true, true),
            ((0, 241, 0), "241 s behind", true, true),
        ];

        for ((before, theirs, after), words, noticeable, too_large) in cases {
            let skew = Skew::between(at(before), at(theirs), at(after));
            assert_eq!(skew.to_string(), words);
            assert_eq!(skew.is_noticeable(), noticeable, "{words}");
            assert_eq!(skew.is_too_large(), too_large, "{words}");
        }
    }
}
