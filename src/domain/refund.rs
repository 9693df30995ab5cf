//! Refunds: what is on its way back, and what Stripe's reports mean for it.

use chrono::{DateTime, Utc};

use super::charge::ChargeReference;
use super::ids::{BookingId, PaymentId, RefundId};
use super::money::Money;
use super::refund_state::{
    Bookkeeping, NOTHING_NEW, RefundChange, RefundDecision, RefundSource, RefundState,
    RefundStatus, RefundedPayment,
};
use super::skew::SKEW_MAX;

/// What Stripe says of a refund that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeRefund {
    /// `re_…`
    pub id: String,
    /// Ours that it was asked for under, from the metadata; none for one that we did not ask for.
    pub refund_id: Option<RefundId>,
    /// The charge that it gives back.
    pub charge: ChargeReference,
    /// How much, if that can be read.
    pub money: Option<Money>,
    /// Where it stands; never requested. A status that is not known here counts as pending.
    pub status: RefundStatus,
    /// Why somebody has asked for it, in Stripe's words.
    pub reason: Option<String>,
    /// Why it did not go.
    pub failure_reason: Option<String>,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
}

/// How much of a charge has gone back, where Stripe says no more of it than that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundedCharge {
    /// The charge.
    pub charge: ChargeReference,
    /// How much of it, in minor units.
    pub refunded_minor: i64,
}

/// By what a report names the payment whose refunds it is about, as far as it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RefundReference {
    /// Ours.
    pub refund_id: Option<RefundId>,
    /// `re_…`
    pub stripe_refund_id: Option<String>,
    /// The charge that is given back.
    pub charge: ChargeReference,
}

/// A refund, as admins see it.
#[derive(Debug, Clone)]
pub struct Refund {
    /// The refund.
    pub id: RefundId,
    /// The booking whose money it is.
    pub booking_id: BookingId,
    /// The payment that is given back.
    pub payment_id: PaymentId,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub status: RefundStatus,
    /// Who has asked for it.
    pub source: RefundSource,
    /// Why.
    pub reason: String,
    /// Why it did not go, for good or so far.
    pub failure_reason: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it came to its end.
    pub settled_at: Option<DateTime<Utc>>,
}

/// Decides what it means for a payment and its refunds that Stripe has this one. Reports may come
/// in any order, and each again: the end is the same.
pub fn decide(payment: &RefundedPayment, found: &StripeRefund) -> RefundDecision {
    if let Some(refund) = refund_of(payment, found) {
        return match bookkeeping(refund.status, found.status) {
            Some(bookkeeping) => RefundDecision::Change(RefundChange {
                refund: Some(refund.clone()),
                is_by_hand: false,
                bookkeeping,
                gives_way: Vec::new(),
            }),
            None => RefundDecision::NoChange(NOTHING_NEW),
        };
    }
    let captured = payment.money;
    let money = found.money.filter(|money| {
        money.currency == captured.currency
            && (1..=captured.amount_minor).contains(&money.amount_minor)
    });
    let Some(money) = money else {
        return RefundDecision::Leave;
    };
    let by_hand = |refund, gives_way| {
        RefundDecision::Change(RefundChange {
            refund,
            is_by_hand: true,
            bookkeeping: bookkeeping(RefundStatus::Requested, found.status)
                .unwrap_or(Bookkeeping::None),
            gives_way,
        })
    };
    if !found.status.has_left() {
        return by_hand(None, Vec::new());
    }
    let left = captured.amount_minor.checked_sub(payment.refunded_minor());
    let left = left.and_then(|left| left.checked_sub(money.amount_minor));
    let Some(left_minor) = left.filter(|left| *left >= 0) else {
        return RefundDecision::LookFirst;
    };
    let gives_way = payment.giving_way(left_minor);
    // Who has refunded as much as was asked for has done what was asked for: where Stripe does not
    // make it for now, or where there is not enough left for both.
    let is_done = |one: &&RefundState| {
        let first_possible = one.created_at - SKEW_MAX;
        one.money == money && found.created_at.is_none_or(|at| at >= first_possible)
    };
    let done = gives_way.iter().map(|one| &one.refund).find(is_done);
    match done.or_else(|| payment.put_off().find(is_done)).cloned() {
        Some(done) => by_hand(Some(done), Vec::new()),
        None => by_hand(None, gives_way),
    }
}

/// The refund of ours that Stripe speaks of: one that it has named before, or one that waits for
/// it. A refund that has ended without Stripe is not that one: another may have taken its place.
fn refund_of<'a>(payment: &'a RefundedPayment, found: &StripeRefund) -> Option<&'a RefundState> {
    let known = |one: &&RefundState| one.stripe_refund_id.as_ref() == Some(&found.id);
    let known = payment.refunds.iter().find(known);
    known.or_else(|| {
        let asked_for = payment.requested(found.refund_id?)?;
        let is_same = found.money.is_none_or(|money| money == asked_for.money);
        is_same.then_some(asked_for)
    })
}

/// What it means for the ledger that a refund which stood so is reported so; `None` if it had got
/// as far before.
///
/// A refund that has succeeded can still fail: the bank may send it back.
/// <https://docs.stripe.com/refunds#failed-refunds>
fn bookkeeping(status: RefundStatus, reported: RefundStatus) -> Option<Bookkeeping> {
    use RefundStatus as Status;
    match (status, reported) {
        (Status::Requested, Status::Pending | Status::Succeeded) => Some(Bookkeeping::Refund),
        (Status::Requested, Status::Failed | Status::Canceled)
        | (Status::Pending, Status::Succeeded) => Some(Bookkeeping::None),
        (Status::Pending | Status::Succeeded, Status::Failed | Status::Canceled) => {
            Some(Bookkeeping::Reversal)
        }
        (_, Status::Requested)
        | (Status::Pending, Status::Pending)
        | (Status::Succeeded, Status::Pending | Status::Succeeded)
        | (
            Status::Failed | Status::Canceled,
            Status::Pending | Status::Succeeded | Status::Failed | Status::Canceled,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use RefundStatus as Status;
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::attempt::PaymentPart;

    fn eur(amount_minor: i64) -> Money {
        Money::new(amount_minor, "eur".parse().unwrap())
    }

    /// A refund of ours; one with a status of Stripe's is `re_<amount>` there.
    fn ours(amount_minor: i64, status: Status) -> RefundState {
        let is_made = status != Status::Requested;
        RefundState {
            id: RefundId::new(),
            stripe_refund_id: is_made.then(|| format!("re_{amount_minor}")),
            is_by_hand: false,
            money: eur(amount_minor),
            status,
            failure_reason: None,
            created_at: DateTime::UNIX_EPOCH,
            refused_since: None,
        }
    }

    fn payment(refunds: &[RefundState]) -> RefundedPayment {
        RefundedPayment {
            id: PaymentId::new(),
            booking_id: BookingId::new(),
            part: PaymentPart::Full,
            money: eur(1_000),
            is_surplus: true,
            refunds: refunds.to_vec(),
        }
    }

    /// Stripe has `re_<amount>`.
    fn found(amount_minor: i64, status: Status) -> StripeRefund {
        StripeRefund {
            id: format!("re_{amount_minor}"),
            refund_id: None,
            charge: ChargeReference::default(),
            money: Some(eur(amount_minor)),
            status,
            reason: None,
            failure_reason: None,
            created_at: None,
        }
    }

    /// A decision in a few words.
    fn said(decision: &RefundDecision) -> String {
        let change = match decision {
            RefundDecision::NoChange(_) => return "no change".to_owned(),
            RefundDecision::LookFirst => return "look first".to_owned(),
            RefundDecision::Leave => return "leave".to_owned(),
            RefundDecision::Change(change) => change,
        };
        let whose = match (&change.refund, change.is_by_hand) {
            (Some(_), false) => "ours",
            (Some(_), true) => "ours by hand",
            (None, _) => "new",
        };
        let giving_way = change.gives_way.iter().map(|one| {
            let rest = one.rest.map_or(0, |rest| rest.amount_minor);
            format!(", {} gives way to {rest}", one.refund.money.amount_minor)
        });
        let giving_way: String = giving_way.collect();
        format!("{whose} {:?}{giving_way}", change.bookkeeping)
    }

    #[test]
    fn a_refund_is_booked_when_it_leaves_and_booked_back_when_it_fails() {
        for (status, reported, expected) in [
            (Status::Requested, Status::Pending, "ours Refund"),
            (Status::Requested, Status::Succeeded, "ours Refund"),
            (Status::Requested, Status::Failed, "ours None"),
            (Status::Requested, Status::Canceled, "ours None"),
            (Status::Pending, Status::Succeeded, "ours None"),
            (Status::Pending, Status::Failed, "ours Reversal"),
            (Status::Pending, Status::Canceled, "ours Reversal"),
            (Status::Succeeded, Status::Failed, "ours Reversal"),
            (Status::Pending, Status::Pending, "no change"),
            (Status::Succeeded, Status::Pending, "no change"),
            (Status::Succeeded, Status::Succeeded, "no change"),
            (Status::Failed, Status::Failed, "no change"),
            (Status::Failed, Status::Succeeded, "no change"),
            (Status::Canceled, Status::Pending, "no change"),
        ] {
            let refund = ours(1_000, status);
            let report = StripeRefund {
                refund_id: Some(refund.id),
                ..found(1_000, reported)
            };

            let decision = decide(&payment(&[refund]), &report);

            assert_eq!(said(&decision), expected, "{status:?} {reported:?}");
        }
    }

    #[test]
    fn what_nobody_here_has_asked_for_is_new_and_all_else_has_to_fit_beside_it() {
        let (requested, pending, succeeded) =
            (Status::Requested, Status::Pending, Status::Succeeded);
        for (refunds, amount, status, expected) in [
            (vec![], 1_000, succeeded, "new Refund"),
            (vec![], 400, pending, "new Refund"),
            (vec![], 400, Status::Failed, "new None"),
            (vec![(600, succeeded)], 400, succeeded, "new Refund"),
            (vec![(601, succeeded)], 400, succeeded, "look first"),
            (vec![(601, pending)], 400, Status::Canceled, "new None"),
            (vec![(601, Status::Failed)], 400, pending, "new Refund"),
            (vec![(600, requested)], 400, succeeded, "new Refund"),
            (
                vec![(1_000, requested)],
                1_000,
                succeeded,
                "ours by hand Refund",
            ),
            (
                vec![(1_000, requested)],
                400,
                pending,
                "new Refund, 1000 gives way to 600",
            ),
            (
                vec![(600, requested)],
                1_000,
                pending,
                "new Refund, 600 gives way to 0",
            ),
            (
                vec![(300, requested), (700, requested)],
                400,
                succeeded,
                "new Refund, 700 gives way to 300",
            ),
            (
                vec![(300, requested), (700, requested)],
                700,
                succeeded,
                "ours by hand Refund",
            ),
        ] {
            let refunds: Vec<_> = refunds
                .into_iter()
                .map(|(amount, status)| ours(amount, status))
                .collect();

            let decision = decide(&payment(&refunds), &found(amount, status));

            assert_eq!(said(&decision), expected, "{refunds:?} {amount} {status:?}");
        }
    }

    #[test]
    fn a_refund_that_was_put_off_is_the_one_that_somebody_has_made_for_it() {
        let asked_for_at = DateTime::UNIX_EPOCH;
        let hour = TimeDelta::hours(1);
        let (before, after) = (Some(asked_for_at - hour), Some(asked_for_at + hour));
        for (put_off, amount, made_at, expected) in [
            (true, 400, after, "ours by hand Refund"),
            (true, 400, None, "ours by hand Refund"),
            (true, 400, before, "new Refund"),
            (true, 300, after, "new Refund"),
            (false, 400, after, "new Refund"),
        ] {
            let refund = RefundState {
                refused_since: put_off.then_some(asked_for_at),
                created_at: asked_for_at,
                ..ours(400, Status::Requested)
            };
            let report = StripeRefund {
                created_at: made_at,
                ..found(amount, Status::Succeeded)
            };

            let decision = decide(&payment(&[refund]), &report);

            assert_eq!(said(&decision), expected, "{put_off} {amount} {made_at:?}");
        }
    }

    #[test]
    fn an_amount_that_cannot_be_of_the_payment_is_left_to_a_person() {
        let dollars = Money::new(400, "usd".parse().unwrap());
        for money in [
            None,
            Some(eur(0)),
            Some(eur(-1)),
            Some(eur(1_001)),
            Some(dollars),
        ] {
            let report = StripeRefund {
                money,
                ..found(400, Status::Succeeded)
            };

            assert_eq!(
                decide(&payment(&[]), &report),
                RefundDecision::Leave,
                "{money:?}"
            );
        }
    }

    #[test]
    fn a_name_of_ours_counts_only_for_what_waits_for_stripe_and_only_for_its_amount() {
        for (status, amount, expected) in [
            (Status::Requested, 600, "ours Refund"),
            (Status::Requested, 500, "new Refund, 600 gives way to 500"),
            (Status::Failed, 600, "new Refund"),
            (Status::Canceled, 600, "new Refund"),
        ] {
            let refund = RefundState {
                stripe_refund_id: None,
                ..ours(600, status)
            };
            let report = StripeRefund {
                refund_id: Some(refund.id),
                ..found(amount, Status::Succeeded)
            };

            let decision = decide(&payment(&[refund]), &report);

            assert_eq!(said(&decision), expected, "{status:?} {amount}");
        }
    }
}
