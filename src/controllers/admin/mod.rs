//! What only admins do.

pub mod audit_log;
pub mod bookings;
pub mod discrepancies;
pub mod movies;
pub mod payment_events;
pub mod reconciliations;
pub mod refunds;
pub mod reviews;
pub mod runs;
pub mod services;
pub mod shows;
mod views;
pub mod vouchers;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::refusal::Refusal;

const REASON_CHARACTERS_MAX: usize = 500;

/// Why an admin does something, if they say so.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reasoned {
    /// At most 500 characters.
    reason: Option<String>,
}

impl Reasoned {
    /// The reason, if there is one; refuses one that says nothing, or too much.
    fn into_reason(self) -> Result<Option<String>, Refusal> {
        if let Some(reason) = &self.reason {
            check_reason(reason)?;
        }
        Ok(self.reason)
    }
}

/// Refuses a reason that says nothing, or too much.
fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.trim().is_empty() || reason.chars().count() > REASON_CHARACTERS_MAX {
        let message = format!("must have 1 to {REASON_CHARACTERS_MAX} characters");
        return Err(Refusal::field("reason", message));
    }
    Ok(())
}
