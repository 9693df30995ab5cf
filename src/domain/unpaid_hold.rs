//! A hold as whoever has too many of them is told of it.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::ids::{BookingId, ShowId};

/// A booking that holds something and is not paid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnpaidHold {
    /// The booking.
    pub id: BookingId,
    /// Its reference.
    pub reference: String,
    /// Of which show, if it is of one.
    pub show_id: Option<ShowId>,
    /// When it ends.
    pub hold_expires_at: DateTime<Utc>,
}
