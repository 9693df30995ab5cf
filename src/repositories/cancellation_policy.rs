//! A cancellation policy as a show offers it and a booking freezes it: one column of JSON.

use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::domain::catalogue::PolicyStep;

/// The value of the column.
#[derive(Debug, sqlx::Type)]
#[sqlx(transparent)]
pub(super) struct StoredPolicy(Json<Vec<StoredStep>>);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredStep {
    hours_before: u32,
    refund_percent: u8,
}

impl From<&[PolicyStep]> for StoredPolicy {
    fn from(policy: &[PolicyStep]) -> Self {
        let steps = policy.iter().map(|step| StoredStep {
            hours_before: step.hours_before,
            refund_percent: step.refund_percent,
        });
        Self(Json(steps.collect()))
    }
}

impl From<StoredPolicy> for Vec<PolicyStep> {
    fn from(StoredPolicy(Json(steps)): StoredPolicy) -> Self {
        let policy = steps.into_iter().map(|step| PolicyStep {
            hours_before: step.hours_before,
            refund_percent: step.refund_percent,
        });
        policy.collect()
    }
}
