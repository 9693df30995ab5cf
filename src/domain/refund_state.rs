//! How the refunds of a payment stand, and what a report about one can make of them.

use chrono::{DateTime, Utc};

use super::attempt::PaymentPart;
use super::ids::{BookingId, PaymentId, RefundId};
use super::money::Money;

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
