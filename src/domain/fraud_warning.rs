//! Early fraud warnings: a card network says that a charge is probably fraud, before there is a
//! dispute. A refund now may spare it. <https://docs.stripe.com/api/radar/early_fraud_warnings>

use super::charge::ChargeReference;
use super::dispute::DisputedPayment;

/// What Stripe says of an early fraud warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FraudWarningReport {
    /// `issfr_…`
    pub stripe_warning_id: String,
    /// The charge that it warns of.
    pub charge: ChargeReference,
    /// What kind of fraud, in Stripe's words.
    pub fraud_type: Option<String>,
}

/// Whether a payment has to be flagged: once for each warning, however often that is reported.
pub fn is_new(payment: &DisputedPayment, report: &FraudWarningReport) -> bool {
    !payment.fraud_warnings.contains(&report.stripe_warning_id)
}
