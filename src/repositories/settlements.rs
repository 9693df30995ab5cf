//! The writes of a settlement: each function is one decision, written in one statement.
//!
//! All of them expect that the caller holds the booking's lock, taken with [`lock`] or
//! [`lock_all`].

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::Columns;
use crate::domain::booking::{AttemptStatus, BookingStatus};
use crate::domain::ids::{AttemptId, BookingId, DiscrepancyId, PaymentId, TransferId};
use crate::domain::money::Money;
use crate::domain::settlement::Standing;
use crate::error::{Error, Result};

/// Locks bookings in the order of their ids, and then one attempt of each, and reads how both
/// stand. The locks are taken in this order everywhere.
pub async fn lock_all(
    db: &mut PgConnection,
    subjects: &[(AttemptId, BookingId)],
) -> Result<HashMap<AttemptId, Standing>> {
    let (attempts, bookings): (Vec<AttemptId>, Vec<BookingId>) = subjects.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"with booking as materialized (
             select id, status, cancel_requested_at, currency, total_minor, paid_minor
             from bookings
             where id = any($1)
             order by id
             for update
           )
           select attempt.id as "attempt_id: AttemptId", booking.id as "booking_id: BookingId",
                  booking.status as "status: BookingStatus", booking.cancel_requested_at, booking.currency,
                  booking.total_minor, booking.paid_minor, attempt.status as "attempt_status: AttemptStatus",
                  attempt.amount_minor
           from booking
           join checkout_attempts as attempt on attempt.id = any($2) and attempt.booking_id = booking.id
           for update of attempt"#,
        &bookings as _,
        &attempts as _,
    )
    .fetch_all(db)
    .await?;
    let standings = rows.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let standing = Standing {
            booking_id: row.booking_id,
            status: row.status,
            cancel_requested: row.cancel_requested_at.is_some(),
            total: Money::new(row.total_minor, currency),
            paid: Money::new(row.paid_minor, currency),
            attempt_status: row.attempt_status,
            asked: Money::new(row.amount_minor, currency),
        };
        Ok((row.attempt_id, standing))
    });
    standings.collect()
}

/// Locks a booking and then one of its attempts, and reads how both stand.
pub async fn lock(db: &mut PgConnection, subject: (AttemptId, BookingId)) -> Result<Standing> {
    let (attempt_id, booking_id) = subject;
    let standing = lock_all(db, &[subject]).await?.remove(&attempt_id);
    standing
        .ok_or_else(|| Error::fault(format!("the booking {booking_id} or its attempt has gone")))
}

/// A capture that is written to an attempt.
#[derive(Debug, Clone)]
pub struct Captured<'a> {
    /// The attempt that was paid.
    pub attempt_id: AttemptId,
    /// The session, where the event names it.
    pub session_id: Option<&'a str>,
    /// The payment, where the event names it.
    pub payment_intent_id: Option<&'a str>,
    /// How much.
    pub money: Money,
    /// When, at Stripe.
    pub captured_at: DateTime<Utc>,
    /// The event that brought it; none where Stripe was asked.
    pub event_id: Option<&'a str>,
}

/// Applies money, each to another booking: payment, ledger, attempt, the booking confirmed, and the
/// event that brought it, if one did, marked as processed with `outcome`.
pub async fn apply(
    db: &mut PgConnection,
    captured: &[Captured<'_>],
    outcome: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let written = sqlx::query_scalar!(
        r#"with captured as (
             select *
             from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[], $7::text[],
                         $8::uuid[], $9::uuid[])
               as capture (attempt_id, session_id, payment_intent_id, amount_minor, currency, captured_at, event_id,
                           payment_id, transfer_id)
           ), attempt as (
             update checkout_attempts as attempt
             set status = 'paid', url = null, client_secret = null, updated_at = $10,
                 stripe_session_id = coalesce(captured.session_id, attempt.stripe_session_id),
                 stripe_payment_intent_id = coalesce(captured.payment_intent_id, attempt.stripe_payment_intent_id)
             from captured
             where attempt.id = captured.attempt_id
             returning attempt.booking_id, attempt.part, attempt.stripe_payment_intent_id as paid_by, captured.*
           ), payment as (
             insert into payments (id, booking_id, attempt_id, part, stripe_payment_intent_id, amount_minor, currency,
                                   disposition, captured_at)
             select payment_id, booking_id, attempt_id, part, paid_by, amount_minor, currency, 'applied', captured_at
             from attempt
             returning id
           ), transfer as (
             insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id, payment_id,
                                           payment_event_id, created_at)
             select transfer_id, 'capture', 'stripe_balance', 'customer_payments', amount_minor, currency, booking_id,
                    payment_id, event_id, $10
             from attempt
             join payment on payment.id = payment_id
           ), event as (
             update payment_events
             set status = 'processed', outcome = $11, attempt_id = attempt.attempt_id, booking_id = attempt.booking_id,
                 processed_at = $10
             from attempt
             where payment_events.id = attempt.event_id
           ), booking as (
             update bookings
             set status = 'confirmed', paid_minor = paid_minor + attempt.amount_minor,
                 confirmed_at = coalesce(confirmed_at, $10), hold_expires_at = null, updated_at = $10
             from attempt
             join payment on payment.id = payment_id
             where bookings.id = attempt.booking_id
             returning bookings.id
           )
           select count(*) as "count!" from booking"#,
        &captured.column(|captured| captured.attempt_id) as _,
        &captured.column(|captured| captured.session_id) as _,
        &captured.column(|captured| captured.payment_intent_id) as _,
        &captured.column(|captured| captured.money.amount_minor),
        &captured.column(|captured| captured.money.currency.as_str()) as _,
        &captured.column(|captured| captured.captured_at),
        &captured.column(|captured| captured.event_id) as _,
        &captured.column(|_| PaymentId::new()) as _,
        &captured.column(|_| TransferId::new()) as _,
        now,
        outcome,
    )
    .fetch_one(db)
    .await?;
    let expected = i64::try_from(captured.len()).unwrap_or_default();
    if written == expected {
        Ok(())
    } else {
        Err(Error::fault("a payment was applied to no booking"))
    }
}

/// Keeps the money as surplus: payment with its reason, ledger, attempt. The booking stays as it
/// is.
pub async fn keep_surplus(
    db: &mut PgConnection,
    captured: &Captured<'_>,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "with attempt as (
           update checkout_attempts
           set status = 'paid', url = null, client_secret = null, updated_at = $9,
               stripe_session_id = coalesce($2, stripe_session_id),
               stripe_payment_intent_id = coalesce($3, stripe_payment_intent_id)
           where id = $1
           returning id, booking_id, part, stripe_payment_intent_id
         ), payment as (
           insert into payments (id, booking_id, attempt_id, part, stripe_payment_intent_id, amount_minor, currency,
                                 disposition, surplus_reason, captured_at)
           select $4, booking_id, id, part, stripe_payment_intent_id, $5, $6, 'surplus', $11, $7
           from attempt
           returning id, booking_id
         )
         insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id, payment_id,
                                       payment_event_id, created_at)
         select $8, 'capture', 'stripe_balance', 'customer_surplus', $5, $6, booking_id, id, $10, $9
         from payment",
        captured.attempt_id as _,
        captured.session_id,
        captured.payment_intent_id,
        PaymentId::new() as _,
        captured.money.amount_minor,
        captured.money.currency.as_str(),
        captured.captured_at,
        TransferId::new() as _,
        now,
        captured.event_id,
        reason,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Claims the seats of a booking again, if its show is on sale; the booking must be live again.
/// False if not all of them could be claimed: the caller must roll back.
pub async fn claim_again(
    db: &mut PgConnection,
    booking_id: BookingId,
    now: DateTime<Utc>,
) -> Result<bool> {
    let complete = sqlx::query_scalar!(
        r#"with wanted as (
             select booking.id, booking.show_id, seat.label
             from bookings as booking
             join shows on shows.id = booking.show_id and shows.status = 'on_sale' and shows.starts_at > $2
             cross join unnest(booking.seats) as seat (label)
             where booking.id = $1
           ), claim as (
             insert into seat_claims (show_id, label, booking_id)
             select wanted.show_id, wanted.label, wanted.id
             from wanted
             join show_seats as seat using (show_id, label)
             where seat.sellable
             order by wanted.label collate "C"
             on conflict (show_id, label) do nothing
             returning label
           )
           select (select count(*) from claim) = cardinality(seats) as "complete!" from bookings where id = $1"#,
        booking_id as _,
        now,
    )
    .fetch_one(db)
    .await?;
    Ok(complete)
}

/// Keeps the seats until `until`: the buyer has paid by a method that takes days. The database
/// enqueues the new end.
pub async fn process(
    db: &mut PgConnection,
    (attempt_id, session_id, payment_intent_id): (AttemptId, Option<&str>, Option<&str>),
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "with attempt as (
           update checkout_attempts
           set status = 'processing', url = null, client_secret = null, updated_at = $5,
               stripe_session_id = coalesce($2, stripe_session_id),
               stripe_payment_intent_id = coalesce($3, stripe_payment_intent_id)
           where id = $1
           returning booking_id
         )
         update bookings
         set status = 'processing', hold_expires_at = greatest(hold_expires_at, $4), updated_at = $5
         from attempt
         where bookings.id = attempt.booking_id",
        attempt_id as _,
        session_id,
        payment_intent_id,
        until,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Closes an attempt without money. One that never had a session has failed, however its booking
/// ends.
pub async fn close(
    db: &mut PgConnection,
    (attempt_id, session_id): (AttemptId, Option<&str>),
    status: AttemptStatus,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update checkout_attempts
         set status = case when coalesce($3, stripe_session_id, stripe_payment_intent_id) is null then 'failed'
                           else $2::attempt_status end,
             stripe_session_id = coalesce($3, stripe_session_id), url = null, client_secret = null, updated_at = $4
         where id = $1",
        attempt_id as _,
        status as _,
        session_id,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes a booking out of the living, and frees its seats.
pub async fn end(
    db: &mut PgConnection,
    booking_id: BookingId,
    status: BookingStatus,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "with claim as (
           delete from seat_claims where booking_id = $1
         )
         update bookings
         set status = $2, updated_at = $3,
             cancelled_at = case when $2::booking_status = 'cancelled' then $3 else cancelled_at end
         where id = $1",
        booking_id as _,
        status as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A difference between Stripe's word and ours.
#[derive(Debug, Clone)]
pub struct Discrepancy<'a> {
    /// What differs.
    pub kind: &'a str,
    /// What it is about, such as an event's id.
    pub subject: &'a str,
    /// The booking, if it is about one.
    pub booking_id: Option<BookingId>,
    /// What we have.
    pub ours: Value,
    /// What Stripe says.
    pub theirs: Value,
}

/// Opens a discrepancy, unless it is open already.
pub async fn open_discrepancy(
    db: &mut PgConnection,
    discrepancy: &Discrepancy<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "insert into discrepancies (id, kind, subject, booking_id, ours, theirs, found_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (kind, subject) where status = 'open' do nothing",
        DiscrepancyId::new() as _,
        discrepancy.kind,
        discrepancy.subject,
        discrepancy.booking_id as _,
        discrepancy.ours,
        discrepancy.theirs,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
