//! Shows on sale.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::cancellation_policy::PolicyStep;
use super::movie::Movie;
use crate::domain::currency::Currency;
use crate::domain::ids::ShowId;
use crate::domain::money::Money;

/// A show as it is listed.
#[derive(Debug, Clone)]
pub struct Show {
    pub(crate) id: ShowId,
    /// If what is shown is a movie of the catalogue.
    pub(crate) movie: Option<Movie>,
    /// As sold.
    pub(crate) title: String,
    pub(crate) starts_at: DateTime<Utc>,
    /// The IANA name of the zone of its place.
    pub(crate) timezone: String,
    /// Regardless of its start; see [`ShowStatus::at`].
    pub(crate) status: ShowStatus,
    pub(crate) currency: Currency,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) max_seats_per_booking: i32,
    pub(crate) seats_total: i64,
    /// Those that can be booked now.
    pub(crate) seats_free: i64,
    /// Of bookings that are made now.
    pub(crate) cancellation_policy: Vec<PolicyStep>,
}

/// A price category of a show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tier {
    /// Such as "regular"; unique within the show.
    pub name: String,
    /// What one seat costs.
    pub price: Money,
}

/// What a show is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, utoipa::ToSchema)]
#[sqlx(type_name = "show_status", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum ShowStatus {
    /// Seats can be booked.
    OnSale,
    /// No more seats are sold.
    Closed,
    /// It does not take place.
    Cancelled,
}

impl ShowStatus {
    /// The status as seen at `now`: a show that has begun is closed.
    #[must_use]
    pub fn at(self, starts_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        match self {
            Self::OnSale if starts_at <= now => Self::Closed,
            Self::OnSale | Self::Closed | Self::Cancelled => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_show_that_has_begun_is_closed() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();

        assert_eq!(ShowStatus::OnSale.at(now, now), ShowStatus::Closed);
        assert_eq!(ShowStatus::Cancelled.at(now, now), ShowStatus::Cancelled);
    }
}
