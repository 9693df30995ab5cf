//! Refunds at Stripe. <https://docs.stripe.com/api/refunds>

use std::collections::HashMap;

use serde::Deserialize;
use stripe_client_core::StripeRequest;
use stripe_core::refund::{CreateRefund, ListRefund};

use super::lists::{List, PAGE_MAX};
use super::objects::StripeObject;
use super::{Lane, Stripe, StripeError};
use crate::domain::ids::{BookingId, RefundId};
use crate::domain::refund::{RefundedCharge, StripeRefund};
use crate::domain::refund_state::RefundStatus;

/// How many pages of one payment's refunds are looked through.
const PAGES_MAX: usize = 10;

/// What is to be given back.
#[derive(Debug, Clone)]
pub struct RefundRequest<'a> {
    /// Ours. The metadata names it, so that it can be found again.
    pub id: RefundId,
    /// How many keys Stripe has refused it under; this is asked under the next.
    pub keys_spent: i32,
    /// The booking it belongs to.
    pub booking_id: BookingId,
    /// The payment.
    pub payment_intent_id: &'a str,
    /// How much, in the payment's currency.
    pub amount_minor: i64,
}

impl Stripe {
    /// Asks for a refund. Asking again with the same id and number of keys gives the same refund.
    pub async fn create_refund(
        &self,
        request: &RefundRequest<'_>,
    ) -> Result<StripeRefund, StripeError> {
        // Stripe compares the parameters of a key by their names, so that their order does not
        // matter.
        let metadata = HashMap::from([
            ("refundId".to_owned(), request.id.to_string()),
            ("bookingId".to_owned(), request.booking_id.to_string()),
            ("app".to_owned(), self.app_name().to_owned()),
        ]);
        let create = CreateRefund::new()
            .payment_intent(request.payment_intent_id)
            .amount(request.amount_minor)
            .metadata(metadata);
        let key = request.id.stripe_key(request.keys_spent);
        let made: StripeObject = self.call(Lane::Refunds, create.build(), Some(&key)).await?;
        let made = made
            .refund()
            .ok_or_else(|| StripeError::unusable("the id of a refund"))?;
        Ok(StripeRefund {
            // Whatever else it says: nothing but this refund can be made under this key.
            refund_id: Some(request.id),
            ..made
        })
    }

    /// The refunds of a payment, whoever has made them, newest first; of more than a thousand, the
    /// oldest are left out. The lane says who wants to know.
    pub async fn list_refunds(
        &self,
        payment_intent_id: &str,
        lane: Lane,
    ) -> Result<Vec<StripeRefund>, StripeError> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = ListRefund::new()
                .payment_intent(payment_intent_id)
                .limit(PAGE_MAX);
            let page = match after {
                Some(after) => page.starting_after(after),
                None => page,
            };
            let list: List = self.call(lane, page.build(), None).await?;
            let page = list.page(|refund| StripeObject::deserialize(refund).ok()?.refund())?;
            found.extend(page.items);
            after = page.next_after;
            if after.is_none() {
                return Ok(found);
            }
        }
        let count = found.len();
        tracing::error!("{payment_intent_id} has more refunds than the {count} that are looked at");
        Ok(found)
    }
}

impl StripeObject {
    /// What a refund says; `None` where it has no id. A status that is not known here, or that
    /// waits for the customer, is under way.
    /// <https://docs.stripe.com/api/refunds/object>
    pub(super) fn refund(&self) -> Option<StripeRefund> {
        let status = match self.status.as_deref() {
            Some("succeeded") => RefundStatus::Succeeded,
            Some("failed") => RefundStatus::Failed,
            Some("canceled") => RefundStatus::Canceled,
            _ => RefundStatus::Pending,
        };
        Some(StripeRefund {
            id: self.id.clone()?,
            refund_id: self.refund_id(),
            charge: self.charge_reference(),
            money: self.money(self.amount),
            status,
            reason: self.reason.clone(),
            failure_reason: self.failure_reason.clone(),
            created_at: self.created,
        })
    }

    /// How much of a charge has gone back; `None` where it does not say so.
    pub(super) fn refunded_charge(&self) -> Option<RefundedCharge> {
        Some(RefundedCharge {
            charge: self.charge_reference(),
            refunded_minor: self.amount_refunded?,
        })
    }

    fn refund_id(&self) -> Option<RefundId> {
        self.metadata.get("refundId")?.as_str()?.parse().ok()
    }
}
