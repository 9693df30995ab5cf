//! Refunds at Stripe. <https://docs.stripe.com/api/refunds>

use std::collections::HashMap;

use serde::Deserialize;
use stripe_client_core::StripeRequest;
use stripe_core::refund::{CreateRefund, ListRefund};

use super::objects::StripeObject;
use super::{Stripe, StripeError};
use crate::domain::ids::{BookingId, RefundId};
use crate::domain::refund::RefundReport;
use crate::domain::stripe_report::APP;

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

#[derive(Deserialize)]
struct List {
    data: Vec<StripeObject>,
}

impl Stripe {
    /// Asks for a refund. Asking again with the same id gives the same refund.
    pub async fn create_refund(
        &self,
        request: &RefundRequest<'_>,
    ) -> Result<RefundReport, StripeError> {
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
        let refund: StripeObject = self
            .call(create.build(), Some(&request.id.stripe_key()))
            .await?;
        Ok(refund.refund_report())
    }

    /// Finds the refund of a payment that was asked for under `id`, if Stripe has made it.
    pub async fn find_refund(
        &self,
        payment_intent_id: &str,
        id: RefundId,
    ) -> Result<Option<RefundReport>, StripeError> {
        let list = ListRefund::new()
            .payment_intent(payment_intent_id)
            .limit(LIST_MAX);
        let list: List = self.call(list.build(), None).await?;
        let made = list
            .data
            .iter()
            .find(|refund| refund.refund_id() == Some(id));
        Ok(made.map(StripeObject::refund_report))
    }
}
