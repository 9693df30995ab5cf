//! A run: a whole show is cancelled, booking by booking, and all that was paid goes back.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::dispute::Dispute;
use super::dispute_status::DisputedFunds;
use super::ids::{BookingId, RunId};
use super::money::Money;
use super::refund_block::{self, RefundBlock};
use super::refund_request::GrantedRefund;
use super::refund_state::{RefundSource, RefundState, RefundStatus, RefundedPayment};

/// The shortest and the longest pause before a booking is looked at again that has not come to its
/// end. Most refunds are made at once; one that Stripe puts off may take days.
const LOOK_PAUSES: (TimeDelta, TimeDelta) = (TimeDelta::seconds(2), TimeDelta::minutes(1));

/// A run, as admins see it. The bookings that are neither done nor failed are still open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The run.
    pub id: RunId,
    /// Whether anything is left to happen by itself.
    pub state: RunState,
    /// The bookings that it is about.
    pub total: i64,
    /// Those that have ended, and whose money is back or on its way.
    pub done: i64,
    /// Those that a person has to look at.
    pub failed: i64,
    /// The first of these.
    pub failures: Vec<RunFailure>,
}

/// Whether a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RunState {
    /// Bookings are open: they are being ended, or a refund has still to be made.
    Running,
    /// Nothing more happens by itself.
    Done,
}

/// A booking that a person has to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFailure {
    /// The booking.
    pub booking_id: BookingId,
    /// Why, in a sentence.
    pub error: String,
}

/// How a booking of a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// It has not come to its end, and goes on by itself.
    Open,
    /// It has ended, and its money is back or on its way.
    Done,
    /// A person has to look at it. The sentence says why.
    Failed(String),
}

/// What has come of a booking of a run that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// When something was first done about it; `None` if that was now.
    pub begun_at: Option<DateTime<Utc>>,
    /// How it stands.
    pub outcome: RunOutcome,
}

/// A payment of a booking, with all that goes back of it and all that is said against it, read
/// under its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPayment {
    /// The payment and its refunds.
    pub payment: RefundedPayment,
    /// What banks say against it.
    pub disputes: Vec<Dispute>,
}

/// A refund to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedRefund {
    /// Of which payment, and how much.
    pub granted: GrantedRefund,
    /// Who asks for it.
    pub source: RefundSource,
}

/// When a booking is looked at again about which something was first done then.
pub fn next_look_at(begun_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let waited = now.signed_duration_since(begun_at);
    now + waited.clamp(LOOK_PAUSES.0, LOOK_PAUSES.1)
}

/// No booking of a run waits for longer than this until it is looked at, where no clock is wrong.
pub fn latest_look_at(now: DateTime<Utc>) -> DateTime<Utc> {
    now + LOOK_PAUSES.1
}

/// What has to be asked back of a booking that does not take place, whatever its policy says: all
/// that was applied to it. What came beside that waits for a person, unless it was to go back and
/// has not gone. What has failed is asked for again only if somebody `insists`, and what a bank
/// has, or may take, is not ours to give.
pub fn owed(payments: &[RunPayment], insists: bool) -> Vec<OwedRefund> {
    let owed = payments.iter().filter_map(|one| {
        let payment = &one.payment;
        let left_minor = payment.unreserved_minor();
        let waits_for_person = if one.last_failed().is_some() {
            !insists
        } else {
            payment.is_surplus
        };
        if left_minor <= 0 || waits_for_person || one.block().is_some() {
            return None;
        }
        let source = if payment.is_surplus {
            RefundSource::Admin
        } else {
            RefundSource::Policy
        };
        let granted = GrantedRefund {
            payment_id: payment.id,
            amount: Money::new(left_minor, payment.money.currency),
        };
        Some(OwedRefund { granted, source })
    });
    owed.collect()
}

/// How a booking stands that has ended with these payments.
pub fn judge(payments: &[RunPayment]) -> RunOutcome {
    if payments.iter().any(RunPayment::is_open) {
        return RunOutcome::Open;
    }
    let failures: Vec<_> = payments.iter().filter_map(RunPayment::failure).collect();
    if failures.is_empty() {
        RunOutcome::Done
    } else {
        RunOutcome::Failed(failures.join(" "))
    }
}

impl RunPayment {
    fn block(&self) -> Option<RefundBlock> {
        refund_block::of_disputes(&self.disputes)
    }

    fn has_requested(&self) -> bool {
        let mut refunds = self.payment.refunds.iter();
        refunds.any(|refund| refund.status == RefundStatus::Requested)
    }

    /// Whether a refund is still to be made, and no bank is waited for.
    fn is_open(&self) -> bool {
        self.has_requested() && !matches!(self.block(), Some(RefundBlock::Disputed(_)))
    }

    /// Why not all of it goes back.
    fn failure(&self) -> Option<String> {
        let kept_minor = self.payment.unreserved_minor();
        let amount = Money::new(kept_minor, self.payment.money.currency);
        match self.block() {
            Some(block @ RefundBlock::Disputed(_)) => {
                (kept_minor > 0 || self.has_requested()).then(|| block.to_string())
            }
            Some(block @ RefundBlock::GivenBack(_)) => {
                (kept_minor > self.taken_minor()).then(|| block.to_string())
            }
            None if kept_minor <= 0 => None,
            None => Some(match self.last_failed() {
                Some(RefundState {
                    failure_reason: Some(reason),
                    ..
                }) => format!("A refund of {amount} has failed: {reason}."),
                Some(_) => format!("A refund of {amount} has failed; Stripe does not say why."),
                None => {
                    format!("{amount} came beside the price, and waits for somebody to decide.")
                }
            }),
        }
    }

    /// What banks have given back for good, in minor units.
    fn taken_minor(&self) -> i64 {
        let taken = self.disputes.iter().filter(|dispute| {
            let block = refund_block::of_disputes(std::slice::from_ref(dispute));
            matches!(block, Some(RefundBlock::GivenBack(_)))
                && dispute.funds == DisputedFunds::Withdrawn
        });
        taken.fold(0, |sum, dispute| {
            sum.saturating_add(dispute.money.amount_minor)
        })
    }

    fn last_failed(&self) -> Option<&RefundState> {
        let mut newest_first = self.payment.refunds.iter().rev();
        newest_first.find(|refund| match refund.status {
            RefundStatus::Failed | RefundStatus::Canceled => true,
            RefundStatus::Requested | RefundStatus::Pending | RefundStatus::Succeeded => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt::PaymentPart;
    use crate::domain::dispute_status::DisputeStatus;
    use crate::domain::ids::{DisputeId, PaymentId, RefundId};

    fn eur(amount_minor: i64) -> Money {
        Money::new(amount_minor, "eur".parse().unwrap())
    }

    /// A payment of ten euros that was applied, with these refunds, oldest first.
    fn paid(refunds: &[(i64, RefundStatus)]) -> RunPayment {
        let refunds = refunds.iter().map(|(amount, status)| RefundState {
            id: RefundId::new(),
            stripe_refund_id: None,
            is_by_hand: false,
            money: eur(*amount),
            status: *status,
            failure_reason: (*status == RefundStatus::Failed)
                .then(|| "the card is gone".to_owned()),
            created_at: DateTime::UNIX_EPOCH,
            refused_since: None,
        });
        RunPayment {
            payment: RefundedPayment {
                id: PaymentId::new(),
                booking_id: BookingId::new(),
                part: PaymentPart::Full,
                money: eur(1_000),
                is_surplus: false,
                refunds: refunds.collect(),
            },
            disputes: Vec::new(),
        }
    }

    fn surplus(refunds: &[(i64, RefundStatus)]) -> RunPayment {
        let mut payment = paid(refunds);
        payment.payment.is_surplus = true;
        payment
    }

    fn disputed(
        status: DisputeStatus,
        amount_minor: i64,
        refunds: &[(i64, RefundStatus)],
    ) -> RunPayment {
        let dispute = Dispute {
            id: DisputeId::new(),
            stripe_dispute_id: "du_1".to_owned(),
            money: eur(amount_minor),
            status,
            funds: DisputedFunds::Withdrawn,
            reported_at: DateTime::UNIX_EPOCH,
        };
        RunPayment {
            disputes: vec![dispute],
            ..paid(refunds)
        }
    }

    /// What is asked back if somebody insists, and by whom, and how the booking stands.
    fn said(payments: &[RunPayment]) -> String {
        let owed = owed(payments, true).into_iter().map(|owed| {
            let source = match owed.source {
                RefundSource::Policy => "policy",
                RefundSource::Admin => "admin",
                RefundSource::Surplus | RefundSource::Dashboard => "nobody",
            };
            format!("{source} {}, ", owed.granted.amount.amount_minor)
        });
        let owed: String = owed.collect();
        match judge(payments) {
            RunOutcome::Open => format!("{owed}open"),
            RunOutcome::Done => format!("{owed}done"),
            RunOutcome::Failed(sentence) => format!("{owed}{sentence}"),
        }
    }

    #[test]
    fn all_that_was_applied_goes_back_once_and_what_does_not_is_said() {
        use RefundStatus::{Failed, Pending, Requested, Succeeded};
        let beside = "10.00 EUR came beside the price, and waits for somebody to decide.";
        let failed = "A refund of 10.00 EUR has failed: the card is gone.";
        for (payments, expected) in [
            (vec![], "done".to_owned()),
            (vec![paid(&[(1_000, Succeeded)])], "done".to_owned()),
            (vec![paid(&[(1_000, Pending)])], "done".to_owned()),
            (vec![paid(&[(1_000, Requested)])], "open".to_owned()),
            (
                vec![paid(&[(400, Succeeded), (600, Requested)])],
                "open".to_owned(),
            ),
            (
                vec![paid(&[(1_000, Failed)])],
                format!("policy 1000, {failed}"),
            ),
            (
                vec![paid(&[(1_000, RefundStatus::Canceled)])],
                "policy 1000, A refund of 10.00 EUR has failed; Stripe does not say why."
                    .to_owned(),
            ),
            (
                vec![paid(&[(1_000, Failed), (1_000, Succeeded)])],
                "done".to_owned(),
            ),
            // One that goes on is waited for.
            (
                vec![paid(&[(1_000, Failed)]), paid(&[(1_000, Requested)])],
                "policy 1000, open".to_owned(),
            ),
            (vec![surplus(&[])], beside.to_owned()),
            (vec![surplus(&[(1_000, Requested)])], "open".to_owned()),
            (
                vec![surplus(&[(1_000, Failed)])],
                format!("admin 1000, {failed}"),
            ),
        ] {
            assert_eq!(said(&payments), expected, "{payments:?}");
        }
    }

    #[test]
    fn money_that_a_bank_has_or_may_take_is_not_asked_back() {
        use DisputeStatus::{Lost, UnderReview, Won};
        let waits = "The payment is disputed; its bank decides who gets the money.";
        let gone = "The payment was disputed, and its bank has given the money back.";
        for (payment, expected) in [
            (disputed(UnderReview, 1_000, &[]), waits),
            (
                disputed(UnderReview, 1_000, &[(1_000, RefundStatus::Requested)]),
                waits,
            ),
            (
                disputed(UnderReview, 1_000, &[(1_000, RefundStatus::Succeeded)]),
                "done",
            ),
            (disputed(Lost, 1_000, &[]), "done"),
            (disputed(Lost, 999, &[]), gone),
            (
                disputed(Lost, 1_000, &[(1_000, RefundStatus::Requested)]),
                "open",
            ),
        ] {
            assert_eq!(
                said(std::slice::from_ref(&payment)),
                expected,
                "{payment:?}"
            );
        }
        assert_eq!(owed(&[disputed(Won, 1_000, &[])], false).len(), 1);
    }

    #[test]
    fn what_has_failed_is_asked_for_again_only_if_somebody_insists() {
        let payments = [
            paid(&[]),
            paid(&[(400, RefundStatus::Succeeded)]),
            paid(&[(1_000, RefundStatus::Failed)]),
            surplus(&[(1_000, RefundStatus::Failed)]),
            surplus(&[]),
        ];

        let asked = [false, true].map(|insists| {
            let owed = owed(&payments, insists).into_iter();
            owed.map(|owed| owed.granted.amount.amount_minor)
                .collect::<Vec<_>>()
        });

        assert_eq!(asked, [vec![1_000, 600], vec![1_000, 600, 1_000, 1_000]]);
    }

    #[test]
    fn a_booking_is_looked_at_again_after_as_long_as_it_has_taken() {
        for (waited, pause) in [(-9, 2), (0, 2), (30, 30), (86_400, 60)] {
            let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(waited);

            let next = next_look_at(DateTime::UNIX_EPOCH, now);

            assert_eq!((next - now).num_seconds(), pause, "{waited}");
            assert!(next <= latest_look_at(now));
        }
    }
}
