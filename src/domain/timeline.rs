//! The story of a booking, in sentences that can be read to a customer.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::booking_event::BookingEvent;
use super::cancelled_by::CancelledBy;
use super::dispute_status::DisputeStatus;
use super::funds::{Mismatch, SurplusReason};
use super::job::TroubledJob;
use super::money::Money;
use super::payment_event::PaymentEvent;
use super::refund_state::RefundStatus;

const FREE: &str = "Confirmed; it costs nothing.";
const REPLACED: &str = "Stripe gave no payment page; another one was asked for in its place.";
const CLAIMED_AGAIN: &str = "The payment came after the hold had ended; what was booked was still \
                             free, and is kept for the buyer again.";

/// What an item of the story is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TimelineKind {
    /// What Stripe has sent.
    StripeEvent,
    /// The booking itself.
    Booking,
    /// A payment page.
    Checkout,
    /// Money that came.
    Payment,
    /// Money that goes back.
    Refund,
    /// Work in the background.
    Job,
    /// What an admin has decided.
    Admin,
}

/// One sentence of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineItem {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What it is about.
    pub kind: TimelineKind,
    /// The sentence.
    pub text: String,
}

impl TimelineItem {
    /// What has happened to a booking, with its times in `zone`.
    pub fn of_booking(event: &BookingEvent, at: DateTime<Utc>, zone: Tz) -> Self {
        let time = |time: &DateTime<Utc>| time.with_timezone(&zone).format("%-d %B %Y %H:%M %Z");
        let text = match event {
            BookingEvent::Held { until } => format!("Held for the buyer until {}.", time(until)),
            BookingEvent::VoucherRedeemed { code, discount } => reduced(code, *discount),
            BookingEvent::HoldShortened { until } => {
                format!("Held until {} only: a clock had been wrong.", time(until))
            }
            BookingEvent::AttemptOpened { .. } => "A payment page was opened.".to_owned(),
            BookingEvent::AttemptClosed { .. } => "A payment page was closed.".to_owned(),
            BookingEvent::AttemptReplaced { .. } => REPLACED.to_owned(),
            BookingEvent::AwaitingFunds { until, .. } => format!(
                "The buyer has paid by a method that takes days; kept for them until {}.",
                time(until)
            ),
            BookingEvent::ClaimedAgain { moved_to, .. } => claimed_again(moved_to.as_deref()),
            BookingEvent::Confirmed { payment_id: None } => FREE.to_owned(),
            BookingEvent::Confirmed { .. } => "Paid and confirmed.".to_owned(),
            BookingEvent::BalancePaid { .. } => "The rest is paid.".to_owned(),
            BookingEvent::SurplusKept { amount, reason, .. } => {
                format!("{amount} came that {}; kept apart.", why(*reason))
            }
            BookingEvent::Review { mismatch, .. } => {
                format!("Waits for somebody to decide: {}.", difference(*mismatch))
            }
            BookingEvent::PaymentDiffers { mismatch, .. } => {
                format!("The booking stays as it is, but {}.", difference(*mismatch))
            }
            BookingEvent::CancellationRequested { by, reason } => {
                called_off(*by, reason.as_deref())
            }
            BookingEvent::ShowCancelled { reason } => format!("The show is cancelled: {reason}"),
            BookingEvent::Expired => "Nobody paid in time; free for others again.".to_owned(),
            BookingEvent::Cancelled => "Cancelled; free for others again.".to_owned(),
            BookingEvent::Failed => "The payment did not come; free for others again.".to_owned(),
            BookingEvent::ReviewResolved { resolution, reason } => {
                format!(
                    "An admin has decided to {} it: {reason}",
                    resolution.as_str()
                )
            }
            BookingEvent::RefundRequested { amount, reason, .. } => {
                given_back(*amount, reason.as_deref())
            }
            BookingEvent::RefundSettled { status, .. } => settled(*status).to_owned(),
            BookingEvent::RefundHeldBack { .. } => "The refund waits for a dispute.".to_owned(),
            BookingEvent::RefundRefused { reason, .. } => {
                format!("Stripe does not make the refund yet, and is asked again: {reason}.")
            }
            BookingEvent::RefundMadeByHand { amount, .. } => {
                format!("A refund of {amount} was made in Stripe's dashboard.")
            }
            BookingEvent::DisputeOpened { amount, reason, .. } => format!(
                "The cardholder's bank disputes {amount}: {}.",
                reason.as_deref().unwrap_or("it does not say why")
            ),
            BookingEvent::DisputeFundsWithdrawn { amount, .. } => {
                format!("The bank has taken {amount} back.")
            }
            BookingEvent::DisputeFundsReinstated { amount, .. } => {
                format!("The bank has given {amount} back to us.")
            }
            BookingEvent::DisputeUpdated { status, .. }
            | BookingEvent::DisputeClosed { status, .. } => disputed(*status).to_owned(),
            BookingEvent::FraudWarned { fraud_type, .. } => warned(fraud_type.as_deref()),
        };
        Self {
            at,
            kind: kind(event),
            text,
        }
    }

    /// Work that has failed at least once.
    pub fn of_job(job: &TroubledJob) -> Self {
        let (kind, tries) = (&job.kind, job.tries);
        let error = job.last_error.as_deref().unwrap_or("nobody knows why");
        let end = if job.is_buried {
            "was given up"
        } else {
            "is tried again"
        };
        Self {
            at: job.created_at,
            kind: TimelineKind::Job,
            text: format!("The job {kind} has failed {tries} times and {end}: {error}"),
        }
    }

    /// What Stripe has sent, and what became of it.
    pub fn of_stripe(event: &PaymentEvent) -> Self {
        let outcome = event.outcome.as_deref().unwrap_or("not decided yet");
        Self {
            at: event.received_at,
            kind: TimelineKind::StripeEvent,
            text: format!("Stripe reported {}: {outcome}.", event.kind),
        }
    }
}

fn kind(event: &BookingEvent) -> TimelineKind {
    match event {
        BookingEvent::Held { .. }
        | BookingEvent::VoucherRedeemed { .. }
        | BookingEvent::HoldShortened { .. }
        | BookingEvent::ClaimedAgain { .. }
        | BookingEvent::Confirmed { .. }
        | BookingEvent::Review { .. }
        | BookingEvent::CancellationRequested {
            by: CancelledBy::Buyer,
            ..
        }
        | BookingEvent::Expired
        | BookingEvent::Cancelled
        | BookingEvent::Failed => TimelineKind::Booking,
        BookingEvent::AttemptOpened { .. }
        | BookingEvent::AttemptClosed { .. }
        | BookingEvent::AttemptReplaced { .. } => TimelineKind::Checkout,
        BookingEvent::AwaitingFunds { .. }
        | BookingEvent::BalancePaid { .. }
        | BookingEvent::SurplusKept { .. }
        | BookingEvent::DisputeOpened { .. }
        | BookingEvent::DisputeUpdated { .. }
        | BookingEvent::DisputeFundsWithdrawn { .. }
        | BookingEvent::DisputeFundsReinstated { .. }
        | BookingEvent::DisputeClosed { .. }
        | BookingEvent::FraudWarned { .. }
        | BookingEvent::PaymentDiffers { .. } => TimelineKind::Payment,
        BookingEvent::ReviewResolved { .. }
        | BookingEvent::ShowCancelled { .. }
        | BookingEvent::CancellationRequested {
            by: CancelledBy::Admin,
            ..
        }
        | BookingEvent::RefundRequested {
            reason: Some(_), ..
        } => TimelineKind::Admin,
        BookingEvent::RefundRequested { reason: None, .. }
        | BookingEvent::RefundSettled { .. }
        | BookingEvent::RefundHeldBack { .. }
        | BookingEvent::RefundRefused { .. }
        | BookingEvent::RefundMadeByHand { .. } => TimelineKind::Refund,
    }
}

fn reduced(code: &str, discount: Money) -> String {
    format!("The voucher {code} takes {discount} off the price.")
}

fn claimed_again(moved_to: Option<&str>) -> String {
    match moved_to {
        None => CLAIMED_AGAIN.to_owned(),
        Some(resource) => format!("{CLAIMED_AGAIN} It is with {resource} now."),
    }
}

fn called_off(by: CancelledBy, reason: Option<&str>) -> String {
    let who = match by {
        CancelledBy::Buyer => "The buyer",
        CancelledBy::Admin => "An admin",
    };
    match reason {
        Some(reason) => format!("{who} has cancelled it: {reason}"),
        None => format!("{who} has cancelled it."),
    }
}

fn given_back(amount: Money, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("An admin has asked for a refund of {amount}: {reason}"),
        None => format!("A refund of {amount} is on its way to Stripe."),
    }
}

fn warned(fraud_type: Option<&str>) -> String {
    let fraud_type = fraud_type.unwrap_or("it does not say of which kind");
    format!("The card network warns of fraud: {fraud_type}.")
}

fn why(reason: SurplusReason) -> &'static str {
    match reason {
        SurplusReason::AlreadyPaid => "had been paid before",
        SurplusReason::LatePayment => "was too late, for what was booked is somebody else's now",
        SurplusReason::Cancelled => "was for a booking that had been cancelled",
        SurplusReason::Mismatch => "is not what was asked for",
        SurplusReason::UnderReview => "was for a booking that somebody has to decide about",
    }
}

fn difference(mismatch: Mismatch) -> &'static str {
    match mismatch {
        Mismatch::Booking => "Stripe names another booking for the payment",
        Mismatch::Currency => "Stripe names another currency, or none, for the payment",
        Mismatch::Amount => "Stripe names another amount than was asked for",
        Mismatch::SessionUnknown => "Stripe does not know the payment page",
        Mismatch::SessionUnexplained => "Stripe says of the payment page what nobody can explain",
    }
}

fn settled(status: RefundStatus) -> &'static str {
    match status {
        RefundStatus::Requested | RefundStatus::Pending => "The refund is under way.",
        RefundStatus::Succeeded => "The refund has succeeded.",
        RefundStatus::Failed => "The refund has failed; the money is here.",
        RefundStatus::Canceled => "The refund was called off.",
    }
}

fn disputed(status: DisputeStatus) -> &'static str {
    match status {
        DisputeStatus::WarningNeedsResponse => "The bank asks about the payment.",
        DisputeStatus::WarningUnderReview => "The bank has our answer to its question.",
        DisputeStatus::WarningClosed => "The bank has asked, and takes nothing back.",
        DisputeStatus::NeedsResponse => "The dispute needs an answer.",
        DisputeStatus::UnderReview => "The bank has our answer.",
        DisputeStatus::Prevented => "Stripe has settled the dispute with the bank.",
        DisputeStatus::Won => "The dispute is won; the money is ours.",
        DisputeStatus::Lost => "The dispute is lost; the money is the cardholder's.",
    }
}
