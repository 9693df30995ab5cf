//! What Stripe says of charges and against them: methods, declines, disputes and early fraud
//! warnings.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::objects::StripeObject;
use crate::domain::charge::{ChargeReference, ChargeReport, FailedPayment, PaymentMethod};
use crate::domain::dispute::DisputeReport;
use crate::domain::dispute_status::DisputedFunds;
use crate::domain::fraud_warning::FraudWarningReport;

impl StripeObject {
    /// The charge that it is about.
    pub(super) fn charge_reference(&self) -> ChargeReference {
        let own = self.id.as_ref();
        let is_charge = self.object.as_deref() == Some("charge");
        ChargeReference {
            charge_id: if is_charge { own } else { self.charge.as_ref() }.cloned(),
            payment_intent_id: self.payment_intent.clone(),
        }
    }

    /// What a charge says of how it was paid; `None` where it lacks an id or a PaymentIntent.
    /// <https://docs.stripe.com/api/charges/object>
    pub(super) fn charge_report(&self, reported_at: DateTime<Utc>) -> Option<ChargeReport> {
        Some(ChargeReport {
            charge_id: self.id.clone()?,
            payment_intent_id: self.payment_intent.clone()?,
            method: method(&self.payment_method_details),
            receipt_url: self.receipt_url.clone(),
            reported_at,
        })
    }

    /// What a PaymentIntent says of the try that has just failed; `None` where it has no id.
    /// <https://docs.stripe.com/api/payment_intents/object#payment_intent_object-last_payment_error>
    pub(super) fn failed_payment(&self, failed_at: DateTime<Utc>) -> Option<FailedPayment> {
        let error = &self.last_payment_error;
        Some(FailedPayment {
            charge_id: text_of(error, "charge"),
            payment_intent_id: self.id.clone()?,
            code: text_of(error, "code"),
            decline_code: text_of(error, "decline_code"),
            method: error.get("payment_method").and_then(method),
            failed_at,
        })
    }

    /// How a dispute stands; `None` where it has no id. It lists all movements of its money that
    /// there were when it was printed, so that no event depends on the others; an event may know
    /// of one by its type.
    /// <https://docs.stripe.com/api/disputes/object>
    pub(super) fn dispute_report(
        &self,
        by_type: DisputedFunds,
        reported_at: DateTime<Utc>,
    ) -> Option<DisputeReport> {
        let moved = self.balance_transactions.as_array().into_iter().flatten();
        let moved = moved.filter_map(|transaction| transaction.get("amount")?.as_i64());
        let moved = moved.map(|amount| {
            if amount < 0 {
                DisputedFunds::Withdrawn
            } else {
                DisputedFunds::Reinstated
            }
        });
        let status = self.status.clone().map(Value::String);
        Some(DisputeReport {
            stripe_dispute_id: self.id.clone()?,
            charge: self.charge_reference(),
            money: self.money(self.amount),
            reason: self.reason.clone(),
            status: status.and_then(|status| serde_json::from_value(status).ok()),
            funds: moved.fold(by_type, Ord::max),
            evidence_due_by: self.evidence_details.get("due_by").and_then(at),
            opened_at: self.created.unwrap_or(reported_at),
            reported_at,
            is_answer: false,
        })
    }

    /// What an early fraud warning says; `None` where it has no id.
    /// <https://docs.stripe.com/api/radar/early_fraud_warnings/object>
    pub(super) fn fraud_warning_report(&self) -> Option<FraudWarningReport> {
        Some(FraudWarningReport {
            stripe_warning_id: self.id.clone()?,
            charge: self.charge_reference(),
            fraud_type: self.fraud_type.clone(),
        })
    }
}

/// Where the money of a dispute is, by an event of the type `charge.dispute.<what>` alone.
pub(super) fn funds_by_type(what: &str) -> DisputedFunds {
    match what {
        "funds_withdrawn" => DisputedFunds::Withdrawn,
        "funds_reinstated" => DisputedFunds::Reinstated,
        _ => DisputedFunds::Untouched,
    }
}

/// A method as it is described beside its type: `{"type": "card", "card": {"brand": …}}`.
fn method(described: &Value) -> Option<PaymentMethod> {
    let kind = text_of(described, "type")?;
    let details = described.get(&kind).unwrap_or(&Value::Null);
    Some(PaymentMethod {
        brand: text_of(details, "brand"),
        last4: text_of(details, "last4"),
        kind,
    })
}

/// A member that is a text which can be stored: Postgres keeps no U+0000.
fn text_of(object: &Value, name: &str) -> Option<String> {
    let text = object.get(name)?.as_str()?;
    (!text.contains('\0')).then(|| text.to_owned())
}

fn at(seconds: &Value) -> Option<DateTime<Utc>> {
    let since_1970 = TimeDelta::try_seconds(seconds.as_i64()?)?;
    DateTime::UNIX_EPOCH.checked_add_signed(since_1970)
}
