//! A service, and its slots.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::show::PolicyStepView;
use crate::domain::catalogue::Service;
use crate::domain::ids::ServiceId;
use crate::domain::money::Money;
use crate::domain::slots::FreeSlot;

/// A service.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    id: ServiceId,
    slug: String,
    title: String,
    description: Option<String>,
    timezone: String,
    price_per_hour: Money,
    /// Of the total, where a booking is paid in two parts.
    deposit_percent: u32,
    min_hours: u32,
    max_hours: u32,
    buffer_minutes: u32,
    lead_minutes: u32,
    horizon_days: u32,
    #[schema(example = "09:00")]
    opens_at: String,
    #[schema(example = "21:00")]
    closes_at: String,
    resources: Vec<String>,
    cancellation_policy: Vec<PolicyStepView>,
}

/// A slot that can be had.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FreeSlotView {
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    /// How many resources have it free.
    free: usize,
}

impl From<Service> for ServiceView {
    fn from(service: Service) -> Self {
        let policy = service.cancellation_policy.into_iter();
        Self {
            id: service.id,
            slug: service.slug,
            title: service.title,
            description: service.description,
            timezone: service.timezone.name().to_owned(),
            price_per_hour: service.price_per_hour,
            deposit_percent: service.deposit_percent,
            min_hours: service.min_hours,
            max_hours: service.max_hours,
            buffer_minutes: service.buffer_minutes,
            lead_minutes: service.lead_minutes,
            horizon_days: service.horizon_days,
            opens_at: service.opens_at.format("%H:%M").to_string(),
            closes_at: service.closes_at.format("%H:%M").to_string(),
            resources: service.resources,
            cancellation_policy: policy.map(PolicyStepView::from).collect(),
        }
    }
}

impl From<FreeSlot> for FreeSlotView {
    fn from(slot: FreeSlot) -> Self {
        Self {
            starts_at: slot.starts_at,
            ends_at: slot.ends_at,
            free: slot.free,
        }
    }
}
