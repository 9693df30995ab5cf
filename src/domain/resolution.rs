//! What a person can decide about a booking under review.

use serde::{Deserialize, Serialize};

/// What a person decides about a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Resolution {
    /// It is confirmed for the money that came.
    Confirm,
    /// It is cancelled, and the money goes back.
    Cancel,
}

impl Resolution {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
        }
    }
}
