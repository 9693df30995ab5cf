//! What Stripe says of charges and against them: disputes and early fraud warnings.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::objects::StripeObject;
use crate::domain::charge::ChargeReference;
use crate::domain::dispute::{DisputeReport, DisputedFunds};
use crate::domain::fraud_warning::FraudWarningReport;

impl StripeObject {
    /// The charge that it is about.
    fn charge_reference(&self) -> ChargeReference {
        let own = self.id.as_ref();
        let is_charge = self.object.as_deref() == Some("charge");
        ChargeReference {
            charge_id: if is_charge { own } else { self.charge.as_ref() }.cloned(),
            payment_intent_id: self.payment_intent.clone(),
        }
    }

    /// How a dispute stands, by an event of the type `charge.dispute.<what>`; `None` where it has no
    /// id. Each dispute lists all movements of its money that there were when it was printed, so
    /// that no event depends on the others.
    /// <https://docs.stripe.com/api/disputes/object>
    pub(super) fn dispute_report(
        &self,
        what: &str,
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
        let by_type = match what {
            "funds_withdrawn" => DisputedFunds::Withdrawn,
            "funds_reinstated" => DisputedFunds::Reinstated,
            _ => DisputedFunds::Untouched,
        };
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

fn at(seconds: &Value) -> Option<DateTime<Utc>> {
    let since_1970 = TimeDelta::try_seconds(seconds.as_i64()?)?;
    DateTime::UNIX_EPOCH.checked_add_signed(since_1970)
}
