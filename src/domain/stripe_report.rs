//! What Stripe says of one of its objects, whether by an event or because it was asked.

use super::capture::Capture;
use super::charge::{ChargeReference, ChargeReport, FailedPayment};
use super::checkout::CheckoutReport;
use super::dispute::DisputeReport;
use super::fraud_warning::FraudWarningReport;
use super::ids::{AttemptId, BookingId};
use super::payment_intent::PaymentIntentReport;
use super::refund::{RefundReference, RefundedCharge, StripeRefund};
use super::refund_refusal::RefundRefusal;

/// A report, by the noun that it is about. For each there is one pure `decide` in a file of its
/// own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StripeReport {
    /// A Checkout Session.
    Checkout(CheckoutReport),
    /// A PaymentIntent.
    PaymentIntent(PaymentIntentReport),
    /// A charge that has succeeded: how the buyer has paid.
    Charge(ChargeReport),
    /// A try to pay that did not succeed.
    FailedPayment(FailedPayment),
    /// A refund.
    Refund(StripeRefund),
    /// A refund that Stripe does not make.
    RefundRefused(RefundRefusal),
    /// How much of a charge has gone back.
    Refunded(RefundedCharge),
    /// A dispute: money that a cardholder's bank takes back.
    Dispute(DisputeReport),
    /// An early fraud warning: a dispute that is to come.
    FraudWarning(FraudWarningReport),
}

impl StripeReport {
    /// The capture that it speaks of, if it does.
    pub fn capture(&self) -> Option<&Capture> {
        match self {
            Self::Checkout(CheckoutReport::Paid(capture))
            | Self::PaymentIntent(PaymentIntentReport::Succeeded(capture)) => Some(capture),
            Self::Checkout(
                CheckoutReport::AwaitingFunds
                | CheckoutReport::PaymentFailed
                | CheckoutReport::Expired
                | CheckoutReport::Refused
                | CheckoutReport::Unknown
                | CheckoutReport::Unexplained(_),
            )
            | Self::Charge(_)
            | Self::FailedPayment(_)
            | Self::Refund(_)
            | Self::RefundRefused(_)
            | Self::Refunded(_)
            | Self::Dispute(_)
            | Self::FraudWarning(_) => None,
        }
    }

    /// By what the payment can be found whose refunds it is about, if that is what it is about.
    pub fn refund_reference(&self) -> Option<RefundReference> {
        match self {
            Self::Refund(refund) => Some(RefundReference {
                refund_id: refund.refund_id,
                stripe_refund_id: Some(refund.id.clone()),
                charge: refund.charge.clone(),
            }),
            Self::RefundRefused(refusal) => Some(RefundReference {
                refund_id: Some(refusal.refund_id),
                ..RefundReference::default()
            }),
            Self::Refunded(refunded) => Some(RefundReference {
                charge: refunded.charge.clone(),
                ..RefundReference::default()
            }),
            Self::Checkout(_)
            | Self::PaymentIntent(_)
            | Self::Charge(_)
            | Self::FailedPayment(_)
            | Self::Dispute(_)
            | Self::FraudWarning(_) => None,
        }
    }

    /// The charge against which something is said, if that is what it does.
    pub fn disputed_charge(&self) -> Option<&ChargeReference> {
        match self {
            Self::Dispute(dispute) => Some(&dispute.charge),
            Self::FraudWarning(warning) => Some(&warning.charge),
            Self::Checkout(_)
            | Self::PaymentIntent(_)
            | Self::Charge(_)
            | Self::FailedPayment(_)
            | Self::Refund(_)
            | Self::RefundRefused(_)
            | Self::Refunded(_) => None,
        }
    }
}

/// What a report has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The booking whose money it is about.
    pub booking_id: BookingId,
    /// A sentence for people.
    pub what: &'static str,
}

/// By what an object of Stripe's names the attempt that it is about, as far as it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttemptReference {
    /// `cs_…`
    pub session_id: Option<String>,
    /// `pi_…`
    pub payment_intent_id: Option<String>,
    /// Our attempt, from the metadata.
    pub attempt_id: Option<AttemptId>,
    /// The application that made the object, from the metadata.
    pub app: Option<String>,
}

impl AttemptReference {
    /// Whether the object says that the installation with this name has made it.
    pub fn is_made_by(&self, app_name: &str) -> bool {
        self.app.as_deref() == Some(app_name)
    }
}
