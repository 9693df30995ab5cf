//! Reports of disputes in all orders, and where they lead.

use super::*;
use crate::domain::disputed_funds::Movements;
use DisputeStatus as Status;

fn eur(amount_minor: i64) -> Money {
    Money::new(amount_minor, "eur".parse().unwrap())
}

fn payment() -> DisputedPayment {
    DisputedPayment {
        id: PaymentId::new(),
        booking_id: BookingId::new(),
        money: eur(1_200),
        disputes: Vec::new(),
        fraud_warnings: Vec::new(),
    }
}

/// What was taken, and given back, in euros.
fn moved(withdrawn_minor: i64, reinstated_minor: i64) -> FundsReport {
    FundsReport {
        is_withdrawn: withdrawn_minor > 0,
        is_reinstated: reinstated_minor > 0,
        movements: Movements {
            withdrawn_minor,
            reinstated_minor,
            currency: "eur".parse().ok(),
        },
    }
}

/// A report made at this second.
fn reported(status: Option<Status>, funds: FundsReport, second: i64) -> DisputeReport {
    DisputeReport {
        stripe_dispute_id: "du_1".to_owned(),
        charge: ChargeReference::default(),
        money: Some(eur(1_200)),
        reason: None,
        status,
        funds,
        evidence_due_by: None,
        opened_at: DateTime::UNIX_EPOCH,
        reported_at: DateTime::from_timestamp(second, 0).unwrap(),
        is_answer: false,
    }
}

/// Settles the reports one after the other; returns the dispute, what was booked, and the kinds
/// of the events.
fn settle<'a>(
    reports: impl IntoIterator<Item = &'a DisputeReport>,
) -> (Dispute, Vec<DisputeTransfer>, Vec<&'static str>) {
    let (mut payment, mut booked, mut happened) = (payment(), Vec::new(), Vec::new());
    for report in reports {
        if let DisputeDecision::Store(change) = decide(&payment, report) {
            booked.extend(change.transfers());
            let events = change.events(payment.id, None);
            happened.extend(events.iter().map(BookingEvent::kind));
            payment.disputes = vec![change.after];
        }
    }
    (payment.disputes.remove(0), booked, happened)
}

/// The sum of what was booked as this.
fn sum(booked: &[DisputeTransfer], kind: TransferKind) -> i64 {
    let of_kind = booked.iter().filter(|transfer| transfer.kind == kind);
    of_kind.map(|transfer| transfer.amount.amount_minor).sum()
}

#[test]
fn a_dispute_ends_the_same_in_any_order_and_however_often_it_is_reported() {
    let opened = reported(Some(Status::NeedsResponse), moved(0, 0), 1);
    let withdrawn = reported(Some(Status::NeedsResponse), moved(1_200, 0), 1);
    let answered = reported(Some(Status::UnderReview), moved(0, 0), 2);
    let unknown = reported(None, moved(0, 0), 3);
    let lost = reported(Some(Status::Lost), moved(1_200, 500), 4);
    let won = reported(Some(Status::Won), moved(1_200, 1_200), 5);
    for (story, status, reinstated_minor) in [
        (
            &[&opened, &withdrawn, &answered, &unknown, &lost, &won][..],
            Status::Won,
            1_200,
        ),
        (&[&opened, &withdrawn, &answered, &lost], Status::Lost, 500),
    ] {
        for shift in 0..story.len() {
            for is_backward in [false, true] {
                let told = story.iter().copied().cycle().skip(shift);
                let mut told: Vec<_> = told.take(2 * story.len()).collect();
                if is_backward {
                    told.reverse();
                }

                let (dispute, booked, happened) = settle(told);

                assert_eq!(dispute.status, status, "{shift}");
                assert_eq!(dispute.funds.reinstated_minor(), reinstated_minor);
                assert_eq!(dispute.taken_minor(), 1_200 - reinstated_minor);
                assert_eq!(sum(&booked, TransferKind::DisputeWithdrawal), 1_200);
                let given_back = sum(&booked, TransferKind::DisputeReinstatement);
                assert_eq!(given_back, reinstated_minor, "{booked:?}");
                assert_eq!(booked[0].kind, TransferKind::DisputeWithdrawal);
                let opened = happened.iter().position(|kind| *kind == "disputeOpened");
                assert_eq!(opened, Some(0), "{happened:?}");
            }
        }
    }
}

#[test]
fn an_amount_that_is_not_clear_is_left_to_a_person_until_it_is() {
    let somehow = FundsReport {
        is_reinstated: true,
        ..moved(1_200, 0)
    };
    let in_dollars = FundsReport {
        movements: Movements {
            currency: "usd".parse().ok(),
            ..moved(1_300, 390).movements
        },
        ..moved(1_300, 390)
    };
    let lost = Some(Status::Lost);
    for (told, unclear) in [
        // However often it comes: the discrepancy is open already.
        (&[somehow, somehow][..], &[true, true][..]),
        (&[somehow, moved(1_200, 300)], &[true, false]),
        (&[moved(1_200, 300), somehow], &[false]),
        (&[in_dollars, in_dollars], &[true]),
    ] {
        let mut payment = payment();
        let mut found = Vec::new();
        for funds in told {
            let report = reported(lost, *funds, 1);
            if let DisputeDecision::Store(change) = decide(&payment, &report) {
                found.push(change.is_unclear);
                payment.disputes = vec![change.after];
            }
        }
        assert_eq!(found, unclear, "{told:?}");
    }
}

#[test]
fn a_status_only_goes_forward() {
    let warned = Status::WarningNeedsResponse;
    for (before, then, after) in [
        (warned, Status::WarningClosed, Status::WarningClosed),
        (Status::WarningClosed, warned, Status::WarningClosed),
        (warned, Status::NeedsResponse, Status::NeedsResponse),
        (
            Status::NeedsResponse,
            Status::WarningClosed,
            Status::NeedsResponse,
        ),
        (
            Status::UnderReview,
            Status::NeedsResponse,
            Status::UnderReview,
        ),
        (Status::UnderReview, Status::Prevented, Status::Prevented),
        (Status::Lost, Status::UnderReview, Status::Lost),
        (Status::Lost, Status::Won, Status::Won),
        (Status::Won, Status::Lost, Status::Lost),
    ] {
        let first = reported(Some(before), moved(0, 0), 1);
        let second = reported(Some(then), moved(0, 0), 2);

        let (dispute, ..) = settle([&first, &second]);

        assert_eq!(dispute.status, after, "{before:?} {then:?}");
    }
}
