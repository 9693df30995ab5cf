//! Attempts: one row is one Stripe Checkout Session of ours.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Columns;
use crate::connection::Connection;
use crate::domain::attempt::{
    AttemptOfBooking, AttemptStatus, NewAttempt, NewSession, PaymentPart,
};
use crate::domain::booking::BookingStatus;
use crate::domain::booking_event::BookingEvent;
use crate::domain::checkout_state::CheckoutState;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::money::Money;
use crate::domain::stripe_report::AttemptReference;
use crate::error::{Error, Result};

/// A booking and the attempt that may be paying for it.
#[derive(Debug, Clone)]
pub struct HoldState {
    /// Where the booking stands.
    pub status: BookingStatus,
    /// When its hold ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether it is to be cancelled.
    pub cancel_requested: bool,
    /// The attempt that is not closed, if there is one.
    pub unclosed: Option<UnclosedAttempt>,
}

/// An attempt that is not closed.
#[derive(Debug, Clone)]
pub struct UnclosedAttempt {
    /// The attempt.
    pub id: AttemptId,
    /// What Stripe was or is sent.
    pub parameters: String,
    /// `cs_…`, once Stripe has answered.
    pub session_id: Option<String>,
    /// When Stripe closes it by itself.
    pub expires_at: DateTime<Utc>,
}

/// `StillPayable` where a booking can still be paid, as nothing that it reserves may be free then.
/// The caller holds its lock, so that nothing new can be paid either. One round trip.
pub async fn refuse_payable(db: &mut Connection, id: BookingId) -> Result<()> {
    if is_payable(db, id).await? {
        return Err(Error::StillPayable);
    }
    Ok(())
}

/// Whether a booking can still be paid: a page of it is open, or may be. The caller holds its lock.
/// One round trip.
pub async fn is_payable(db: &mut Connection, id: BookingId) -> Result<bool> {
    let is_payable = sqlx::query_scalar!(
        r#"select exists (
             select from checkout_attempts
             where booking_id = $1 and status in ('creating', 'open')
           ) as "is_payable!""#,
        id as _,
    );
    Ok(is_payable.fetch_one(db).await?)
}

/// The hold of a booking, if there is such a booking. Nothing is locked.
pub async fn find_hold(db: &mut Connection, id: BookingId) -> Result<Option<HoldState>> {
    let row = sqlx::query!(
        r#"select booking.status as "status: BookingStatus", booking.hold_expires_at,
                  booking.cancel_requested_at,
                  attempt.id as "attempt_id?: AttemptId", attempt.parameters as "parameters?",
                  attempt.stripe_session_id as "session_id?", attempt.expires_at as "expires_at?"
           from bookings as booking
           left join checkout_attempts as attempt
             on attempt.booking_id = booking.id
              and attempt.status in ('creating', 'open', 'processing')
           where booking.id = $1"#,
        id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let unclosed = row.attempt_id.zip(row.parameters).zip(row.expires_at);
        HoldState {
            status: row.status,
            expires_at: row.hold_expires_at,
            cancel_requested: row.cancel_requested_at.is_some(),
            unclosed: unclosed.map(|((id, parameters), expires_at)| UnclosedAttempt {
                id,
                parameters,
                session_id: row.session_id,
                expires_at,
            }),
        }
    }))
}

/// An attempt that an object of Stripe's is about.
#[derive(Debug, Clone)]
pub struct FoundAttempt {
    /// The session or the PaymentIntent that it was found for.
    pub found_for: String,
    /// The attempt and its booking.
    pub attempt: AttemptOfBooking,
    /// Where the attempt stands.
    pub status: AttemptStatus,
}

/// The attempts that objects of Stripe's are about, by what these name. One round trip.
pub async fn find_for(
    db: &mut Connection,
    references: &[AttemptReference],
) -> Result<Vec<FoundAttempt>> {
    let rows = sqlx::query!(
        r#"select coalesce(named.session_id, named.payment_intent_id) as "found_for!",
                  found.attempt_id as "attempt_id!: AttemptId",
                  found.booking_id as "booking_id!: BookingId",
                  attempt.status as "status: AttemptStatus"
           from unnest($1::text[], $2::uuid[], $3::text[])
             as named (session_id, attempt_id, payment_intent_id)
           cross join lateral find_attempt(named.session_id, named.attempt_id,
                                           named.payment_intent_id) as found
           join checkout_attempts as attempt on attempt.id = found.attempt_id"#,
        &references.column(|reference| reference.session_id.as_deref()) as _,
        &references.column(|reference| reference.attempt_id) as _,
        &references.column(|reference| reference.payment_intent_id.as_deref()) as _,
    )
    .fetch_all(db)
    .await?;
    let found = rows.into_iter().map(|row| FoundAttempt {
        found_for: row.found_for,
        attempt: AttemptOfBooking {
            attempt_id: row.attempt_id,
            booking_id: row.booking_id,
        },
        status: row.status,
    });
    Ok(found.collect())
}

/// Locks bookings in the order of their ids, and then the named attempts, and reads how both
/// stand. The locks are taken in this order everywhere. One round trip.
pub async fn lock(
    db: &mut Connection,
    attempts: &[AttemptOfBooking],
) -> Result<HashMap<AttemptId, CheckoutState>> {
    let rows = sqlx::query!(
        r#"with booking as materialized (
             select id, status, cancel_requested_at, currency, total_minor,
                    paid_minor + conceded_minor as met_minor
             from bookings
             where id = any($1)
             order by id
             for update
           )
           select attempt.id as "attempt_id: AttemptId", booking.id as "booking_id: BookingId",
                  booking.status as "status: BookingStatus", booking.cancel_requested_at,
                  booking.currency, booking.total_minor, booking.met_minor as "met_minor!",
                  attempt.status as "attempt_status: AttemptStatus",
                  attempt.part as "part: PaymentPart", attempt.amount_minor,
                  attempt.stripe_payment_intent_id
           from booking
           join checkout_attempts as attempt
             on attempt.id = any($2) and attempt.booking_id = booking.id
           for update of attempt"#,
        &attempts.column(|attempt| attempt.booking_id) as _,
        &attempts.column(|attempt| attempt.attempt_id) as _,
    )
    .fetch_all(db)
    .await?;
    let states = rows.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let attempt = AttemptOfBooking {
            attempt_id: row.attempt_id,
            booking_id: row.booking_id,
        };
        let state = CheckoutState {
            attempt,
            status: row.status,
            cancel_requested: row.cancel_requested_at.is_some(),
            part: row.part,
            total: Money::new(row.total_minor, currency),
            paid: Money::new(row.met_minor, currency),
            paid_by: match row.attempt_status {
                AttemptStatus::Paid => vec![row.stripe_payment_intent_id],
                AttemptStatus::Creating
                | AttemptStatus::Open
                | AttemptStatus::Processing
                | AttemptStatus::Expired
                | AttemptStatus::Failed => Vec::new(),
            },
            attempt_status: row.attempt_status,
            asked: Money::new(row.amount_minor, currency),
        };
        Ok((attempt.attempt_id, state))
    });
    states.collect()
}

/// Stores an attempt for a booking that exists. The caller holds its lock.
pub async fn insert(
    db: &mut Connection,
    booking_id: BookingId,
    attempt: &NewAttempt,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "insert into checkout_attempts (id, booking_id, part, ui, amount_minor, status, parameters,
                                        expires_at, created_at, updated_at)
         values ($1, $2, $3, $4, $5, 'creating', $6, $7, $8, $8)",
        attempt.id as _,
        booking_id as _,
        attempt.part as _,
        attempt.ui.as_str(),
        attempt.amount_minor,
        attempt.parameters,
        attempt.expires_at,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A pending booking that nobody can pay.
#[derive(Debug, Clone, Copy)]
pub struct Unpayable {
    /// Whether it is to be cancelled.
    pub cancel_requested: bool,
}

/// Locks a booking that is pending and has no attempt which could be paid; `None` if it is not so.
pub async fn lock_unpayable(db: &mut Connection, id: BookingId) -> Result<Option<Unpayable>> {
    let locked = sqlx::query_as!(
        Unpayable,
        r#"select cancel_requested_at is not null as "cancel_requested!"
           from bookings
           where id = $1 and status = 'pending'
           for update"#,
        id as _
    )
    .fetch_optional(&mut *db)
    .await?;
    // Asked in a statement of its own, which sees what was committed while the lock was waited for.
    let unclosed = sqlx::query_scalar!(
        "select 1
         from checkout_attempts
         where booking_id = $1 and status in ('creating', 'open', 'processing')",
        id as _,
    )
    .fetch_optional(&mut *db)
    .await?;
    Ok(locked.filter(|_| unclosed.is_none()))
}

/// Opens attempts, each named once, with the sessions that Stripe gave, and returns those that
/// could be opened: their bookings still wait for the part that they pay. The bookings are locked
/// first, in the order of their ids, so that this and a webhook for the same session come one after
/// the other. One round trip.
pub async fn open(
    db: &mut Connection,
    sessions: &[&NewSession],
    now: DateTime<Utc>,
) -> Result<Vec<AttemptId>> {
    let events = sessions.column(|session| {
        let attempt_id = session.attempt_id;
        BookingEvent::AttemptOpened { attempt_id }
    });
    let opened = sqlx::query_scalar!(
        // `is true`: each is looked up by its id, and not among all that are pending or creating.
        r#"with session as materialized (
             select given.*
             from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                         $6::text[], $7::text[])
               as given (attempt_id, id, url, client_secret, expires_at, event_kind, event_payload)
             join checkout_attempts on checkout_attempts.id = given.attempt_id
             join bookings on bookings.id = checkout_attempts.booking_id
               and (bookings.status = (
                 case checkout_attempts.part when 'balance' then 'confirmed' else 'pending' end
               )::booking_status) is true
             order by bookings.id
             for update of bookings
           ), opened as (
             update checkout_attempts as attempt
             set status = 'open', stripe_session_id = session.id, url = session.url,
                 client_secret = session.client_secret, expires_at = session.expires_at,
                 updated_at = $8
             from session
             where attempt.id = session.attempt_id and (attempt.status = 'creating') is true
             returning attempt.id, attempt.booking_id, session.event_kind, session.event_payload
           ), happened as (
             insert into booking_events (booking_id, kind, payload, at)
             select booking_id, event_kind, event_payload::json, $8
             from opened
           )
           select id as "id: AttemptId" from opened"#,
        &sessions.column(|session| session.attempt_id) as _,
        &sessions.column(|session| session.checkout.session_id.as_str()) as _,
        &sessions.column(|session| session.checkout.url.as_deref()) as _,
        &sessions.column(|session| session.checkout.client_secret.as_deref()) as _,
        &sessions.column(|session| session.checkout.expires_at),
        &events.column(BookingEvent::kind) as _,
        &events.column(BookingEvent::json),
        now,
    )
    .fetch_all(db)
    .await?;
    Ok(opened)
}

/// Notes that the buyer has paid by a delayed method, with what Stripe's report names. The attempt
/// cannot be paid any more. The caller holds its lock.
pub async fn await_funds(
    db: &mut Connection,
    id: AttemptId,
    reference: &AttemptReference,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update checkout_attempts
         set status = 'processing', url = null, client_secret = null, updated_at = $4,
             stripe_session_id = coalesce($2, stripe_session_id),
             stripe_payment_intent_id = coalesce($3, stripe_payment_intent_id)
         where id = $1",
        id as _,
        reference.session_id,
        reference.payment_intent_id,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Closes an attempt without money. One that never had a session has failed, however its booking
/// ends. The caller holds its lock.
pub async fn close(
    db: &mut Connection,
    id: AttemptId,
    session_id: Option<&str>,
    status: AttemptStatus,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update checkout_attempts
         set status = case
               when coalesce($3, stripe_session_id, stripe_payment_intent_id) is null then 'failed'
               else $2::attempt_status end,
             stripe_session_id = coalesce($3, stripe_session_id),
             url = null, client_secret = null, updated_at = $4
         where id = $1",
        id as _,
        status as _,
        session_id,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
