//! What is owed of bookings that do not take place, and how they stand, case by case.

use super::*;
use crate::domain::attempt::PaymentPart;
use crate::domain::dispute_status::DisputeStatus;
use crate::domain::disputed_funds::DisputedFunds;
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
        failure_reason: (*status == RefundStatus::Failed).then(|| "the card is gone".to_owned()),
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
        funds: DisputedFunds::TAKEN,
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
        RunOutcome::Ending | RunOutcome::Refunding => format!("{owed}open"),
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
            "policy 1000, A refund of 10.00 EUR has failed; Stripe does not say why.".to_owned(),
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
fn what_a_bank_may_take_waits_for_it_and_what_it_has_is_not_asked_back() {
    use DisputeStatus::{Lost, UnderReview, Won};
    let waits = "The payment is disputed; its bank decides who gets the money.";
    let gone = "The payment was disputed, and its bank has given the money back.";
    for (payment, expected) in [
        (
            disputed(UnderReview, 1_000, &[]),
            format!("policy 1000, {waits}"),
        ),
        (
            disputed(UnderReview, 1_000, &[(1_000, RefundStatus::Requested)]),
            waits.to_owned(),
        ),
        (
            disputed(UnderReview, 1_000, &[(1_000, RefundStatus::Succeeded)]),
            "done".to_owned(),
        ),
        (disputed(Lost, 1_000, &[]), "done".to_owned()),
        (disputed(Lost, 999, &[]), gone.to_owned()),
        (
            disputed(Lost, 1_000, &[(1_000, RefundStatus::Requested)]),
            "open".to_owned(),
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
    use RunOutcome::{Ending, Refunding};
    for (outcome, waited, pause) in [
        (Ending, -9, 2),
        (Ending, 0, 2),
        (Ending, 30, 30),
        (Ending, 86_400, 60),
        (Refunding, 0, 2),
        (Refunding, 600, 600),
        (Refunding, 86_400, 3_600),
    ] {
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(waited);
        let step = RunStep {
            begun_at: Some(DateTime::UNIX_EPOCH),
            outcome,
        };

        let next = step.next_look_at(now);

        assert_eq!((next - now).num_seconds(), pause, "{step:?} {waited}");
        assert!(next <= latest_look_at(now));
        assert!(step.begun_at(now) <= now);
    }
}

#[test]
fn a_run_goes_on_within_a_minute() {
    let now = DateTime::UNIX_EPOCH;
    for (seconds, expected) in [(-60, 2), (0, 2), (30, 30), (3_600, 60)] {
        let next = next_go_at(now + TimeDelta::seconds(seconds), now);

        assert_eq!((next - now).num_seconds(), expected, "{seconds}");
    }
}

#[test]
fn what_has_come_back_of_what_was_done_counts_as_failed() {
    let failure = |booking_id| RunFailure {
        booking_id,
        error: "why".to_owned(),
    };
    let ids: Vec<_> = (0..102).map(|_| BookingId::new()).collect();
    let run = Run {
        id: RunId::new(),
        state: RunState::Done,
        total: 110,
        done: 108,
        failed: 2,
        failures: ids[100..].iter().copied().map(failure).collect(),
    };

    let read = run.with_late_failures(ids[..100].iter().copied().map(failure).collect());

    assert_eq!((read.total, read.done, read.failed), (110, 8, 102));
    let named = read.failures.iter().map(|failure| failure.booking_id);
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(named.collect::<Vec<_>>(), expected[..100]);
}
