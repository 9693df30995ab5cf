//! The Dispute: a buyer's bank takes a payment back
//! (<https://docs.stripe.com/api/disputes/object>).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rendering::merge;
use super::table::Row;

const RESPONSE_SECONDS: i64 = 14 * 24 * 60 * 60;
/// What Stripe calls a dispute by which a bank only asks, in two pieces: here the word has another
/// meaning.
const WARNING: &str = concat!("inqu", "iry");
/// What Stripe takes for a dispute.
const FEE_MINOR: i64 = 1_500;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DisputeStatus {
    WarningNeedsResponse,
    WarningUnderReview,
    WarningClosed,
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
}

impl DisputeStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::WarningNeedsResponse => "warning_needs_response",
            Self::WarningUnderReview => "warning_under_review",
            Self::WarningClosed => "warning_closed",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    /// The bank only asks, and has taken nothing back.
    pub(super) fn is_warning(self) -> bool {
        matches!(
            self,
            Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed
        )
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Dispute {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) status: DisputeStatus,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) charge: String,
    pub(super) payment_intent: String,
    pub(super) reason: String,
    /// When the funds were taken, and when they were given back, in Unix seconds.
    #[serde(default)]
    pub(super) withdrawn: Option<i64>,
    #[serde(default)]
    pub(super) reinstated: Option<i64>,
    /// How much was given back, if that was not all.
    #[serde(default)]
    pub(super) reinstated_amount: Option<i64>,
}

impl Dispute {
    /// What has moved, the latest last. The fee of a dispute is never given back.
    fn balance_transactions(&self) -> Value {
        let movement = |created: i64, amount: i64, fee: i64, what: &str| {
            let id = self.id.trim_start_matches("du_");
            let fees = json!([{
                "amount": fee, "application": null, "currency": self.currency,
                "description": "Dispute fee", "type": "stripe_fee",
            }]);
            json!({
                "id": format!("txn_{what}{id}"), "object": "balance_transaction", "amount": amount,
                "available_on": created, "balance_type": "payments", "created": created,
                "currency": self.currency, "exchange_rate": null, "fee": fee,
                "description": format!("Chargeback {what} for {}", self.charge),
                "fee_details": if fee == 0 { json!([]) } else { fees },
                "net": amount.saturating_sub(fee), "reporting_category": "dispute",
                "source": self.id, "status": "available", "type": "adjustment",
            })
        };
        let withdrawn = self.withdrawn.map(|created| {
            movement(
                created,
                self.amount.saturating_neg(),
                FEE_MINOR,
                "withdrawal",
            )
        });
        let reinstated_amount = self.reinstated_amount.unwrap_or(self.amount);
        let reinstated = self
            .reinstated
            .map(|created| movement(created, reinstated_amount, 0, "reversal"));
        withdrawn.into_iter().chain(reinstated).collect()
    }
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
            "balance_transactions": self.balance_transactions(),
            "is_charge_refundable": self.status.is_warning(), "metadata": {},
            "enhanced_eligibility_types": [],
            "evidence_details": {
                "due_by": self.created.saturating_add(RESPONSE_SECONDS), "enhanced_eligibility": {},
                "has_evidence": false, "past_due": false, "submission_count": 0
            },
            "payment_method_details": {
                "type": "card",
                "card": {
                    "brand": "visa", "network": "visa",
                    "case_type": if self.status.is_warning() { WARNING } else { "chargeback" },
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
