//! What can go wrong by chance.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mishap {
    /// An event is delivered before those that its cause made earlier.
    Reorder,
    /// An event is delivered twice.
    Double,
    /// An event is delivered after up to `lateSeconds`.
    Late,
    /// The first delivery of an event gets lost; the next comes as after any that has failed.
    Drop,
    /// An event is never delivered, unless it is asked for.
    Lose,
    /// An event is labelled with a version of the API that is years old.
    OldVersion,
    /// A request is answered after its events were delivered.
    Early,
    /// A request is executed after up to `slowSeconds`.
    SlowRequest,
    /// A request is answered up to `slowSeconds` after it was executed.
    SlowAnswer,
    /// A request is executed and its connection closes.
    LostAnswer,
    /// A connection closes and nothing is executed.
    Reset,
    /// 429, and nothing is executed.
    RateLimit,
    /// 500, and nothing is executed.
    Error,
    /// 500, and the key answers so from then on; in every second case the request was executed all
    /// the same.
    StoredError,
    /// 503, and nothing is executed.
    Unavailable,
    /// A delayed payment fails, up to `bankSeconds` after it began; all others come.
    DelayedFails,
    /// Refunds of a payment by card are pending for up to `bankSeconds`.
    RefundWaits,
    /// A refund fails up to `bankSeconds` after it was made.
    RefundFails,
    /// At a request, the clock goes wrong by up to `clockSeconds`, either way.
    ClockJump,
}

/// At most one of these happens to a request: the first that is drawn.
pub(super) const OF_REQUESTS: [Mishap; 8] = [
    Mishap::StoredError,
    Mishap::LostAnswer,
    Mishap::Reset,
    Mishap::RateLimit,
    Mishap::Error,
    Mishap::Unavailable,
    Mishap::SlowRequest,
    Mishap::SlowAnswer,
];

impl Mishap {
    /// How often it happens unless it is said, in a hundred cases.
    pub(super) fn usual_percent(self) -> u64 {
        match self {
            Self::Reorder | Self::Late | Self::RefundWaits => 20,
            Self::Double | Self::Drop | Self::OldVersion | Self::Early => 10,
            Self::DelayedFails => 30,
            Self::SlowRequest | Self::SlowAnswer | Self::RefundFails => 5,
            Self::Lose
            | Self::LostAnswer
            | Self::Reset
            | Self::RateLimit
            | Self::Error
            | Self::Unavailable => 3,
            Self::StoredError | Self::ClockJump => 1,
        }
    }
}
