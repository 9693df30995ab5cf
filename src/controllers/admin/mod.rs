//! What only admins do.

pub mod audit_log;
pub mod bookings;
pub mod discrepancies;
pub mod movies;
pub mod payment_events;
pub mod reconciliations;
pub mod services;
pub mod shows;
mod views;

use serde::Deserialize;
use utoipa::ToSchema;

/// Why an admin does something, if they say so.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reasoned {
    reason: Option<String>,
}
