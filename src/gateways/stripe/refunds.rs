//! Refunds at Stripe. <https://docs.stripe.com/api/refunds>

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use stripe_client_core::StripeRequest;
use stripe_core::refund::{CreateRefund, ListRefund};

use super::webhook::APP;
use super::{Stripe, StripeError};
use crate::domain::ids::{BookingId, RefundId};

/// How many refunds of one payment are looked through: Stripe's largest page.
const LIST_MAX: i64 = 100;

/// What is to be given back.
#[derive(Debug, Clone)]
pub struct RefundRequest<'a> {
    /// Ours. The idempotency key is `re-<id>`, and the metadata names it, so that it can be found
    /// again.
    pub id: RefundId,
    /// The booking it belongs to.
    pub booking_id: BookingId,
    /// The payment.
    pub payment_intent_id: &'a str,
    /// How much, in the payment's currency.
    pub amount_minor: i64,
}

/// A refund that Stripe has made.
#[derive(Debug, Clone)]
pub struct MadeRefund {
    /// `re_…`
    pub id: String,
    /// Where it stands.
    pub outcome: RefundOutcome,
    /// Why it failed.
    pub failure_reason: Option<String>,
}

/// Where a refund stands at Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundOutcome {
    /// Under way; also what we do not know, and what waits for the customer.
    Pending,
    /// Done.
    Succeeded,
    /// It did not go.
    Failed,
    /// Called off.
    Canceled,
}

#[derive(Deserialize)]
struct RefundObject {
    id: String,
    status: Option<String>,
    failure_reason: Option<String>,
    #[serde(default)]
    metadata: Value,
}

#[derive(Deserialize)]
struct List {
    data: Vec<RefundObject>,
}

impl RefundObject {
    fn made(self) -> MadeRefund {
        let outcome = match self.status.as_deref() {
            Some("succeeded") => RefundOutcome::Succeeded,
            Some("failed") => RefundOutcome::Failed,
            Some("canceled") => RefundOutcome::Canceled,
            _ => RefundOutcome::Pending,
        };
        MadeRefund {
            id: self.id,
            outcome,
            failure_reason: self.failure_reason,
        }
    }
}

impl Stripe {
    /// Asks for a refund. Asking again with the same id gives the same refund.
    pub async fn create_refund(
        &self,
        request: &RefundRequest<'_>,
    ) -> Result<MadeRefund, StripeError> {
        // Stripe compares the parameters of a key by their names, so that their order does not
        // matter.
        let metadata = HashMap::from([
            ("refundId".to_owned(), request.id.to_string()),
            ("bookingId".to_owned(), request.booking_id.to_string()),
            ("app".to_owned(), APP.to_owned()),
        ]);
        let create = CreateRefund::new()
            .payment_intent(request.payment_intent_id)
            .amount(request.amount_minor)
            .metadata(metadata);
        let refund: RefundObject = self
            .call(create.build(), Some(&request.id.stripe_key()))
            .await?;
        Ok(refund.made())
    }

    /// Finds the refund of a payment that was asked for under `id`, if Stripe has made it.
    pub async fn find_refund(
        &self,
        payment_intent_id: &str,
        id: RefundId,
    ) -> Result<Option<MadeRefund>, StripeError> {
        let list = ListRefund::new()
            .payment_intent(payment_intent_id)
            .limit(LIST_MAX);
        let list: List = self.call(list.build(), None).await?;
        let id = id.to_string();
        let ours = |refund: &RefundObject| {
            refund.metadata.get("refundId").and_then(Value::as_str) == Some(&id)
        };
        Ok(list.data.into_iter().find(ours).map(RefundObject::made))
    }
}
