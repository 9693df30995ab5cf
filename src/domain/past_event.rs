//! What something that has happened to a booking means for where it and its attempts stand.

use super::booking_event::BookingEvent;
use super::ids::{AttemptId, PaymentId};
use super::resolution::Resolution;

/// Something that has happened to a booking, as far as it matters for what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastEvent {
    /// This attempt can be paid.
    AttemptOpened(AttemptId),
    /// The bank of who has paid by this attempt has still to decide.
    AwaitingFunds(AttemptId),
    /// This attempt can be paid no more.
    AttemptEnded(AttemptId),
    /// What it reserves could be claimed again.
    ClaimedAgain,
    /// It is confirmed, by this payment if it costs something.
    Applied(Option<PaymentId>),
    /// This payment is kept apart.
    Kept(PaymentId),
    /// It waits for a person.
    Review,
    /// A person has decided.
    Resolved(Resolution),
    /// Somebody wants it cancelled.
    CancellationRequested,
    /// It has ended unpaid.
    Expired,
    /// It is cancelled.
    Cancelled,
    /// It has ended because its payment did not come.
    Failed,
    /// It stays as it is, and so do its attempts.
    Other,
}

impl PastEvent {
    /// The payment that has come with it, or is applied by it.
    pub fn payment_id(self) -> Option<PaymentId> {
        match self {
            Self::Applied(payment_id) => payment_id,
            Self::Kept(payment_id) => Some(payment_id),
            Self::AttemptOpened(_)
            | Self::AwaitingFunds(_)
            | Self::AttemptEnded(_)
            | Self::ClaimedAgain
            | Self::Review
            | Self::Resolved(_)
            | Self::CancellationRequested
            | Self::Expired
            | Self::Cancelled
            | Self::Failed
            | Self::Other => None,
        }
    }
}

impl From<BookingEvent> for PastEvent {
    fn from(event: BookingEvent) -> Self {
        match event {
            BookingEvent::AttemptOpened { attempt_id } => Self::AttemptOpened(attempt_id),
            BookingEvent::AwaitingFunds { attempt_id, .. } => Self::AwaitingFunds(attempt_id),
            BookingEvent::AttemptClosed { attempt_id }
            | BookingEvent::AttemptReplaced { attempt_id, .. } => Self::AttemptEnded(attempt_id),
            BookingEvent::ClaimedAgain { .. } => Self::ClaimedAgain,
            BookingEvent::Confirmed { payment_id } => Self::Applied(payment_id),
            BookingEvent::BalancePaid { payment_id } => Self::Applied(Some(payment_id)),
            BookingEvent::SurplusKept { payment_id, .. } => Self::Kept(payment_id),
            BookingEvent::Review { .. } => Self::Review,
            BookingEvent::ReviewResolved { resolution, .. } => Self::Resolved(resolution),
            BookingEvent::CancellationRequested { .. } => Self::CancellationRequested,
            BookingEvent::Expired => Self::Expired,
            BookingEvent::Cancelled => Self::Cancelled,
            BookingEvent::Failed => Self::Failed,
            BookingEvent::Held { .. }
            | BookingEvent::VoucherRedeemed { .. }
            | BookingEvent::HoldShortened { .. }
            | BookingEvent::PaymentDiffers { .. }
            | BookingEvent::ShowCancelled { .. }
            | BookingEvent::RefundRequested { .. }
            | BookingEvent::RefundSettled { .. }
            | BookingEvent::RefundHeldBack { .. }
            | BookingEvent::RefundRefused { .. }
            | BookingEvent::RefundMadeByHand { .. }
            | BookingEvent::DisputeOpened { .. }
            | BookingEvent::DisputeUpdated { .. }
            | BookingEvent::DisputeFundsWithdrawn { .. }
            | BookingEvent::DisputeFundsReinstated { .. }
            | BookingEvent::DisputeClosed { .. }
            | BookingEvent::FraudWarned { .. } => Self::Other,
        }
    }
}
