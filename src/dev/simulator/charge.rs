//! The Charge: one attempt at one payment method (<https://docs.stripe.com/api/charges/object>).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::Metadata;
use super::payment_method::PaymentMethod;
use super::rendering::merge;
use super::table::Row;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChargeStatus {
    Pending,
    Succeeded,
    Failed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ChargeFailure {
    pub(super) code: String,
    pub(super) decline_code: Option<String>,
    pub(super) message: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Charge {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) payment_intent: String,
    pub(super) status: ChargeStatus,
    pub(super) amount: i64,
    pub(super) amount_refunded: i64,
    pub(super) disputed: bool,
    pub(super) currency: String,
    pub(super) description: Option<String>,
    /// A copy of the intent's, taken once when the buyer confirms.
    pub(super) metadata: Metadata,
    pub(super) method: PaymentMethod,
    pub(super) failure: Option<ChargeFailure>,
}

impl Charge {
    /// What a refund can still give back.
    pub(super) fn unrefunded(&self) -> i64 {
        self.amount.saturating_sub(self.amount_refunded)
    }

    fn outcome(&self) -> Value {
        let (kind, network, message) = match self.status {
            ChargeStatus::Failed => (
                "issuer_declined",
                "declined_by_network",
                "The bank did not return any further details with this decline.",
            ),
            ChargeStatus::Pending | ChargeStatus::Succeeded => {
                ("authorized", "approved_by_network", "Payment complete.")
            }
        };
        let reason = self
            .failure
            .as_ref()
            .and_then(|failure| failure.decline_code.clone());
        json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": network, "reason": reason, "risk_level": "normal", "risk_score": 12,
            "seller_message": message, "type": kind,
        })
    }
}

impl Row for Charge {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn render(&self) -> Value {
        let succeeded = self.status == ChargeStatus::Succeeded;
        let status = match self.status {
            ChargeStatus::Pending => "pending",
            ChargeStatus::Succeeded => "succeeded",
            ChargeStatus::Failed => "failed",
        };
        let suffix = self.id.trim_start_matches("ch_");
        let object = json!({
            "id": self.id, "object": "charge", "created": self.created, "livemode": false,
            "status": status, "paid": succeeded, "captured": succeeded,
            "amount": self.amount, "amount_captured": if succeeded { self.amount } else { 0 },
            "amount_refunded": self.amount_refunded,
            "refunded": succeeded && self.unrefunded() == 0,
            "currency": self.currency, "description": self.description, "disputed": self.disputed,
            "metadata": self.metadata, "payment_intent": self.payment_intent,
            "payment_method": self.method.id, "billing_details": self.method.billing_details(),
            "payment_method_details": self.method.charge_details(self.amount),
            "outcome": self.outcome(),
            "balance_transaction": succeeded.then(|| format!("txn_{suffix}")),
            "receipt_url": succeeded
                .then(|| format!("https://pay.stripe.com/receipts/payment/{suffix}")),
            "failure_code": self.failure.as_ref().map(|failure| &failure.code),
            "failure_message": self.failure.as_ref().map(|failure| &failure.message),
        });
        merge(object, unused())
    }
}

/// What stays empty for a simple payment.
fn unused() -> Value {
    json!({
        "calculated_statement_descriptor": "SIMULATOR", "fraud_details": {},
        "application": null, "application_fee": null, "application_fee_amount": null,
        "customer": null, "failure_balance_transaction": null, "on_behalf_of": null,
        "receipt_email": null, "receipt_number": null, "review": null, "shipping": null,
        "source": null, "source_transfer": null, "statement_descriptor": null,
        "statement_descriptor_suffix": null, "transfer_data": null, "transfer_group": null,
    })
}
