//! Captured money, in what it may differ from what was asked for, and why it may not be owed.

use chrono::{DateTime, Utc};

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

/// In what Stripe's word differs from ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The metadata names another booking.
    Booking,
    /// Another currency, or none that is readable.
    Currency,
    /// Another amount.
    Amount,
    /// Stripe does not know the session.
    SessionUnknown,
    /// The session is in a state that nobody knows.
    SessionUnexplained,
}

impl Mismatch {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
