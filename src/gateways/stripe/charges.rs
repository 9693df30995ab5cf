//! What Stripe says of charges and against them: methods, declines, disputes and early fraud
//! warnings.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::objects::StripeObject;
use crate::domain::charge::{ChargeReference, ChargeReport, FailedPayment, PaymentMethod};
use crate::domain::dispute::DisputeReport;
use crate::domain::disputed_funds::{FundsReport, Movements};
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
    /// of one by its type, which is `charge.dispute.<what>`.
    /// <https://docs.stripe.com/api/disputes/object>
    pub(super) fn dispute_report(
        &self,
        what: Option<&str>,
        reported_at: DateTime<Utc>,
    ) -> Option<DisputeReport> {
        let movements = self.movements();
        let status = self.status.clone().map(Value::String);
        Some(DisputeReport {
            stripe_dispute_id: self.id.clone()?,
            charge: self.charge_reference(),
            money: self.money(self.amount),
            reason: self.reason.clone(),
            status: status.and_then(|status| serde_json::from_value(status).ok()),
            funds: FundsReport {
                is_withdrawn: movements.withdrawn_minor > 0 || what == Some("funds_withdrawn"),
                is_reinstated: movements.reinstated_minor > 0 || what == Some("funds_reinstated"),
                movements,
            },
            evidence_due_by: self.evidence_details.get("due_by").and_then(at),
            opened_at: self.created.unwrap_or(reported_at),
            reported_at,
            is_answer: false,
        })
    }

    /// The sums of what a dispute has taken from our balance, and given back. Stripe's fee is not
    /// in them.
    fn movements(&self) -> Movements {
        let listed = self.balance_transactions.as_array().into_iter().flatten();
        let mut movements = Movements {
            withdrawn_minor: 0,
            reinstated_minor: 0,
            currency: None,
        };
        let mut currencies = Vec::new();
        for transaction in listed {
            let amount = transaction.get("amount").and_then(Value::as_i64);
            let amount = amount.unwrap_or_default();
            let sum = if amount < 0 {
                &mut movements.withdrawn_minor
            } else {
                &mut movements.reinstated_minor
            };
            *sum = sum.saturating_add(amount.saturating_abs());
            currencies.push(text_of(transaction, "currency"));
        }
        currencies.dedup();
        if let [Some(only)] = currencies.as_slice() {
            movements.currency = only.parse().ok();
        }
        movements
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
