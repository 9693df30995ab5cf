//! Services: somebody's time, sold by the hour.

use chrono::NaiveTime;
use chrono_tz::Tz;

use super::cancellation_policy::PolicyStep;
use crate::domain::ids::ServiceId;
use crate::domain::money::Money;

/// A service as it is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub(crate) id: ServiceId,
    /// What its page is called: `baby-care`.
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    /// In which its opening hours are.
    pub(crate) timezone: Tz,
    pub(crate) price_per_hour: Money,
    /// Of the total, from 1 to 100.
    pub(crate) deposit_percent: u32,
    /// The fewest hours of one booking, from 1.
    pub(crate) min_hours: u32,
    pub(crate) max_hours: u32,
    /// Between two bookings of one resource.
    pub(crate) buffer_minutes: u32,
    /// A slot begins at least so long after it is booked.
    pub(crate) lead_minutes: u32,
    /// A slot begins at most so long after it is booked.
    pub(crate) horizon_days: u32,
    /// On the wall, each day.
    pub(crate) opens_at: NaiveTime,
    /// Later than it opens.
    pub(crate) closes_at: NaiveTime,
    /// Who or what does it; each can be booked once at a time.
    pub(crate) resources: Vec<String>,
    /// Of bookings that are made now.
    pub(crate) cancellation_policy: Vec<PolicyStep>,
}
