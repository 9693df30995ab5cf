//! What reports about refunds make of them.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::plan::Item;
use super::round::Round;
use super::sentences;
use crate::connection::Connection;
use crate::domain::booking_event::BookingEvent;
use crate::domain::job::Job;
use crate::domain::ledger::TransferKind;
use crate::domain::payment_event::EventStatus;
use crate::domain::refund::StripeRefund;
use crate::domain::refund_refusal::{RefundRefusal, RefusalDecision};
use crate::domain::refund_request::GrantedRefund;
use crate::domain::refund_state::{
    Bookkeeping, GivesWay, RefundChange, RefundState, RefundStatus, RefundedPayment,
};
use crate::error::Result;
use crate::repositories::discrepancies::{self, NewDiscrepancy};
use crate::repositories::refund_requests::{NewRefund, RefundCause};
use crate::repositories::{dashboard_refunds, ledger, refund_looks, refunds};

/// The kind of discrepancy of a refund that does not go: for now, or because it has failed.
const NOT_GONE: &str = "refund_not_gone";
/// The kind of discrepancy of a refund that was made twice, once by us and once by hand; it is
/// about the one that was made by hand.
const MADE_TWICE: &str = "refund_made_twice";
/// Why a refund was called off.
const BY_HAND: &str = "somebody has refunded the payment in Stripe's dashboard";

/// A refund that does not go.
#[derive(Clone, Copy)]
struct NotGone<'a> {
    refund: &'a RefundState,
    /// Where it stands now.
    status: RefundStatus,
    reason: &'a str,
}

impl Round<'_> {
    /// Changes the refunds of a payment as was decided, and books the money. The caller holds the
    /// payment's lock.
    pub(super) async fn change_refund(
        &mut self,
        db: &mut Connection,
        payment: &RefundedPayment,
        found: &StripeRefund,
        change: RefundChange,
    ) -> Result<&'static str> {
        let gives_way = change.gives_way;
        for one in &gives_way {
            self.call_off(db, payment, one).await?;
        }
        let refund = match change.refund {
            Some(refund) => {
                refunds::store(db, &refund, found, self.now).await?;
                refund
            }
            None => dashboard_refunds::insert_found(db, payment, found, self.now).await?,
        };
        if change.is_by_hand {
            let (refund_id, amount) = (refund.id, refund.money);
            let made = BookingEvent::RefundMadeByHand { refund_id, amount };
            self.happened(payment.booking_id, made);
        }
        for one in &gives_way {
            self.request_rest(db, payment, one).await?;
        }
        self.book(db, payment, &refund, change.bookkeeping).await?;
        self.look_for_twin(db, payment, &refund, found).await?;
        let status = found.status;
        if status != RefundStatus::Pending {
            self.settled(payment, &refund, status);
        }
        Ok(match status {
            RefundStatus::Failed | RefundStatus::Canceled => {
                let reason = found.failure_reason.as_deref();
                let reason = reason.unwrap_or("no reason given");
                let not_gone = NotGone {
                    refund: &refund,
                    status,
                    reason,
                };
                self.flag_not_gone(db, payment, not_gone).await?;
                sentences::REFUND_FAILED
            }
            RefundStatus::Requested | RefundStatus::Pending | RefundStatus::Succeeded
                if change.is_by_hand =>
            {
                sentences::REFUND_BY_HAND
            }
            RefundStatus::Requested | RefundStatus::Pending => sentences::REFUND_UNDER_WAY,
            RefundStatus::Succeeded => sentences::REFUND_SUCCEEDED,
        })
    }

    /// Calls off a refund that cannot be made any more.
    async fn call_off(
        &mut self,
        db: &mut Connection,
        payment: &RefundedPayment,
        one: &GivesWay,
    ) -> Result<()> {
        let (id, status) = (one.refund.id, RefundStatus::Canceled);
        refunds::end_unmade(db, id, status, BY_HAND, self.now).await?;
        discrepancies::heal(db, NOT_GONE, &[id.to_string()]).await?;
        self.settled(payment, &one.refund, status);
        Ok(())
    }

    /// Asks afresh for what is left of a refund that was called off.
    async fn request_rest(
        &mut self,
        db: &mut Connection,
        payment: &RefundedPayment,
        one: &GivesWay,
    ) -> Result<()> {
        let Some(amount) = one.rest else {
            return Ok(());
        };
        let new = NewRefund {
            granted: GrantedRefund {
                payment_id: payment.id,
                amount,
            },
            cause: RefundCause::RestOf(one.refund.id),
        };
        self.request_refund(db, new).await.map(drop)
    }

    /// Shows a person that a refund was made twice; where one of the two is not any more, that is
    /// healed.
    async fn look_for_twin(
        &self,
        db: &mut Connection,
        payment: &RefundedPayment,
        refund: &RefundState,
        found: &StripeRefund,
    ) -> Result<()> {
        if !found.status.has_left() {
            let of_both = payment.refunds.iter().chain([refund]);
            let by_hand = of_both.filter(|one| one.is_by_hand && one.money == refund.money);
            let by_hand = by_hand.filter(|one| refund.is_by_hand == (one.id == refund.id));
            let ids = by_hand.filter_map(|one| one.stripe_refund_id.clone());
            return discrepancies::heal(db, MADE_TWICE, &ids.collect::<Vec<_>>()).await;
        }
        let made_at = found.created_at.unwrap_or(self.now);
        let Some(twin) = payment.twin_of(refund, made_at) else {
            return Ok(());
        };
        let told = (refund.id, Some(&found.id));
        let known = (twin.id, twin.stripe_refund_id.as_ref());
        let (ours, by_hand) = if refund.is_by_hand {
            (known, told)
        } else {
            (told, known)
        };
        let discrepancy = NewDiscrepancy {
            kind: MADE_TWICE,
            subject: by_hand.1.map_or("a refund without an id", String::as_str),
            booking_id: Some(payment.booking_id),
            ours: json!({
                "paymentId": payment.id, "refundId": ours.0, "stripeRefundId": ours.1,
                "amount": refund.money,
            }),
            theirs: json!({ "refundId": by_hand.0, "stripeRefundId": by_hand.1 }),
        };
        if discrepancies::open(db, &discrepancy, self.now)
            .await?
            .is_some()
        {
            tracing::error!(
                booking.id = %payment.booking_id,
                refund.id = %refund.id,
                "a refund was probably made twice, by us and in Stripe's dashboard"
            );
        }
        Ok(())
    }

    async fn book(
        &self,
        db: &mut Connection,
        payment: &RefundedPayment,
        refund: &RefundState,
        bookkeeping: Bookkeeping,
    ) -> Result<()> {
        match bookkeeping {
            Bookkeeping::None => Ok(()),
            Bookkeeping::Reversal => {
                let kind = TransferKind::RefundReversal;
                ledger::book_refund(db, payment, refund, kind, self.now).await
            }
            Bookkeeping::Refund => {
                ledger::book_refund(db, payment, refund, TransferKind::Refund, self.now).await?;
                heal_gone(db, payment, refund).await
            }
        }
    }

    fn settled(&mut self, payment: &RefundedPayment, refund: &RefundState, status: RefundStatus) {
        let refund_id = refund.id;
        let settled = BookingEvent::RefundSettled { refund_id, status };
        self.happened(payment.booking_id, settled);
    }

    /// Keeps that Stripe does not make a refund: for now, or for good. The caller holds the
    /// payment's lock.
    pub(super) async fn refuse_refund(
        &mut self,
        db: &mut Connection,
        payment: &RefundedPayment,
        refusal: &RefundRefusal,
        decision: RefusalDecision,
    ) -> Result<&'static str> {
        match decision {
            RefusalDecision::NoChange(reason) => Ok(reason),
            RefusalDecision::AskAgain(refund) => {
                refund_looks::put_off(db, &refund, refusal, self.now).await?;
                if refund.failure_reason.as_ref() != Some(&refusal.reason) {
                    let refused = BookingEvent::RefundRefused {
                        refund_id: refund.id,
                        reason: refusal.reason.clone(),
                    };
                    self.happened(payment.booking_id, refused);
                }
                let not_gone = NotGone {
                    refund: &refund,
                    status: RefundStatus::Requested,
                    reason: &refusal.reason,
                };
                self.flag_not_gone(db, payment, not_gone).await?;
                Ok("Stripe does not make the refund for now; it is asked again later")
            }
            RefusalDecision::Fail(refund) => {
                let (status, reason) = (RefundStatus::Failed, &refusal.reason);
                refunds::end_unmade(db, refund.id, status, reason, self.now).await?;
                self.settled(payment, &refund, status);
                let not_gone = NotGone {
                    refund: &refund,
                    status,
                    reason,
                };
                self.flag_not_gone(db, payment, not_gone).await?;
                Ok(sentences::REFUND_FAILED)
            }
        }
    }

    /// Shows a person that a refund has not gone, once until it has. That it has failed is another
    /// fact than that it does not go for now.
    async fn flag_not_gone(
        &self,
        db: &mut Connection,
        payment: &RefundedPayment,
        not_gone: NotGone<'_>,
    ) -> Result<()> {
        let NotGone {
            refund,
            status,
            reason,
        } = not_gone;
        let discrepancy = NewDiscrepancy {
            kind: NOT_GONE,
            subject: &refund.id.to_string(),
            booking_id: Some(payment.booking_id),
            ours: json!({
                "paymentId": payment.id, "amount": refund.money, "status": status,
            }),
            theirs: json!({ "refundId": refund.stripe_refund_id, "said": reason }),
        };
        let opened = discrepancies::open(db, &discrepancy, self.now).await?;
        if opened.is_some() {
            tracing::error!(
                booking.id = %payment.booking_id,
                refund.id = %refund.id,
                "a refund has not gone: {reason}"
            );
        }
        Ok(())
    }

    /// Leaves to a person how much of a payment has gone back.
    pub(super) async fn leave_refund(
        &self,
        db: &mut Connection,
        payment: &RefundedPayment,
        found: &StripeRefund,
    ) -> Result<&'static str> {
        let discrepancy = NewDiscrepancy {
            kind: "refund_differs",
            subject: &found.id,
            booking_id: Some(payment.booking_id),
            ours: json!({ "paymentId": payment.id, "captured": payment.money }),
            theirs: json!({ "refunded": found.money }),
        };
        let opened = discrepancies::open(db, &discrepancy, self.now).await?;
        if opened.is_some() {
            let id = payment.booking_id;
            tracing::error!(booking.id = %id, "a refund is not of an amount of its payment");
        }
        Ok(sentences::REFUND_LEFT)
    }

    /// Has Stripe asked how the refunds of a payment stand, and takes the event up again after
    /// that, if so.
    pub(super) fn look_at_refunds(
        &mut self,
        payment: &RefundedPayment,
        item: &Item<'_>,
        again_at: Option<DateTime<Utc>>,
    ) -> (EventStatus, &'static str) {
        let look = Job::LookAtRefunds {
            payment_id: payment.id,
            booking_id: Some(payment.booking_id),
        };
        self.jobs.push(look.at(self.now));
        let Some((event, at)) = item.event.zip(again_at) else {
            return (EventStatus::Processed, sentences::REFUNDS_LOOKED_AT);
        };
        let event_id = event.id.to_owned();
        self.jobs.push(Job::SettleEvent { event_id }.at(at));
        (
            EventStatus::Deferred,
            "deferred: the other refunds of its payment are looked at first",
        )
    }
}

/// Heals what was shown of refunds that did not go, as far as this one makes it good: it has gone
/// itself, it repeats one that has failed, or nothing is left that could still go.
async fn heal_gone(
    db: &mut Connection,
    payment: &RefundedPayment,
    refund: &RefundState,
) -> Result<()> {
    let gone_minor = payment
        .refunded_minor()
        .saturating_add(refund.money.amount_minor);
    if gone_minor >= payment.money.amount_minor {
        let all: Vec<_> = payment
            .refunds
            .iter()
            .map(|one| one.id.to_string())
            .collect();
        return discrepancies::heal(db, NOT_GONE, &all).await;
    }
    discrepancies::heal(db, NOT_GONE, &[refund.id.to_string()]).await?;
    let repeated = payment.ended_like(refund).map(|one| one.id.to_string());
    let repeated: Vec<_> = repeated.collect();
    discrepancies::heal_oldest(db, NOT_GONE, &repeated).await
}
