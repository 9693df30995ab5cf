//! The Refund: all or part of a charge is given back
//! (<https://docs.stripe.com/api/refunds/object>).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::Metadata;
use super::table::Row;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefundStatus {
    Pending,
    RequiresAction,
    Succeeded,
    Failed,
    Canceled,
}

impl RefundStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::RequiresAction => "requires_action",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether the money stays with the merchant after all.
    pub(super) fn is_void(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) status: RefundStatus,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) charge: String,
    pub(super) payment_intent: String,
    pub(super) reason: Option<String>,
    pub(super) metadata: Metadata,
}

impl Row for Refund {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn render(&self) -> Value {
        let suffix = self.id.trim_start_matches("re_");
        let mut object = json!({
            "id": self.id, "object": "refund", "created": self.created, "amount": self.amount,
            "currency": self.currency, "status": self.status.as_str(), "charge": self.charge,
            "payment_intent": self.payment_intent, "reason": self.reason, "metadata": self.metadata,
            "balance_transaction": format!("txn_{suffix}"),
            "destination_details": {
                "type": "card",
                "card": {
                    "reference_status": "pending", "reference_type": "acquirer_reference_number",
                    "type": "refund"
                }
            },
            "customer": null, "customer_account": null, "payment_method": null,
            "receipt_number": null, "source_transfer_reversal": null, "transfer_reversal": null,
        });
        if let (Value::Object(fields), RefundStatus::Failed) = (&mut object, self.status) {
            fields.insert("failure_reason".into(), "expired_or_canceled_card".into());
            fields.insert(
                "failure_balance_transaction".into(),
                format!("txn_f{suffix}").into(),
            );
        }
        object
    }
}
