//! Where a dispute stands.

use serde::{Deserialize, Serialize};

/// Where a dispute stands, in Stripe's words and in their order: it only goes forward. The first
/// three are of a question of the bank's, which may become a chargeback and may not.
/// <https://docs.stripe.com/api/disputes/object#dispute_object-status>
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    sqlx::Type,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[sqlx(type_name = "dispute_status", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// The bank asks; nothing is taken back.
    WarningNeedsResponse,
    /// The bank has our answer to its question.
    WarningUnderReview,
    /// The bank has asked, and takes nothing back.
    WarningClosed,
    /// The bank takes the money back unless we answer.
    NeedsResponse,
    /// The bank has our answer.
    UnderReview,
    /// Stripe has settled it with the bank before it came to anything.
    Prevented,
    /// The money is ours.
    Won,
    /// The money is the cardholder's.
    Lost,
}

impl DisputeStatus {
    /// Whether there is nothing to answer any more.
    pub fn is_closed(self) -> bool {
        self == Self::WarningClosed || self.is_decided()
    }

    /// Whether it has come to its end. Only another end can follow: a bank may think again.
    pub fn is_decided(self) -> bool {
        self >= Self::Prevented
    }
}
