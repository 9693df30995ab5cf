//! What a round of a settlement gathers, and writes at its end.

use std::mem;

use chrono::{DateTime, Utc};

use super::plan::Item;
use crate::connection::Connection;
use crate::domain::booking_event::{BookingEvent, NewBookingEvent};
use crate::domain::checkout_state::CheckoutState;
use crate::domain::funds::{CapturedFunds, SurplusReason};
use crate::domain::ids::{BookingId, PaymentId};
use crate::domain::job::{Job, ScheduledJob};
use crate::domain::payment::SettledBy;
use crate::domain::refund_request::GrantedRefund;
use crate::domain::refund_state::RefundSource;
use crate::error::{Error, Result};
use crate::repositories::payments::{self, NewPayment, Settlement};
use crate::repositories::refund_requests::{NewRefund, RefundCause};
use crate::repositories::{booking_events, jobs};

/// What the reports of one round come to: written in one statement at its end, but for what has to
/// be tried first.
pub(super) struct Round<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) settlement: Settlement<'a>,
    pub(super) jobs: Vec<ScheduledJob>,
    /// Events that were deferred until a payment came which this round has stored.
    pub(super) awake: Vec<String>,
    pub(super) to_refund: Vec<Surplus>,
}

/// Surplus that goes back by itself.
pub(super) struct Surplus {
    pub(super) granted: GrantedRefund,
    pub(super) reason: SurplusReason,
}

/// A report that is about an attempt of ours.
#[derive(Clone, Copy)]
pub(super) struct ReportedAttempt<'a, 's> {
    pub(super) item: &'a Item<'a>,
    pub(super) state: &'s CheckoutState,
    settled_by: SettledBy,
}

impl<'a, 's> ReportedAttempt<'a, 's> {
    /// A fault where nobody says how it was brought, as of what brings no payment.
    pub(super) fn new(item: &'a Item<'a>, state: &'s CheckoutState) -> Result<Self> {
        let settled_by = item.settled_by;
        let settled_by = settled_by.ok_or_else(|| Error::fault("a payment came by nothing"))?;
        Ok(Self {
            item,
            state,
            settled_by,
        })
    }

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
            settled_by: self.settled_by,
        }
    }
}

impl Round<'_> {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            settlement: Settlement::default(),
            jobs: Vec::new(),
            awake: Vec::new(),
            to_refund: Vec::new(),
        }
    }

    /// Notes what has happened to a booking.
    pub(super) fn happened(&mut self, booking_id: BookingId, event: BookingEvent) {
        let new = NewBookingEvent { booking_id, event };
        self.settlement.booking_events.push(new);
    }

    /// Writes what the round has come to, and what follows from it.
    pub(super) async fn finish(mut self, db: &mut Connection) -> Result<()> {
        let awaited_by = self.write(db).await?;
        self.awake.extend(awaited_by);
        self.wake_events();
        self.refund_surplus(db).await?;
        if !self.jobs.is_empty() {
            jobs::enqueue(db, &self.jobs).await?;
        }
        Ok(())
    }

    /// Has at once settled what has waited for a payment that is here now.
    fn wake_events(&mut self) {
        for event_id in mem::take(&mut self.awake) {
            let settle = Job::SettleEvent { event_id };
            // It may have been deferred once more in this very round.
            self.jobs.retain(|scheduled| scheduled.job != settle);
            self.jobs.push(settle.at(self.now));
        }
    }

    /// Asks back what is not owed, now that its payments are written.
    async fn refund_surplus(&mut self, db: &mut Connection) -> Result<()> {
        if self.to_refund.is_empty() {
            return Ok(());
        }
        self.settlement = Settlement::default();
        for surplus in mem::take(&mut self.to_refund) {
            let new = NewRefund {
                granted: surplus.granted,
                cause: RefundCause::Asked {
                    source: RefundSource::Surplus,
                    reason: surplus.reason.as_str(),
                },
            };
            self.request_refund(db, new).await?;
        }
        booking_events::append(db, &self.settlement.booking_events, self.now).await
    }

    /// Writes what the round has come to; returns the events that have waited for its payments.
    pub(super) async fn write(&self, db: &mut Connection) -> Result<Vec<String>> {
        if self.settlement.is_empty() {
            return Ok(Vec::new());
        }
        payments::write(db, &self.settlement, self.now).await
    }
}
