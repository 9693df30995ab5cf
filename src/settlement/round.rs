//! What a round of a settlement gathers, and writes at its end.

use chrono::{DateTime, Utc};

use super::plan::Item;
use crate::connection::Connection;
use crate::domain::booking_event::{BookingEvent, NewBookingEvent};
use crate::domain::checkout_state::{CheckoutState, Ending};
use crate::domain::funds::{CapturedFunds, SurplusReason};
use crate::domain::ids::{BookingId, PaymentId};
use crate::domain::job::{Job, ScheduledJob};
use crate::domain::money::Money;
use crate::domain::refund_request::GrantedRefund;
use crate::domain::refund_state::RefundSource;
use crate::error::Result;
use crate::repositories::payments::{self, NewPayment, Settlement};
use crate::repositories::refund_requests::{self, NewRefund};
use crate::repositories::{booking_events, bookings, jobs};

/// What the reports of one round come to: written in one statement at its end, but for what has to
/// be tried first.
pub(super) struct Round<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) settlement: Settlement<'a>,
    pub(super) jobs: Vec<ScheduledJob>,
    pub(super) to_refund: Vec<Surplus>,
}

/// Surplus that goes back by itself.
pub(super) struct Surplus {
    pub(super) booking_id: BookingId,
    pub(super) payment_id: PaymentId,
    pub(super) amount: Money,
    pub(super) reason: SurplusReason,
}

/// A report that is about an attempt of ours.
#[derive(Clone, Copy)]
pub(super) struct ReportedAttempt<'a, 's> {
    pub(super) item: &'a Item<'a>,
    pub(super) state: &'s CheckoutState,
}

impl<'a> ReportedAttempt<'a, '_> {
    pub(super) fn booking_id(self) -> BookingId {
        self.state.attempt.booking_id
    }

    pub(super) fn payment(
        self,
        funds: CapturedFunds,
        surplus_reason: Option<SurplusReason>,
    ) -> NewPayment<'a> {
        NewPayment {
            id: PaymentId::new(),
            attempt: self.state.attempt,
            session_id: self.item.reference.session_id.as_deref(),
            funds,
            surplus_reason,
            event_id: self.item.event.map(|event| event.id),
            settled_by: self.item.settled_by,
        }
    }
}

impl Round<'_> {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            settlement: Settlement::default(),
            jobs: Vec::new(),
            to_refund: Vec::new(),
        }
    }

    /// Notes what has happened to a booking.
    pub(super) fn happened(&mut self, booking_id: BookingId, event: BookingEvent) {
        let new = NewBookingEvent { booking_id, event };
        self.settlement.booking_events.push(new);
    }

    /// Ends a booking unpaid, and frees what it reserves. The caller holds its lock.
    pub(super) async fn end_booking(
        &mut self,
        db: &mut Connection,
        id: BookingId,
        ending: Ending,
    ) -> Result<()> {
        bookings::end(db, id, ending, self.now).await?;
        let ended = match ending {
            Ending::Expired => BookingEvent::Expired,
            Ending::Cancelled => BookingEvent::Cancelled,
            Ending::Failed => BookingEvent::Failed,
        };
        self.happened(id, ended);
        Ok(())
    }

    /// Writes what the round has come to, and what follows from it.
    pub(super) async fn finish(mut self, db: &mut Connection) -> Result<()> {
        self.write(db).await?;
        for surplus in self.to_refund {
            let new = NewRefund {
                granted: GrantedRefund {
                    payment_id: surplus.payment_id,
                    amount: surplus.amount,
                },
                source: RefundSource::Surplus,
                reason: surplus.reason.as_str(),
            };
            let refund_id = refund_requests::request(db, new, self.now).await?;
            let event = BookingEvent::RefundRequested {
                refund_id,
                amount: surplus.amount,
                reason: None,
            };
            let requested = NewBookingEvent {
                booking_id: surplus.booking_id,
                event,
            };
            booking_events::append(db, &[requested], self.now).await?;
            self.jobs.push(Job::Refund { refund_id }.at(self.now));
        }
        if !self.jobs.is_empty() {
            jobs::enqueue(db, &self.jobs).await?;
        }
        Ok(())
    }

    /// Writes what the round has come to.
    pub(super) async fn write(&self, db: &mut Connection) -> Result<()> {
        if self.settlement.is_empty() {
            return Ok(());
        }
        payments::write(db, &self.settlement, self.now).await
    }
}
