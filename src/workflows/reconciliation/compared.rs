//! What a page of Stripe's list has come to.

use chrono::{DateTime, Utc};

use crate::domain::reconciliation::Findings;
use crate::error::Error;
use crate::gateways::stripe::StripeError;

/// One page of what Stripe has, compared.
pub(super) struct Compared {
    pub(super) findings: Findings,
    /// The last object of the page, if there are more after it.
    pub(super) next_after: Option<String>,
    /// Of events: up to when those that were listed are decided, with those of this page.
    pub(super) events_decided_to: Option<DateTime<Utc>>,
}

/// Why a page was not compared.
pub(super) enum Uncompared {
    /// Stripe has not given it, or nothing that can be read.
    NotListed(StripeError),
    /// Whatever else has kept it from being compared.
    Failed(Error),
}

impl Compared {
    pub(super) fn new(findings: Findings, next_after: Option<String>) -> Self {
        Self {
            findings,
            next_after,
            events_decided_to: None,
        }
    }
}

impl From<Error> for Uncompared {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<sqlx::Error> for Uncompared {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}
