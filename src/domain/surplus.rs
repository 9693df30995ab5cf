//! Surplus: money that came and is not owed.

/// Why money is not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurplusReason {
    /// Everything due had been paid.
    AlreadyPaid,
    /// The hold had ended, and the seats are gone.
    LatePayment,
    /// The booking had been called off.
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
