//! How the refunds of a payment stand, and what a report about one can make of them.

use chrono::{DateTime, TimeDelta, Utc};

use super::attempt::PaymentPart;
use super::ids::{BookingId, PaymentId, RefundId};
use super::money::Money;

/// A refund that somebody makes in Stripe's dashboard so long before or after one of ours of the
/// same amount is probably the same, made twice: whoever has not heard of the one makes the other.
const TWICE_WITHIN: TimeDelta = TimeDelta::hours(1);
/// Of a report that says less than is known.
pub const NOTHING_NEW: &str = "the refund had got as far before";

/// Where a refund stands. <https://docs.stripe.com/api/refunds/object#refund_object-status>
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    sqlx::Type,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[sqlx(type_name = "refund_status", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum RefundStatus {
    /// Ours; Stripe has not made it yet.
    Requested,
    /// Stripe has it under way.
    Pending,
    /// The money is back.
    Succeeded,
    /// It did not go, or came back.
    Failed,
    /// It was called off.
    Canceled,
}

impl RefundStatus {
    /// Whether the money is with its buyer, or on its way there.
    pub fn has_left(self) -> bool {
        match self {
            Self::Pending | Self::Succeeded => true,
            Self::Requested | Self::Failed | Self::Canceled => false,
        }
    }
}

/// Who has asked for a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, serde::Serialize, utoipa::ToSchema)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum RefundSource {
    /// We, for money that is not owed.
    Surplus,
    /// Who cancels a booking, by its policy.
    Policy,
    /// An admin.
    Admin,
    /// Somebody in Stripe's dashboard.
    Dashboard,
}

/// A payment and all that goes back of it, read under the payment's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundedPayment {
    /// The payment.
    pub id: PaymentId,
    /// Its booking.
    pub booking_id: BookingId,
    /// Which part of the booking it pays.
    pub part: PaymentPart,
    /// What was captured.
    pub money: Money,
    /// Whether the payment was surplus; else it was applied to the booking.
    pub is_surplus: bool,
    /// Its refunds, oldest first.
    pub refunds: Vec<RefundState>,
}

/// A refund as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundState {
    /// The refund.
    pub id: RefundId,
    /// `re_…`, once Stripe has made it.
    pub stripe_refund_id: Option<String>,
    /// Whether we have not asked for it: somebody has made it in Stripe's dashboard.
    pub is_by_hand: bool,
    /// How much.
    pub money: Money,
    /// Where it stands.
    pub status: RefundStatus,
    /// Why it did not go, for good or so far.
    pub failure_reason: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// Since when Stripe has refused to make it for now.
    pub refused_since: Option<DateTime<Utc>>,
}

/// What has to be done, in the transaction that holds the payment's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundDecision {
    /// Nothing: the sentence says why.
    NoChange(&'static str),
    /// Store what Stripe says.
    Change(RefundChange),
    /// Look at the other refunds of the payment first: with this one they would be more than the
    /// payment, so at least one of them has failed unheard.
    LookFirst,
    /// Leave it to a person: it is of an amount that cannot be of this payment.
    Leave,
}

/// What becomes of the refunds of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundChange {
    /// The refund of ours that this is; none for one that we did not ask for and have to record.
    pub refund: Option<RefundState>,
    /// Whether somebody has made it in Stripe's dashboard.
    pub is_by_hand: bool,
    /// What it means for the ledger.
    pub bookkeeping: Bookkeeping,
    /// Refunds that were asked for and cannot be made any more.
    pub gives_way: Vec<GivesWay>,
}

/// A refund that cannot be made beside another, and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivesWay {
    /// The refund.
    pub refund: RefundState,
    /// How much of it can still be asked for.
    pub rest: Option<Money>,
}

/// What the new status of a refund means for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bookkeeping {
    /// The money leaves us.
    Refund,
    /// Money that was booked as leaving is back.
    Reversal,
    /// It was booked before, or never left.
    None,
}

impl RefundedPayment {
    /// How much has left, in minor units.
    pub fn refunded_minor(&self) -> i64 {
        let left = self.refunds.iter().filter(|one| one.status.has_left());
        left.fold(0, |sum, one| sum.saturating_add(one.money.amount_minor))
    }

    /// How much was not asked back, in minor units.
    pub fn unreserved_minor(&self) -> i64 {
        self.left_beside(|status| match status {
            RefundStatus::Requested | RefundStatus::Pending | RefundStatus::Succeeded => true,
            RefundStatus::Failed | RefundStatus::Canceled => false,
        })
    }

    /// How much has not come back for good, in minor units: what is under way may still fail.
    pub fn unreturned_minor(&self) -> i64 {
        self.left_beside(|status| status == RefundStatus::Succeeded)
    }

    fn left_beside(&self, counts: impl Fn(RefundStatus) -> bool) -> i64 {
        let gone = self.refunds.iter().filter(|one| counts(one.status));
        let captured = self.money.amount_minor;
        gone.fold(captured, |left, one| {
            left.saturating_sub(one.money.amount_minor)
        })
    }

    /// The refund of ours, if it waits for Stripe.
    pub fn requested(&self, id: RefundId) -> Option<&RefundState> {
        self.all_requested().find(|one| one.id == id)
    }

    fn all_requested(&self) -> impl Iterator<Item = &RefundState> {
        let requested = |one: &&RefundState| one.status == RefundStatus::Requested;
        self.refunds.iter().filter(requested)
    }

    /// The refund of which this one, made at Stripe then, is probably a repetition: one of the two
    /// is ours, the other was made by hand, of the same amount, while ours was asked for or shortly
    /// before or after. Two of ours are two that were wanted.
    pub fn twin_of(&self, refund: &RefundState, made_at: DateTime<Utc>) -> Option<&RefundState> {
        self.refunds.iter().find(|other| {
            let (asked_at, by_hand_at) = if refund.is_by_hand {
                (other.created_at, made_at)
            } else {
                (refund.created_at, other.created_at)
            };
            let until = if refund.is_by_hand { asked_at } else { made_at };
            let is_near =
                asked_at - TWICE_WITHIN <= by_hand_at && by_hand_at <= until + TWICE_WITHIN;
            other.is_by_hand != refund.is_by_hand
                && other.money == refund.money
                && other.status.has_left()
                && is_near
        })
    }

    /// Those of as much that have failed or were called off.
    pub fn ended_like(&self, refund: &RefundState) -> impl Iterator<Item = &RefundState> {
        self.refunds.iter().filter(|one| match one.status {
            RefundStatus::Failed | RefundStatus::Canceled => one.money == refund.money,
            RefundStatus::Requested | RefundStatus::Pending | RefundStatus::Succeeded => false,
        })
    }

    /// Those that Stripe was asked for and does not make for now.
    pub(super) fn put_off(&self) -> impl Iterator<Item = &RefundState> {
        self.all_requested()
            .filter(|one| one.refused_since.is_some())
    }

    /// Those that were asked for and do not fit any more when only so much is left.
    pub(super) fn giving_way(&self, mut left_minor: i64) -> Vec<GivesWay> {
        let mut giving_way = Vec::new();
        for refund in self.all_requested() {
            let wanted = refund.money.amount_minor;
            let granted = wanted.min(left_minor);
            left_minor = left_minor.saturating_sub(granted);
            if granted < wanted {
                let rest = Money::new(granted, refund.money.currency);
                giving_way.push(GivesWay {
                    refund: refund.clone(),
                    rest: (granted > 0).then_some(rest),
                });
            }
        }
        giving_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refund(is_by_hand: bool, minute: i64) -> RefundState {
        RefundState {
            id: RefundId::new(),
            stripe_refund_id: Some("re_1".to_owned()),
            is_by_hand,
            money: Money::new(500, "eur".parse().unwrap()),
            status: RefundStatus::Succeeded,
            failure_reason: None,
            created_at: DateTime::UNIX_EPOCH + TimeDelta::minutes(minute),
            refused_since: None,
        }
    }

    #[test]
    fn a_refund_is_made_twice_where_one_is_ours_and_another_like_it_was_made_by_hand_meanwhile() {
        let at = |minute| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        for (known, told, made_at, is_twice) in [
            // One by hand, and then ours.
            (refund(true, 0), refund(false, 5), 5, true),
            (refund(true, 0), refund(false, 60), 60, true),
            (refund(true, 0), refund(false, 61), 61, false),
            // Ours was under way for long, and somebody could not wait.
            (refund(true, 300), refund(false, 0), 600, true),
            (refund(true, 600), refund(false, 0), 600, true),
            (refund(true, 661), refund(false, 0), 600, false),
            // Ours, and then one by hand.
            (refund(false, 0), refund(true, 5), 5, true),
            (refund(false, 0), refund(true, 61), 61, false),
            // Two that were wanted.
            (refund(false, 0), refund(false, 1), 1, false),
            (refund(true, 0), refund(true, 1), 1, false),
        ] {
            let twin = known.id;
            let mut payment = RefundedPayment {
                id: PaymentId::new(),
                booking_id: BookingId::new(),
                part: PaymentPart::Full,
                money: Money::new(1_200, "eur".parse().unwrap()),
                is_surplus: false,
                refunds: vec![known, told.clone()],
            };
            let found =
                |payment: &RefundedPayment| payment.twin_of(&told, at(made_at)).map(|twin| twin.id);

            assert_eq!(
                found(&payment),
                is_twice.then_some(twin),
                "{payment:?} {made_at}"
            );
            payment.refunds[0].status = RefundStatus::Failed;
            assert_eq!(found(&payment), None);
            payment.refunds[0].status = RefundStatus::Succeeded;
            payment.refunds[0].money.amount_minor = 400;
            assert_eq!(found(&payment), None);
        }
    }
}
