//! Disputes: a buyer's bank takes a payment back, and perhaps returns it
//! (<https://docs.stripe.com/api/disputes>).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::account::{Account, Cause};
use super::ids;
use super::refusal::Refusal;
use super::rendering::merge;
use super::table::Row;

const ANSWER_SECONDS: i64 = 14 * 24 * 60 * 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DisputeStatus {
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
}

impl DisputeStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Dispute {
    pub(super) id: String,
    pub(super) created: i64,
    status: DisputeStatus,
    amount: i64,
    currency: String,
    charge: String,
    payment_intent: String,
    reason: String,
}

impl Row for Dispute {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn render(&self) -> Value {
        let object = json!({
            "id": self.id, "object": "dispute", "created": self.created, "livemode": false,
            "amount": self.amount, "currency": self.currency, "status": self.status.as_str(),
            "charge": self.charge, "payment_intent": self.payment_intent, "reason": self.reason,
            "balance_transactions": [], "is_charge_refundable": false, "metadata": {},
            "enhanced_eligibility_types": [],
            "evidence_details": {
                "due_by": self.created.saturating_add(ANSWER_SECONDS), "enhanced_eligibility": {},
                "has_evidence": false, "past_due": false, "submission_count": 0
            },
            "payment_method_details": {
                "type": "card",
                "card": {
                    "brand": "visa", "case_type": "chargeback", "network": "visa",
                    "network_reason_code": "10.4"
                }
            },
        });
        merge(object, json!({ "evidence": no_evidence() }))
    }
}

fn no_evidence() -> Value {
    json!({
        "access_activity_log": null, "billing_address": null, "cancellation_policy": null,
        "cancellation_policy_disclosure": null, "cancellation_rebuttal": null,
        "customer_communication": null, "customer_email_address": null, "customer_name": null,
        "customer_purchase_ip": null, "customer_signature": null,
        "duplicate_charge_documentation": null, "duplicate_charge_explanation": null,
        "duplicate_charge_id": null, "enhanced_evidence": {}, "product_description": null,
        "receipt": null, "refund_policy": null, "refund_policy_disclosure": null,
        "refund_refusal_explanation": null, "service_date": null, "service_documentation": null,
        "shipping_address": null, "shipping_carrier": null, "shipping_date": null,
        "shipping_documentation": null, "shipping_tracking_number": null,
        "uncategorized_file": null, "uncategorized_text": null,
    })
}

/// The bank takes the whole payment back: the dispute exists and the funds are withdrawn.
pub(super) fn open(
    account: &mut Account,
    intent: &str,
    reason: &str,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let charge = account
        .intents
        .get(intent)
        .and_then(|intent| intent.latest_charge.clone())
        .and_then(|charge| account.charges.get_mut(&charge))
        .filter(|charge| charge.unrefunded() > 0 && !charge.disputed)
        .ok_or_else(|| Refusal::conflict("There is no payment to dispute."))?;
    charge.disputed = true;
    let dispute = Dispute {
        id: ids::object_id("du"),
        created: cause.now,
        status: DisputeStatus::NeedsResponse,
        amount: charge.unrefunded(),
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        reason: reason.to_owned(),
    };
    let object = dispute.render();
    account.disputes.insert(dispute);
    account.emit(cause, "charge.dispute.created", object.clone());
    account.emit(cause, "charge.dispute.funds_withdrawn", object.clone());
    Ok(object)
}

/// What the bank decides next. A dispute that was won returns the funds.
pub(super) fn decide(
    account: &mut Account,
    id: &str,
    status: DisputeStatus,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let dispute = account
        .disputes
        .get_mut(id)
        .ok_or_else(|| Refusal::no_such("dispute", id, "id"))?;
    if matches!(dispute.status, DisputeStatus::Won | DisputeStatus::Lost) {
        return Err(Refusal::conflict("This dispute is already closed."));
    }
    let previous = json!({ "status": dispute.status.as_str() });
    dispute.status = status;
    let object = dispute.render();
    let charge = dispute.charge.clone();
    match status {
        DisputeStatus::NeedsResponse | DisputeStatus::UnderReview => {
            let kind = "charge.dispute.updated";
            account.emit_change(cause, kind, object.clone(), Some(previous));
        }
        DisputeStatus::Lost => account.emit(cause, "charge.dispute.closed", object.clone()),
        DisputeStatus::Won => {
            if let Some(charge) = account.charges.get_mut(&charge) {
                charge.disputed = false;
            }
            account.emit(cause, "charge.dispute.funds_reinstated", object.clone());
            account.emit(cause, "charge.dispute.closed", object.clone());
        }
    }
    Ok(object)
}
