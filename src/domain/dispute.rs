//! Disputes: money that a cardholder's bank takes back, and what Stripe's reports mean for it.

use chrono::{DateTime, Utc};

use super::booking_event::BookingEvent;
use super::charge::ChargeReference;
use super::dispute_status::{DisputeStatus, DisputedFunds};
use super::ids::{BookingId, DisputeId, PaymentId};
use super::ledger::TransferKind;
use super::money::Money;

/// Of a report that says less than is known.
pub const NOTHING_NEW: &str = "the dispute had got as far before";

/// A dispute, as admins see it.
#[derive(Debug, Clone)]
pub struct DisputeOfBooking {
    /// Our id of it.
    pub id: DisputeId,
    /// `du_…`
    pub stripe_dispute_id: String,
    /// The payment that is disputed.
    pub payment_id: PaymentId,
    /// How much of it.
    pub amount: Money,
    /// Why, in Stripe's words.
    pub reason: Option<String>,
    /// Where it stands.
    pub status: DisputeStatus,
    /// Until when an answer counts.
    pub evidence_due_by: Option<DateTime<Utc>>,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When it came to its end.
    pub closed_at: Option<DateTime<Utc>>,
}

/// What Stripe says of a dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeReport {
    /// `du_…`
    pub stripe_dispute_id: String,
    /// The charge that is disputed.
    pub charge: ChargeReference,
    /// How much of it, if that can be read.
    pub money: Option<Money>,
    /// Why, in Stripe's words, such as `fraudulent`.
    pub reason: Option<String>,
    /// Where it stands; `None` if the status is not known here.
    pub status: Option<DisputeStatus>,
    /// Where the money is, as far as this report knows.
    pub funds: DisputedFunds,
    /// Until when the bank takes an answer.
    pub evidence_due_by: Option<DateTime<Utc>>,
    /// When the bank opened it.
    pub opened_at: DateTime<Utc>,
    /// When Stripe said this.
    pub reported_at: DateTime<Utc>,
    /// Whether it was asked: it has not said so by an event.
    pub is_answer: bool,
}

impl DisputeReport {
    /// What it says beside where the dispute stands.
    pub fn terms(&self) -> DisputeTerms {
        DisputeTerms {
            reason: self.reason.clone(),
            evidence_due_by: self.evidence_due_by,
        }
    }
}

/// What is told of a dispute beside where it stands. Each report has all of it, and which of them
/// was stored depends on their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeTerms {
    /// Why, in Stripe's words.
    pub reason: Option<String>,
    /// Until when the bank takes an answer.
    pub evidence_due_by: Option<DateTime<Utc>>,
}

/// A dispute as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// Ours.
    pub id: DisputeId,
    /// `du_…`
    pub stripe_dispute_id: String,
    /// How much of the payment.
    pub money: Money,
    /// Where it stands.
    pub status: DisputeStatus,
    /// Where the money is.
    pub funds: DisputedFunds,
    /// When Stripe said what its status comes from.
    pub reported_at: DateTime<Utc>,
}

/// A payment and what its buyer's bank says against it, read under the payment's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputedPayment {
    /// The payment.
    pub id: PaymentId,
    /// Its booking.
    pub booking_id: BookingId,
    /// What was captured.
    pub money: Money,
    /// All disputes of it.
    pub disputes: Vec<Dispute>,
    /// The early fraud warnings that it is flagged with.
    pub fraud_warnings: Vec<String>,
}

/// What has to be done, in the transaction that holds the payment's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisputeDecision {
    /// Nothing: the sentence says why.
    NoChange(&'static str),
    /// Store the dispute as it stands now, and book its money.
    Store(DisputeChange),
}

/// From where a dispute goes to where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeChange {
    /// As it was stored; `None` for one that is new.
    pub before: Option<Dispute>,
    /// As it stands now.
    pub after: Dispute,
    /// Whether Stripe names an amount that cannot be one of this payment. Then all of the payment
    /// counts as disputed, and a person has to look.
    pub is_odd: bool,
}

/// Decides what a report means for a payment and its disputes. Reports may come in any order, and
/// each again: the end is the same. An old one can still say that money was moved.
pub fn decide(payment: &DisputedPayment, report: &DisputeReport) -> DisputeDecision {
    let mut disputes = payment.disputes.iter();
    let before = disputes.find(|known| known.stripe_dispute_id == report.stripe_dispute_id);
    let named = report.money.filter(|money| {
        money.currency == payment.money.currency
            && (1..=payment.money.amount_minor).contains(&money.amount_minor)
    });
    let reported = Dispute {
        id: before.map_or_else(DisputeId::new, |known| known.id),
        stripe_dispute_id: report.stripe_dispute_id.clone(),
        money: named.unwrap_or(payment.money),
        // Of what is not understood, the worst is assumed: the money is not to be paid out twice.
        status: report.status.unwrap_or(DisputeStatus::NeedsResponse),
        funds: report.funds,
        reported_at: report.reported_at,
    };
    let after = match before {
        None => reported,
        Some(known) => merge(known, &reported, report.status.is_some()),
    };
    if before == Some(&after) {
        return DisputeDecision::NoChange(NOTHING_NEW);
    }
    DisputeDecision::Store(DisputeChange {
        before: before.cloned(),
        after,
        is_odd: named.is_none(),
    })
}

/// What is known of a dispute when this is reported of it, too.
fn merge(known: &Dispute, reported: &Dispute, is_status_known: bool) -> Dispute {
    let is_other_end = known.status.is_decided()
        && reported.status.is_decided()
        && reported.status != known.status
        && reported.reported_at > known.reported_at;
    let is_forward = !known.status.is_decided() && reported.status > known.status;
    let moves_status = is_status_known && (is_other_end || is_forward);
    let mut merged = known.clone();
    // A question may become a chargeback of less. What is booked stays.
    if known.funds == DisputedFunds::Untouched && (moves_status || reported.funds > known.funds) {
        merged.money = reported.money;
    }
    if moves_status {
        merged.status = reported.status;
        merged.reported_at = reported.reported_at;
    }
    merged.funds = known.funds.max(reported.funds);
    merged
}

impl DisputeChange {
    /// What has to be booked, in order. Money that is reinstated was withdrawn before, whichever is
    /// heard of first.
    pub fn transfers(&self) -> Vec<TransferKind> {
        let before = self.before.as_ref().map(|before| before.funds);
        let before = before.unwrap_or(DisputedFunds::Untouched);
        let steps = [
            (DisputedFunds::Withdrawn, TransferKind::DisputeWithdrawal),
            (
                DisputedFunds::Reinstated,
                TransferKind::DisputeReinstatement,
            ),
        ];
        let due = steps
            .into_iter()
            .filter(|(step, _)| before < *step && *step <= self.after.funds);
        due.map(|(_, kind)| kind).collect()
    }

    /// What has happened to the booking of `payment`, in order.
    pub fn events(&self, payment_id: PaymentId, reason: Option<&str>) -> Vec<BookingEvent> {
        let dispute_id = self.after.id;
        let (amount, status) = (self.after.money, self.after.status);
        let opened = self.before.is_none().then(|| BookingEvent::DisputeOpened {
            dispute_id,
            payment_id,
            amount,
            reason: reason.map(str::to_owned),
        });
        let moved = self.transfers().into_iter().filter_map(|kind| match kind {
            TransferKind::DisputeWithdrawal => {
                Some(BookingEvent::DisputeFundsWithdrawn { dispute_id, amount })
            }
            TransferKind::DisputeReinstatement => {
                Some(BookingEvent::DisputeFundsReinstated { dispute_id, amount })
            }
            TransferKind::Capture
            | TransferKind::Acceptance
            | TransferKind::Refund
            | TransferKind::RefundReversal => None,
        });
        let is_other = self
            .before
            .as_ref()
            .is_some_and(|before| before.status != status);
        let went_on = if status.is_closed() && (is_other || self.before.is_none()) {
            Some(BookingEvent::DisputeClosed { dispute_id, status })
        } else if is_other {
            Some(BookingEvent::DisputeUpdated { dispute_id, status })
        } else {
            None
        };
        opened.into_iter().chain(moved).chain(went_on).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DisputeStatus as Status;
    use DisputedFunds as Funds;

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

    /// A report made at this second.
    fn reported(status: Option<Status>, funds: Funds, second: i64) -> DisputeReport {
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
    ) -> (Dispute, Vec<TransferKind>, Vec<&'static str>) {
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

    #[test]
    fn a_dispute_ends_the_same_in_any_order_and_however_often_it_is_reported() {
        let opened = reported(Some(Status::NeedsResponse), Funds::Untouched, 1);
        let withdrawn = reported(Some(Status::NeedsResponse), Funds::Withdrawn, 1);
        let answered = reported(Some(Status::UnderReview), Funds::Untouched, 2);
        let unknown = reported(None, Funds::Untouched, 3);
        let lost = reported(Some(Status::Lost), Funds::Untouched, 4);
        let won = reported(Some(Status::Won), Funds::Reinstated, 5);
        let story = [&opened, &withdrawn, &answered, &unknown, &lost, &won];
        for shift in 0..story.len() {
            for is_backward in [false, true] {
                let mut told: Vec<_> = story.into_iter().cycle().skip(shift).take(12).collect();
                if is_backward {
                    told.reverse();
                }

                let (dispute, booked, happened) = settle(told);

                assert_eq!(dispute.status, Status::Won, "{shift}");
                assert_eq!(dispute.funds, Funds::Reinstated);
                assert_eq!(
                    booked,
                    [
                        TransferKind::DisputeWithdrawal,
                        TransferKind::DisputeReinstatement
                    ]
                );
                let opened = happened.iter().position(|kind| *kind == "disputeOpened");
                assert_eq!(opened, Some(0), "{happened:?}");
            }
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
            let first = reported(Some(before), Funds::Untouched, 1);
            let second = reported(Some(then), Funds::Untouched, 2);

            let (dispute, ..) = settle([&first, &second]);

            assert_eq!(dispute.status, after, "{before:?} {then:?}");
        }
    }
}
