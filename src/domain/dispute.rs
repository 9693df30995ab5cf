//! Disputes: money that a cardholder's bank takes back, and what Stripe's reports mean for it.

use chrono::{DateTime, Utc};

use super::booking_event::BookingEvent;
use super::charge::ChargeReference;
use super::dispute_status::DisputeStatus;
use super::disputed_funds::{DisputedFunds, FundsReport};
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
    /// What Stripe has moved for it, as far as this report knows.
    pub funds: FundsReport,
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

impl Dispute {
    /// How much of the money the bank has, in minor units.
    pub fn taken_minor(&self) -> i64 {
        match self.funds {
            DisputedFunds::Untouched => 0,
            DisputedFunds::Withdrawn { reinstated_minor } => {
                self.money.amount_minor.saturating_sub(reinstated_minor)
            }
        }
    }
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
    /// Whether it is not known for sure how much the bank has given back: a person has to look,
    /// unless another report says so.
    pub is_unclear: bool,
}

/// An amount of a dispute that has to be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisputeTransfer {
    /// Taken or given back.
    pub kind: TransferKind,
    /// How much.
    pub amount: Money,
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
    let money = named.unwrap_or(payment.money);
    // Of what is not understood, the worst is assumed: the money is not to be paid out twice.
    let status = report.status.unwrap_or(DisputeStatus::NeedsResponse);
    let found = report.funds.of(money, status);
    let reported = Dispute {
        id: before.map_or_else(DisputeId::new, |known| known.id),
        stripe_dispute_id: report.stripe_dispute_id.clone(),
        money,
        status,
        funds: found.funds,
        reported_at: report.reported_at,
    };
    let after = match before {
        None => reported,
        Some(known) => merge(known, &reported, report.status.is_some()),
    };
    let known_minor = before.map_or(0, |known| known.funds.reinstated_minor());
    let reinstated_minor = after.funds.reinstated_minor();
    let is_unclear = found.is_unclear && (reinstated_minor > known_minor || reinstated_minor == 0);
    if before == Some(&after) && !is_unclear {
        return DisputeDecision::NoChange(NOTHING_NEW);
    }
    DisputeDecision::Store(DisputeChange {
        before: before.cloned(),
        after,
        is_odd: named.is_none(),
        is_unclear,
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
    if let DisputedFunds::Withdrawn { reinstated_minor } = &mut merged.funds {
        *reinstated_minor = merged.money.amount_minor.min(*reinstated_minor);
    }
    merged
}

impl DisputeChange {
    /// What has to be booked, in order. Money that is reinstated was withdrawn before, whichever is
    /// heard of first.
    pub fn transfers(&self) -> Vec<DisputeTransfer> {
        let before = self.before.as_ref().map(|before| before.funds);
        let before = before.unwrap_or(DisputedFunds::Untouched);
        let after = self.after.funds;
        let is_withdrawn = before == DisputedFunds::Untouched && before < after;
        let withdrawn_minor = if is_withdrawn {
            self.after.money.amount_minor
        } else {
            0
        };
        let reinstated_minor = after
            .reinstated_minor()
            .saturating_sub(before.reinstated_minor());
        let steps = [
            (TransferKind::DisputeWithdrawal, withdrawn_minor),
            (TransferKind::DisputeReinstatement, reinstated_minor),
        ];
        let due = steps.into_iter().filter(|(_, minor)| *minor > 0);
        due.map(|(kind, minor)| DisputeTransfer {
            kind,
            amount: Money::new(minor, self.after.money.currency),
        })
        .collect()
    }

    /// Whether more has come back than was known.
    pub fn is_reinstated(&self) -> bool {
        let mut transfers = self.transfers().into_iter();
        transfers.any(|transfer| transfer.kind == TransferKind::DisputeReinstatement)
    }

    /// What has happened to the booking of `payment`, in order.
    pub fn events(&self, payment_id: PaymentId, reason: Option<&str>) -> Vec<BookingEvent> {
        let dispute_id = self.after.id;
        let status = self.after.status;
        let opened = self.before.is_none().then(|| BookingEvent::DisputeOpened {
            dispute_id,
            payment_id,
            amount: self.after.money,
            reason: reason.map(str::to_owned),
        });
        let moved = self.transfers().into_iter();
        let moved = moved.filter_map(|DisputeTransfer { kind, amount }| match kind {
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
mod tests;
