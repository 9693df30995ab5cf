//! Each kind of event is one of the table's, and can be read again.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// The kinds that the table takes.
const MIGRATION: &str = include_str!("../../../migrations/0004_booking_events.sql");

fn one_of_each() -> Vec<BookingEvent> {
    let (attempt_id, payment_id) = (AttemptId::new(), PaymentId::new());
    let (refund_id, until) = (RefundId::new(), DateTime::UNIX_EPOCH);
    let amount = Money::new(1_200, "eur".parse().unwrap());
    let (mismatch, ours, theirs) = (Mismatch::Amount, json!(1), json!({ "captured": 2 }));
    vec![
        BookingEvent::Held { until },
        BookingEvent::VoucherRedeemed {
            code: "SPRING".to_owned(),
            discount: amount,
        },
        BookingEvent::HoldShortened { until },
        BookingEvent::AttemptOpened { attempt_id },
        BookingEvent::AttemptClosed { attempt_id },
        BookingEvent::AttemptReplaced {
            attempt_id,
            next_attempt_id: attempt_id,
        },
        BookingEvent::AwaitingFunds { attempt_id, until },
        BookingEvent::ClaimedAgain {
            attempt_id,
            moved_to: None,
        },
        BookingEvent::Confirmed {
            payment_id: Some(payment_id),
        },
        BookingEvent::BalancePaid { payment_id },
        BookingEvent::SurplusKept {
            payment_id,
            amount,
            reason: SurplusReason::LatePayment,
        },
        BookingEvent::Review {
            mismatch,
            ours: ours.clone(),
            theirs: theirs.clone(),
        },
        BookingEvent::PaymentDiffers {
            mismatch,
            ours,
            theirs,
        },
        BookingEvent::CancellationRequested {
            by: CancelledBy::Buyer,
            reason: None,
        },
        BookingEvent::ShowCancelled {
            reason: "the film has torn".to_owned(),
        },
        BookingEvent::ReviewResolved {
            resolution: Resolution::Confirm,
            reason: "a fair price".to_owned(),
        },
        BookingEvent::Expired,
        BookingEvent::Cancelled,
        BookingEvent::Failed,
        BookingEvent::RefundRequested {
            refund_id,
            amount,
            reason: Some("a delay".to_owned()),
        },
        BookingEvent::RefundSettled {
            refund_id,
            status: RefundStatus::Succeeded,
        },
    ]
    .into_iter()
    .chain(one_of_each_dispute(payment_id, refund_id, amount))
    .collect()
}

fn one_of_each_dispute(
    payment_id: PaymentId,
    refund_id: RefundId,
    amount: Money,
) -> [BookingEvent; 9] {
    let (dispute_id, status) = (DisputeId::new(), DisputeStatus::UnderReview);
    let reason = Some("fraudulent".to_owned());
    [
        BookingEvent::RefundRefused {
            refund_id,
            reason: "400 balance_insufficient".to_owned(),
        },
        BookingEvent::RefundMadeByHand { refund_id, amount },
        BookingEvent::RefundHeldBack {
            refund_id,
            dispute_id,
        },
        BookingEvent::DisputeOpened {
            dispute_id,
            payment_id,
            amount,
            reason: reason.clone(),
        },
        BookingEvent::DisputeUpdated { dispute_id, status },
        BookingEvent::DisputeFundsWithdrawn { dispute_id, amount },
        BookingEvent::DisputeFundsReinstated { dispute_id, amount },
        BookingEvent::DisputeClosed { dispute_id, status },
        BookingEvent::FraudWarned {
            payment_id,
            warning_id: "issfr_1".to_owned(),
            fraud_type: reason,
        },
    ]
}

#[test]
fn an_event_says_its_kind_in_its_json_and_can_be_read_again() {
    for event in one_of_each() {
        let stored: Value = serde_json::from_str(&event.json()).unwrap();

        assert_eq!(stored["kind"], event.kind());
        assert_eq!(
            serde_json::from_value::<BookingEvent>(stored).unwrap(),
            event
        );
    }
    let attempt_id = AttemptId::new();
    assert_eq!(
        serde_json::to_value(BookingEvent::AttemptOpened { attempt_id }).unwrap(),
        json!({ "kind": "attemptOpened", "attemptId": attempt_id })
    );
}

#[test]
fn the_table_takes_every_kind_and_no_other() {
    let events = one_of_each();
    let kinds: BTreeSet<_> = events.iter().map(BookingEvent::kind).collect();

    let (_, check) = MIGRATION.split_once("check (kind in (").unwrap();
    let (taken, _) = check.split_once("))").unwrap();
    let taken: BTreeSet<_> = taken
        .split(',')
        .map(|kind| kind.trim().trim_matches('\''))
        .collect();
    assert_eq!(kinds, taken);
}
