//! Refunds: what is on its way back, and what Stripe's reports mean for it.

use chrono::{DateTime, Utc};

use super::ids::{BookingId, PaymentId, RefundId};
use super::money::Money;

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
    /// Ours; Stripe has not answered yet.
    Requested,
    /// Stripe has it under way.
    Pending,
    /// The money is back.
    Succeeded,
    /// It did not go, or came back.
    Failed,
    /// Stripe has called it off.
    Canceled,
}

/// What Stripe says of a refund, when it is asked for one or by an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundReport {
    /// `re_…`; none if Stripe has refused to make it.
    pub stripe_refund_id: Option<String>,
    /// Where it stands. A status that is not known here counts as pending.
    pub status: RefundStatus,
    /// Why it did not go.
    pub failure_reason: Option<String>,
    /// Whether Stripe has stored the failure under the refund's key, and would replay it for ever.
    pub is_replayed: bool,
}

/// A refund as it stands, read under its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundState {
    /// The refund.
    pub id: RefundId,
    /// The booking whose money it is.
    pub booking_id: BookingId,
    /// The payment that is given back.
    pub payment_id: PaymentId,
    /// How much.
    pub money: Money,
    /// Where it stands.
    pub status: RefundStatus,
    /// Whether the payment was surplus; else it was applied to the booking.
    pub of_surplus: bool,
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
    /// Who has asked for it, such as `surplus`.
    pub source: String,
    /// Why.
    pub reason: String,
    /// Why it did not go, if it did not.
    pub failure_reason: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it came to its end.
    pub settled_at: Option<DateTime<Utc>>,
}

/// What has to be done, in the transaction that holds the refund's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundDecision {
    /// Nothing: the sentence says why.
    NoChange(&'static str),
    /// Store the new status, and book the money as said.
    Store(Bookkeeping),
    /// Store the failure, and put a fresh refund, with a key of its own, in the place of this one.
    AskAgain,
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

/// Decides what a report means for a refund that stands so. The same report again changes nothing.
///
/// A refund that has succeeded can still fail: the bank may send it back.
/// <https://docs.stripe.com/refunds#failed-refunds>
pub fn decide(status: RefundStatus, report: &RefundReport) -> RefundDecision {
    use RefundStatus as Status;
    match (status, report.status) {
        (_, Status::Requested) => RefundDecision::NoChange("Stripe has not answered yet"),
        (Status::Requested, Status::Pending | Status::Succeeded) => {
            RefundDecision::Store(Bookkeeping::Refund)
        }
        (Status::Requested, Status::Failed) if report.is_replayed => RefundDecision::AskAgain,
        (Status::Requested, Status::Failed | Status::Canceled)
        | (Status::Pending, Status::Succeeded) => RefundDecision::Store(Bookkeeping::None),
        (Status::Pending | Status::Succeeded, Status::Failed | Status::Canceled) => {
            RefundDecision::Store(Bookkeeping::Reversal)
        }
        (Status::Pending, Status::Pending)
        | (Status::Succeeded, Status::Pending | Status::Succeeded)
        | (
            Status::Failed | Status::Canceled,
            Status::Pending | Status::Succeeded | Status::Failed | Status::Canceled,
        ) => RefundDecision::NoChange("the refund had got as far before"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RefundStatus as Status;

    #[test]
    fn a_refund_is_booked_when_it_leaves_and_booked_back_when_it_fails() {
        let store = RefundDecision::Store;
        let stays = RefundDecision::NoChange("the refund had got as far before");
        for (status, reported_status, decision) in [
            (
                Status::Requested,
                Status::Pending,
                store(Bookkeeping::Refund),
            ),
            (
                Status::Requested,
                Status::Succeeded,
                store(Bookkeeping::Refund),
            ),
            (Status::Requested, Status::Failed, store(Bookkeeping::None)),
            (
                Status::Requested,
                Status::Canceled,
                store(Bookkeeping::None),
            ),
            (Status::Pending, Status::Succeeded, store(Bookkeeping::None)),
            (
                Status::Pending,
                Status::Failed,
                store(Bookkeeping::Reversal),
            ),
            (
                Status::Pending,
                Status::Canceled,
                store(Bookkeeping::Reversal),
            ),
            (
                Status::Succeeded,
                Status::Failed,
                store(Bookkeeping::Reversal),
            ),
            (Status::Pending, Status::Pending, stays),
            (Status::Succeeded, Status::Pending, stays),
            (Status::Succeeded, Status::Succeeded, stays),
            (Status::Failed, Status::Failed, stays),
            (Status::Failed, Status::Succeeded, stays),
            (Status::Canceled, Status::Pending, stays),
        ] {
            let report = reported(reported_status, false);

            assert_eq!(
                decide(status, &report),
                decision,
                "{status:?} {reported_status:?}"
            );
        }
    }

    #[test]
    fn a_failure_that_stripe_would_replay_is_asked_for_under_another_key_once() {
        for (status, decision) in [
            (Status::Requested, RefundDecision::AskAgain),
            (
                Status::Pending,
                RefundDecision::Store(Bookkeeping::Reversal),
            ),
            (
                Status::Failed,
                RefundDecision::NoChange("the refund had got as far before"),
            ),
        ] {
            let report = reported(Status::Failed, true);

            assert_eq!(decide(status, &report), decision, "{status:?}");
        }
    }

    fn reported(status: Status, is_replayed: bool) -> RefundReport {
        RefundReport {
            stripe_refund_id: Some("re_1".to_owned()),
            status,
            failure_reason: None,
            is_replayed,
        }
    }
}
