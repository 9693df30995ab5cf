//! The Checkout Session: what is remembered of one, and its rendering
//! (<https://docs.stripe.com/api/checkout/sessions/object>).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::Metadata;
use super::rendering::merge;
use super::table::Row;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SessionStatus {
    Open,
    Complete,
    Expired,
}

impl SessionStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Expired => "expired",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PaymentStatus {
    Unpaid,
    Paid,
    NoPaymentRequired,
}

impl PaymentStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Paid => "paid",
            Self::NoPaymentRequired => "no_payment_required",
        }
    }
}

/// What `payment_intent_data` asked for; the intent is only made when the buyer pays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct IntentData {
    pub(super) metadata: Metadata,
    pub(super) description: Option<String>,
    pub(super) receipt_email: Option<String>,
    pub(super) setup_future_usage: Option<String>,
    pub(super) statement_descriptor: Option<String>,
    pub(super) statement_descriptor_suffix: Option<String>,
    pub(super) transfer_group: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LineItem {
    pub(super) id: String,
    pub(super) price: String,
    pub(super) product: String,
    pub(super) name: String,
    pub(super) details: Option<String>,
    pub(super) currency: String,
    pub(super) unit_amount: i64,
    pub(super) quantity: i64,
    pub(super) metadata: Metadata,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CheckoutSession {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) expires_at: i64,
    pub(super) status: SessionStatus,
    pub(super) payment_status: PaymentStatus,
    pub(super) ui_mode: String,
    pub(super) currency: String,
    pub(super) amount_total: i64,
    pub(super) line_items: Vec<LineItem>,
    pub(super) metadata: Metadata,
    pub(super) intent_data: IntentData,
    pub(super) client_reference_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) customer_creation: String,
    pub(super) customer_email: Option<String>,
    pub(super) customer_details: Option<Value>,
    pub(super) locale: Option<String>,
    pub(super) submit_type: Option<String>,
    pub(super) payment_method_types: Vec<String>,
    pub(super) redirect_on_completion: Option<String>,
    pub(super) success_url: Option<String>,
    pub(super) cancel_url: Option<String>,
    pub(super) return_url: Option<String>,
    pub(super) url: Option<String>,
    pub(super) payment_intent: Option<String>,
    /// Whether the call that created the session has been answered.
    pub(super) answered: bool,
}

impl CheckoutSession {
    pub(super) fn is_open(&self) -> bool {
        self.status == SessionStatus::Open
    }

    /// Where the buyer goes after paying: the placeholder becomes the session's id.
    pub(super) fn return_address(&self) -> Option<String> {
        let address = self.success_url.as_ref().or(self.return_url.as_ref())?;
        Some(address.replace("{CHECKOUT_SESSION_ID}", &self.id))
    }

    /// `url` is only there while the buyer can still use it.
    fn visible_url(&self) -> Option<&String> {
        self.url.as_ref().filter(|_| self.is_open())
    }
}

impl Row for CheckoutSession {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn render(&self) -> Value {
        let mut object = json!({
            "id": self.id, "object": "checkout.session", "livemode": false, "mode": "payment",
            "created": self.created, "expires_at": self.expires_at,
            "status": self.status.as_str(), "payment_status": self.payment_status.as_str(),
            "ui_mode": self.ui_mode, "currency": self.currency,
            "amount_subtotal": self.amount_total, "amount_total": self.amount_total,
            "total_details": { "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 },
            "metadata": self.metadata, "client_reference_id": self.client_reference_id,
            "client_secret": self.client_secret, "customer_creation": self.customer_creation,
            "customer_email": self.customer_email, "customer_details": self.customer_details,
            "locale": self.locale, "submit_type": self.submit_type,
            "payment_method_types": self.payment_method_types,
            "success_url": self.success_url, "cancel_url": self.cancel_url,
            "url": self.visible_url(), "payment_intent": self.payment_intent,
        });
        let Value::Object(fields) = &mut object else {
            return object;
        };
        if let Some(return_url) = &self.return_url {
            fields.insert("return_url".into(), return_url.clone().into());
        }
        if let Some(redirect) = &self.redirect_on_completion {
            fields.insert("redirect_on_completion".into(), redirect.clone().into());
        }
        merge(object, unused())
    }
}

/// What stays empty for a simple payment.
fn unused() -> Value {
    json!({
        "after_expiration": null, "allow_promotion_codes": null,
        "allowed_payment_method_types": null,
        "billing_address_collection": null, "collected_information": null, "consent": null,
        "consent_collection": null, "currency_conversion": null, "custom_fields": [],
        "customer": null,
        "customer_account": null, "discounts": [], "integration_identifier": null, "invoice": null,
        "origin_context": null, "payment_link": null, "payment_method_configuration_details": null,
        "permissions": null, "recovered_from": null, "saved_payment_method_options": null,
        "setup_intent": null, "shipping_address_collection": null, "shipping_cost": null,
        "shipping_options": [], "subscription": null, "wallet_options": null,
        "adaptive_pricing": { "enabled": true },
        "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
        "custom_text": {
            "after_submit": null, "shipping_address": null, "submit": null,
            "terms_of_service_acceptance": null
        },
        "invoice_creation": {
            "enabled": false,
            "invoice_data": {
                "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null,
                "issuer": null, "metadata": {}, "rendering_options": null
            }
        },
        "managed_payments": { "enabled": false },
        "payment_method_collection": "if_required",
        "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
        "phone_number_collection": { "enabled": false },
    })
}

impl Row for LineItem {
    fn id(&self) -> &str {
        &self.id
    }

    /// Line items have no time of their own; lists keep their order.
    fn created(&self) -> i64 {
        0
    }

    fn render(&self) -> Value {
        let amount = self.unit_amount.saturating_mul(self.quantity);
        json!({
            "id": self.id, "object": "item", "adjustable_quantity": null,
            "amount_discount": 0, "amount_subtotal": amount, "amount_tax": 0,
            "amount_total": amount,
            "currency": self.currency, "description": self.name, "metadata": self.metadata,
            "quantity": self.quantity,
            "price": {
                "id": self.price, "object": "price", "active": false, "billing_scheme": "per_unit",
                "created": 0, "currency": self.currency, "custom_unit_amount": null,
                "livemode": false,
                "lookup_key": null, "metadata": {}, "nickname": null, "product": self.product,
                "recurring": null, "tax_behavior": "unspecified", "tiers_mode": null,
                "transform_quantity": null, "type": "one_time", "unit_amount": self.unit_amount,
                "unit_amount_decimal": self.unit_amount.to_string(),
            },
        })
    }
}
