//! Captured money, in what it may differ from what was asked for, and why it may not be owed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::money::Money;

/// Money that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedFunds {
    /// How much.
    pub money: Money,
    /// The PaymentIntent, where Stripe names it.
    pub payment_intent_id: Option<String>,
    /// When it was captured.
    pub captured_at: DateTime<Utc>,
}

/// In what Stripe's report differs from what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// The metadata names another booking.
    #[serde(rename = "booking_mismatch")]
    Booking,
    /// Another currency, or none that is readable.
    #[serde(rename = "currency_mismatch")]
    Currency,
    /// Another amount.
    #[serde(rename = "amount_mismatch")]
    Amount,
    /// Stripe does not know the session.
    SessionUnknown,
    /// The session is in a state that nobody knows.
    SessionUnexplained,
}

impl Mismatch {
    /// Each there is.
    pub const ALL: [Self; 5] = [
        Self::Booking,
        Self::Currency,
        Self::Amount,
        Self::SessionUnknown,
        Self::SessionUnexplained,
    ];

    /// The kind of the discrepancy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booking => "booking_mismatch",
            Self::Currency => "currency_mismatch",
            Self::Amount => "amount_mismatch",
            Self::SessionUnknown => "session_unknown",
            Self::SessionUnexplained => "session_unexplained",
        }
    }
}

/// Why captured money is not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SurplusReason {
    /// Everything due had been paid.
    AlreadyPaid,
    /// The hold had ended, and what it reserved is gone.
    LatePayment,
    /// The booking had been cancelled.
    Cancelled,
    /// It is not what was asked for.
    Mismatch,
    /// A person is looking at the booking already.
    UnderReview,
}

impl SurplusReason {
    /// Whether the money goes back by itself. Where something does not fit, a person decides first.
    pub fn refunds_itself(self) -> bool {
        match self {
            Self::AlreadyPaid | Self::LatePayment | Self::Cancelled => true,
            Self::Mismatch | Self::UnderReview => false,
        }
    }

    /// The word that is stored with the payment.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlreadyPaid => "already_paid",
            Self::LatePayment => "late_payment",
            Self::Cancelled => "cancelled",
            Self::Mismatch => "mismatch",
            Self::UnderReview => "under_review",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::to_value;

    use super::*;

    #[test]
    fn a_mismatch_and_a_reason_have_one_word_each() {
        for mismatch in Mismatch::ALL {
            assert_eq!(to_value(mismatch).unwrap(), mismatch.as_str());
        }
        for reason in [
            SurplusReason::AlreadyPaid,
            SurplusReason::LatePayment,
            SurplusReason::Cancelled,
            SurplusReason::Mismatch,
            SurplusReason::UnderReview,
        ] {
            assert_eq!(to_value(reason).unwrap(), reason.as_str());
        }
    }
}
