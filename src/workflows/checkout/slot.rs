//! The first transaction of a booking of a slot. One at a time: a rush is for seats.

use std::iter;

use chrono::{DateTime, Utc};
use tracing::Span;

use super::draft::{Draft, Refused};
use super::hold::{held, keys_in_use, limits};
use super::voucher::{Named, redeem};
use crate::app::{AppState, Batched, HeldBooking};
use crate::connection::Connection;
use crate::domain::booking_request::BookingRequest;
use crate::domain::booking_request::SlotRequest;
use crate::domain::hold_limits::HoldLimits;
use crate::domain::job::Job;
use crate::domain::refusal::Refusal;
use crate::domain::timetable::Resource;
use crate::error::{Error, Result};
use crate::repositories::slots::{self, NewSlotHold};
use crate::repositories::{jobs, services};

/// Holds the slot that is wanted, with the first resource that has it free. Commits.
pub(super) async fn hold(
    app: &AppState,
    request: &BookingRequest,
    slot: &SlotRequest,
) -> Result<HeldBooking> {
    let limits = limits(app)?;
    let mut db = app.acquire().await?;
    let service = services::find(&mut db, slot.service_id).await?;
    let service = service.ok_or(Refusal::NotFound("service"))?;
    let resources = services::resources(&mut db, service.id).await?;
    let vouchers = Named::find(&mut db, iter::once(request)).await?;
    drop(db);
    let voucher = vouchers.of(request)?;
    let batched = Batched {
        request: request.clone(),
        span: Span::current(),
    };
    let first = resources.first().ok_or(Refusal::SlotUnavailable)?;
    // Refused before anything is locked.
    service.quote(&slot.wanted, first, voucher, app.now())?;

    let mut tx = app.begin().await?;
    services::lock(&mut tx, service.id).await?;
    let taken_until = service.taken_until(slot.wanted.ends_at());
    let during = slot.wanted.starts_at..taken_until;
    let taken = services::taken(&mut tx, &resources, during).await?;
    let is_free = |resource: &&Resource| taken.iter().all(|time| time.resource_id != resource.id);
    let resource = resources.iter().find(is_free);
    let resource = resource.ok_or(Refusal::SlotUnavailable)?;
    let now = app.now();
    let quote = service.quote(&slot.wanted, resource, voucher, now)?;
    let draft = Draft::new(&batched, quote, &app.config, now);
    store(&mut tx, slot, &draft, taken_until, &limits).await?;
    app.commit(tx).await?;
    Ok(held(draft))
}

/// Stores the booking with all that belongs to it, or refuses it: then the caller must roll back.
async fn store(
    tx: &mut Connection,
    slot: &SlotRequest,
    draft: &Draft<'_>,
    taken_until: DateTime<Utc>,
    limits: &HoldLimits,
) -> Result<()> {
    let now = draft.booking().created_at;
    refuse_first(keys_in_use(tx, &[draft], now).await?)?;
    let reserved = draft.booking().reservation.slot();
    let new = NewSlotHold {
        booking: draft.booking(),
        slot: reserved.ok_or_else(|| Error::fault("a slot is booked, and none is reserved"))?,
        taken_until,
        details: slot.details.as_ref(),
        cancellation_policy: &draft.quote.cancellation_policy,
        attempt: draft.attempt.as_ref(),
        counted: limits.counted(&draft.quote, now),
    };
    let booking_id = draft.booking().id;
    let end = draft.booking().hold_expires_at;
    let ends: Vec<_> = end
        .map(|end| Job::EndHold { booking_id }.at(end))
        .into_iter()
        .collect();
    let held = slots::insert(tx, new, &ends, now).await?;
    let held = held.ok_or(Refusal::SlotUnavailable)?;
    if let Some(holder) = &held.holder {
        limits.check(holder, &draft.quote, now)?;
    }
    let settle = held.deferred_events.into_iter();
    let settle: Vec<_> = settle
        .map(|event_id| Job::SettleEvent { event_id }.at(now))
        .collect();
    refuse_first(redeem(tx, &[draft], now).await?)?;
    if !settle.is_empty() {
        jobs::enqueue(tx, &settle).await?;
    }
    Ok(())
}

fn refuse_first(refused: Refused) -> Result<()> {
    refused.into_values().next().map_or(Ok(()), Err)
}
