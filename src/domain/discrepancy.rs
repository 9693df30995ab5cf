//! Differences between what Stripe reports and our records, which a person has to look at.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{BookingId, DiscrepancyId};

/// Where a discrepancy stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, Deserialize, utoipa::ToSchema,
)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum DiscrepancyStatus {
    /// Nobody has seen to it.
    Open,
    /// What was wrong has been put right.
    Healed,
    /// A person has looked, and wants nothing done.
    Dismissed,
}

/// A difference between what Stripe reports and our records.
#[derive(Debug, Clone)]
pub struct Discrepancy {
    /// Our id of it.
    pub id: DiscrepancyId,
    /// In what they differ.
    pub kind: String,
    /// What it is about, such as an attempt's id.
    pub subject: String,
    /// The booking, if it is about one.
    pub booking_id: Option<BookingId>,
    /// What we have.
    pub ours: Value,
    /// What Stripe says.
    pub theirs: Value,
    /// Where it stands.
    pub status: DiscrepancyStatus,
    /// When it was found.
    pub found_at: DateTime<Utc>,
    /// Why it was dismissed, if that was said.
    pub dismiss_reason: Option<String>,
}
