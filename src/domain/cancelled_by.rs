//! Who calls a booking off.

use serde::{Deserialize, Serialize};

/// Who calls a booking off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CancelledBy {
    /// Whose it is.
    Buyer,
    /// An admin.
    Admin,
}
