//! Why Stripe did not do what it was asked.

use crate::domain::refusal::Refusal;
use crate::error::Error;

/// The code of an id that cannot be part of a path; ours, not Stripe's.
pub(super) const ID_INVALID: &str = "id_invalid";

/// Of a request whose id is not at hand.
pub(super) const UNNAMED: &str = "none";

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
        /// The parameter that Stripe objects to.
        param: String,
        /// Stripe's sentence, where the amount is too small. Others are not kept: they repeat what
        /// was sent.
        sentence: Option<String>,
        /// Stripe's id of the request.
        request_id: String,
    },
    /// No usable answer in time.
    #[error("{0}")]
    Unavailable(Unanswered),
    /// An answer that cannot be read or used. Asked again, it may say the same for ever; what was
    /// asked for may have happened.
    #[error("an answer that cannot be used: {what} (request {request_id})")]
    Unusable {
        /// What of it.
        what: &'static str,
        /// Stripe's id of the request, if that is known.
        request_id: String,
    },
    /// Stripe keeps answering this key with a failure it has stored: only a new key can go on.
    /// <https://docs.stripe.com/api/idempotent_requests>
    #[error("Stripe replays a stored failure for this key (request {0})")]
    ReplayedFailure(String),
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Stripe was not asked: more wait than it takes, or it has had enough for now.
    #[error("{0}")]
    NotSent(String),
    /// What was asked may have happened: ask again with the same key.
    #[error("{0}")]
    Sent(String),
}

impl StripeError {
    /// Whether Stripe does not know what it was asked about, or cannot be asked about it.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => *status == 404 || code == ID_INVALID,
            Self::Unavailable(_) | Self::Unusable { .. } | Self::ReplayedFailure(_) => false,
        }
    }

    /// Whether it says the same however often it is asked: for good, as far as can be known. A
    /// refused API key (401) is refused everything, and is for `holdfast doctor`.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status != 401,
            Self::Unusable { .. } => true,
            Self::Unavailable(_) | Self::ReplayedFailure(_) => false,
        }
    }

    /// An answer of which this cannot be used; the log says which request it was.
    pub(super) fn unusable(what: &'static str) -> Self {
        Self::Unusable {
            what,
            request_id: UNNAMED.to_owned(),
        }
    }

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

impl StripeError {
    /// Why, in a few words that are the same each time.
    pub fn reason(&self) -> String {
        match self {
            Self::Refused {
                status,
                code,
                param,
                ..
            } => format!("{status} {code} {param}").trim_end().to_owned(),
            Self::ReplayedFailure(_) => "Stripe repeats a failure that it has stored".to_owned(),
            Self::Unusable { what, .. } => format!("an answer that cannot be used: {what}"),
            Self::Unavailable(_) => self.to_string(),
        }
    }

    /// Whether a refund was refused because of its payment, so that it will be again. That less of
    /// it is left than was asked for is not among these: then there are refunds of it to be found.
    /// Nor is a dispute, which may be won, and may not be known here yet.
    /// <https://docs.stripe.com/error-codes>
    pub fn forbids_refund(&self) -> bool {
        const CODES: [&str; 3] = [
            "charge_already_refunded",
            "charge_not_refundable",
            "payment_intent_unexpected_state",
        ];
        match self {
            Self::Refused { code, .. } => self.is_unknown() || CODES.contains(&code.as_str()),
            Self::Unavailable(_) | Self::Unusable { .. } | Self::ReplayedFailure(_) => false,
        }
    }
}

impl From<StripeError> for Error {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Refused {
                sentence: Some(sentence),
                ..
            } => Refusal::AmountRefused(sentence).into(),
            StripeError::Refused {
                sentence: None,
                ref request_id,
                ..
            } => Self::ProviderRefused {
                reason: error.reason(),
                request_id: request_id.clone(),
            },
            StripeError::Unavailable(_)
            | StripeError::Unusable { .. }
            | StripeError::ReplayedFailure(_) => Self::ProviderUnavailable(error.to_string()),
        }
    }
}
