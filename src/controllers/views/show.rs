//! A show.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::movie::MovieView;
use crate::domain::catalogue::{PolicyStep, Show, ShowStatus, Tier};
use crate::domain::ids::ShowId;

/// A show.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShowView {
    id: ShowId,
    movie: Option<MovieView>,
    title: String,
    starts_at: DateTime<Utc>,
    timezone: String,
    status: ShowStatus,
    currency: String,
    tiers: Vec<Tier>,
    max_seats_per_booking: i32,
    seats: SeatCountView,
    cancellation_policy: Vec<PolicyStepView>,
}

/// How many seats a show has.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SeatCountView {
    total: i64,
    free: i64,
}

/// One step of a cancellation policy: who cancels at least so many hours before gets so much back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyStepView {
    /// Hours before the start.
    hours_before: u32,
    /// Per cent of what was paid.
    refund_percent: u8,
}

impl ShowView {
    /// The show as it stands at `now`: one that has begun is closed.
    pub(crate) fn at(show: Show, now: DateTime<Utc>) -> Self {
        let policy = show.cancellation_policy.into_iter();
        Self {
            id: show.id,
            movie: show.movie.map(MovieView::from),
            title: show.title,
            starts_at: show.starts_at,
            timezone: show.timezone,
            status: show.status.at(show.starts_at, now),
            currency: show.currency.to_string(),
            tiers: show.tiers,
            max_seats_per_booking: show.max_seats_per_booking,
            seats: SeatCountView {
                total: show.seats_total,
                free: show.seats_free,
            },
            cancellation_policy: policy.map(PolicyStepView::from).collect(),
        }
    }
}

impl From<PolicyStep> for PolicyStepView {
    fn from(step: PolicyStep) -> Self {
        Self {
            hours_before: step.hours_before,
            refund_percent: step.refund_percent,
        }
    }
}

impl From<PolicyStepView> for PolicyStep {
    fn from(step: PolicyStepView) -> Self {
        Self {
            hours_before: step.hours_before,
            refund_percent: step.refund_percent,
        }
    }
}
