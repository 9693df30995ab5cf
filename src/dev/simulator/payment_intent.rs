//! The PaymentIntent: one buyer's attempts to pay one session
//! (<https://docs.stripe.com/api/payment_intents/object>).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checkout_session::IntentData;
use super::rendering::merge;
use super::table::Row;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum IntentStatus {
    RequiresPaymentMethod,
    Processing,
    Succeeded,
}

impl IntentStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PaymentIntent {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) session: String,
    pub(super) status: IntentStatus,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) client_secret: String,
    pub(super) data: IntentData,
    pub(super) payment_method_types: Vec<String>,
    pub(super) payment_method: Option<String>,
    pub(super) latest_charge: Option<String>,
    pub(super) last_payment_error: Option<Value>,
}

impl Row for PaymentIntent {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn render(&self) -> Value {
        let received = if self.status == IntentStatus::Succeeded {
            self.amount
        } else {
            0
        };
        let object = json!({
            "id": self.id, "object": "payment_intent", "created": self.created, "livemode": false,
            "status": self.status.as_str(), "amount": self.amount, "amount_capturable": 0,
            "amount_received": received, "amount_details": { "tip": {} }, "currency": self.currency,
            "client_secret": self.client_secret, "metadata": self.data.metadata,
            "description": self.data.description, "receipt_email": self.data.receipt_email,
            "setup_future_usage": self.data.setup_future_usage,
            "statement_descriptor": self.data.statement_descriptor,
            "statement_descriptor_suffix": self.data.statement_descriptor_suffix,
            "transfer_group": self.data.transfer_group,
            "payment_method": self.payment_method,
            "payment_method_types": self.payment_method_types,
            "latest_charge": self.latest_charge, "last_payment_error": self.last_payment_error,
            "payment_method_options": {
                "card": {
                    "installments": null, "mandate_options": null, "network": null,
                    "request_three_d_secure": "automatic"
                }
            },
        });
        merge(object, unused())
    }
}

/// What stays empty for a simple payment.
fn unused() -> Value {
    json!({
        "capture_method": "automatic_async", "confirmation_method": "automatic",
        "allowed_payment_method_types": null, "application": null, "application_fee_amount": null,
        "automatic_payment_methods": null, "canceled_at": null, "cancellation_reason": null,
        "customer": null, "customer_account": null, "excluded_payment_method_types": null,
        "managed_payments": null, "next_action": null, "on_behalf_of": null,
        "payment_method_configuration_details": null, "payment_record": null, "processing": null,
        "review": null, "shipping": null, "source": null, "transfer_data": null,
    })
}
