//! What is said of what was done about refunds, disputes and charges. What was done depends on what
//! came first, so a report of each can come to one of a few ends.
//!
//! They are stored with the events, and `holdfast verify` compares what they mean: who says one in
//! other words notes those as well (`replay/meanings.rs`).

use crate::domain::stripe_report::StripeReport;
use crate::domain::{dispute, refund_state};

pub(super) const CHARGE_KEPT: &str = "how it was paid is known";
pub(super) const FAILURE_KEPT: &str = "the try to pay has failed; the buyer may try again";
pub(super) const GIVEN_UP: &str = "failed: what it is about has never come";
pub(super) const DEFERRED: &str = "deferred: what it is about is not known yet";

pub(super) const REFUND_UNDER_WAY: &str = "the refund is on its way";
pub(super) const REFUND_SUCCEEDED: &str = "the refund has succeeded";
pub(super) const REFUND_FAILED: &str = "the refund has failed; a person decides";
pub(super) const REFUND_BY_HAND: &str =
    "the refund was made in Stripe's dashboard, and is recorded";
pub(super) const REFUND_LEFT: &str =
    "the refund is of an amount that its payment cannot have; a person decides";
pub(super) const REFUNDS_KNOWN: &str = "what has gone back is known";
pub(super) const REFUNDS_LOOKED_AT: &str = "its refunds are looked at";

pub(super) const DISPUTE_OPENED: &str =
    "the payment is disputed; its money is not refunded meanwhile";
pub(super) const DISPUTE_GONE_ON: &str = "the dispute has gone on";
pub(super) const FRAUD_FLAGGED: &str =
    "the payment is probably fraud; a person decides whether it is refunded";
pub(super) const FRAUD_KNOWN: &str = "ignored: the payment is flagged already";

/// All that can be said of what was done about a report like this, beside that its event was given
/// up; nothing where only one end is possible, or what the report is about decides.
pub(super) fn could_be_of(report: &StripeReport) -> &'static [&'static str] {
    match report {
        StripeReport::Refund(_) => &[
            REFUND_UNDER_WAY,
            REFUND_SUCCEEDED,
            REFUND_FAILED,
            REFUND_BY_HAND,
            REFUND_LEFT,
            refund_state::NOTHING_NEW,
        ],
        StripeReport::Refunded(_) => &[REFUNDS_KNOWN, REFUNDS_LOOKED_AT],
        StripeReport::Dispute(_) => &[DISPUTE_OPENED, DISPUTE_GONE_ON, dispute::NOTHING_NEW],
        StripeReport::FraudWarning(_) => &[FRAUD_FLAGGED, FRAUD_KNOWN],
        StripeReport::Checkout(_)
        | StripeReport::PaymentIntent(_)
        | StripeReport::Charge(_)
        | StripeReport::FailedPayment(_)
        | StripeReport::RefundRefused(_) => &[],
    }
}
