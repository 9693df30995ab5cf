//! Why Stripe did not do what it was asked.

use crate::error::Error;

/// Never contains what was sent.
#[derive(Debug, thiserror::Error)]
pub enum StripeError {
    /// Stripe said no; nothing happened.
    #[error("{status} {code} {param} (request {request_id})")]
    Refused {
        /// The HTTP status, 4xx.
        status: u16,
        /// Stripe's code, or its type of error.
        code: String,
        /// The parameter that Stripe objects to. Its sentence is not kept: it repeats what was
        /// sent.
        param: String,
        /// Stripe's id of the request.
        request_id: String,
    },
    /// No usable answer in time. What was asked may have happened: ask again with the same key.
    #[error("{0}")]
    Unavailable(String),
    /// Stripe keeps answering this key with a failure it has stored: only a new key can go on.
    /// <https://docs.stripe.com/api/idempotent_requests>
    #[error("Stripe replays a stored failure for this key (request {0})")]
    ReplayedFailure(String),
}

impl StripeError {
    /// Whether Stripe has judged the request itself, so that what it asked for did not happen under
    /// its key and never will. A refused API key (401, 403) says nothing about an earlier try: it
    /// is looked at before the idempotency key; and an idempotency error means that something did
    /// happen under the key.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Refused { status: 400 | 402 | 404, code, .. } if code != "idempotency_error"
        )
    }
}

impl From<StripeError> for Error {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Refused { .. } => Self::ProviderRefused(error.to_string()),
            StripeError::Unavailable(_) | StripeError::ReplayedFailure(_) => {
                Self::ProviderUnavailable(error.to_string())
            }
        }
    }
}
