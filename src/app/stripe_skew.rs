//! What is known of Stripe's clock.

use std::sync::{Mutex, PoisonError};

use crate::domain::skew::Skew;

/// How far our clock was from Stripe's when it was asked last; unknown while it does not answer,
/// which says nothing of the clocks.
#[derive(Default)]
pub struct StripeSkew(Mutex<Option<Skew>>);

impl StripeSkew {
    /// What was noted last.
    pub fn known(&self) -> Option<Skew> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes it.
    pub fn note(&self, skew: Option<Skew>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = skew;
    }
}
