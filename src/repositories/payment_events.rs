//! The ledger of Stripe's events: each is recorded once, and settled once.

use chrono::{DateTime, Utc};

use super::Columns;
use crate::connection::Connection;
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::payment_event::{EventStatus, PaymentEvent};
use crate::error::Result;

/// An event as it is delivered.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    /// `evt_…`
    pub id: &'a str,
    /// Such as `checkout.session.completed`; empty if it cannot be read.
    pub kind: &'a str,
    /// The API version it is written in.
    pub api_version: Option<&'a str>,
    /// Whether it speaks of real money, if it says so.
    pub livemode: Option<bool>,
    /// When it happened at Stripe, if it says so.
    pub created_at: Option<DateTime<Utc>>,
    /// The session it is about.
    pub session_id: Option<&'a str>,
    /// The payment it is about.
    pub payment_intent_id: Option<&'a str>,
    /// The attempt that its metadata names.
    pub attempt_id: Option<AttemptId>,
    /// The body as it came.
    pub payload: &'a str,
}

/// What is known of an event once it is recorded.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    /// `evt_…`
    pub id: String,
    /// Where it stood before this delivery; `Received` for the first.
    pub status: EventStatus,
    /// When it first came.
    pub received_at: DateTime<Utc>,
    /// The attempt it is about, if there is one.
    pub attempt: Option<AttemptOfBooking>,
}

/// Records events, each named once, or counts one more delivery of them, and finds the attempts
/// that they are about. In no particular order. One round trip; a delivery of the same event in
/// another transaction is waited for.
///
/// Counting is a write even for a duplicate: a duplicate that was only read could acknowledge a
/// payment that a failover of the database loses.
pub async fn record(
    db: &mut Connection,
    events: &[NewEvent<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<RecordedEvent>> {
    let rows = sqlx::query!(
        r#"with delivered as (
             select *
             from unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::timestamptz[],
                         $6::text[], $7::text[], $8::uuid[], $9::text[])
               as event (id, type, api_version, livemode, created_at, session_id, payment_intent_id,
                         attempt_id, payload)
           ), recorded as (
             insert into payment_events (id, type, api_version, livemode, stripe_created_at,
                                         stripe_session_id, stripe_payment_intent_id, attempt_id,
                                         payload, status, received_at)
             select id, type, api_version, livemode, created_at, session_id, payment_intent_id,
                    attempt_id, payload, 'received', $10
             from delivered
             order by id
             on conflict (id) do update set deliveries = payment_events.deliveries + 1
             returning id, status, received_at
           )
           select recorded.id as "id!", recorded.status as "status!: EventStatus",
                  recorded.received_at as "received_at!",
                  found.attempt_id as "attempt_id?: AttemptId",
                  found.booking_id as "booking_id?: BookingId"
           from recorded
           join delivered on delivered.id = recorded.id
           left join lateral find_attempt(delivered.session_id, delivered.attempt_id,
                                          delivered.payment_intent_id) as found on true"#,
        &events.column(|event| event.id) as _,
        &events.column(|event| event.kind) as _,
        &events.column(|event| event.api_version) as _,
        &events.column(|event| event.livemode) as _,
        &events.column(|event| event.created_at) as _,
        &events.column(|event| event.session_id) as _,
        &events.column(|event| event.payment_intent_id) as _,
        &events.column(|event| event.attempt_id) as _,
        &events.column(|event| event.payload) as _,
        now,
    )
    .fetch_all(db)
    .await?;
    let recorded = rows.into_iter().map(|row| RecordedEvent {
        id: row.id,
        status: row.status,
        received_at: row.received_at,
        attempt: attempt_of(row.attempt_id, row.booking_id),
    });
    Ok(recorded.collect())
}

/// Locks an event, and returns what is known of it, with its body; `None` if it is unknown.
pub async fn lock(db: &mut Connection, id: &str) -> Result<Option<(RecordedEvent, String)>> {
    let row = sqlx::query!(
        r#"select event.id, event.status as "status: EventStatus", event.received_at, event.payload,
                  found.attempt_id as "attempt_id?: AttemptId",
                  found.booking_id as "booking_id?: BookingId"
           from payment_events as event
           left join lateral find_attempt(event.stripe_session_id, event.attempt_id,
                                          event.stripe_payment_intent_id) as found on true
           where event.id = $1
           for update of event"#,
        id,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let recorded = RecordedEvent {
            id: row.id,
            status: row.status,
            received_at: row.received_at,
            attempt: attempt_of(row.attempt_id, row.booking_id),
        };
        (recorded, row.payload)
    }))
}

/// Those of the events that were decided, or given up and left to a person. One round trip.
pub async fn list_decided(db: &mut Connection, ids: &[&str]) -> Result<Vec<String>> {
    let decided = sqlx::query_scalar!(
        "select id
         from payment_events
         where id = any($1) and status in ('processed', 'ignored', 'failed')",
        ids as _,
    )
    .fetch_all(db)
    .await?;
    Ok(decided)
}

/// Which events are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those that stand so.
    pub status: Option<EventStatus>,
    /// Only those of this type.
    pub kind: Option<String>,
    /// Only those that came before this place in the list.
    pub before: Option<Place>,
}

/// A place in the list of events.
#[derive(Debug, Clone)]
pub struct Place {
    /// When the event there first came.
    pub received_at: DateTime<Utc>,
    /// `evt_…`
    pub id: String,
}

/// Events, those that came last first, at most `limit`. One round trip.
pub async fn list(db: &mut Connection, filter: &Filter, limit: i64) -> Result<Vec<PaymentEvent>> {
    let events = sqlx::query_as!(
        PaymentEvent,
        r#"select id, type as kind, status as "status: _", outcome, booking_id as "booking_id: _",
                  deliveries, received_at, processed_at, payload
           from payment_events
           where ($1::payment_event_status is null or status = $1)
             and ($2::text is null or type = $2)
             and ($3::timestamptz is null
               or received_at <= $3 and (received_at, id) < ($3, $4::text))
           order by received_at desc, id desc
           limit $5"#,
        filter.status as _,
        filter.kind.as_deref(),
        filter.before.as_ref().map(|place| place.received_at),
        filter.before.as_ref().map(|place| place.id.as_str()),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(events)
}

/// The events of a booking, those that came last first, at most `limit`. One round trip.
pub async fn list_of_booking(
    db: &mut Connection,
    id: BookingId,
    limit: i64,
) -> Result<Vec<PaymentEvent>> {
    let events = sqlx::query_as!(
        PaymentEvent,
        r#"select id, type as kind, status as "status: _", outcome, booking_id as "booking_id: _",
                  deliveries, received_at, processed_at, payload
           from payment_events
           where booking_id = $1
           order by received_at desc, id desc
           limit $2"#,
        id as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(events)
}

/// An event, if there is one. One round trip.
pub async fn find(db: &mut Connection, id: &str) -> Result<Option<PaymentEvent>> {
    let event = sqlx::query_as!(
        PaymentEvent,
        r#"select id, type as kind, status as "status: _", outcome, booking_id as "booking_id: _",
                  deliveries, received_at, processed_at, payload
           from payment_events
           where id = $1"#,
        id,
    )
    .fetch_optional(db)
    .await?;
    Ok(event)
}

fn attempt_of(
    attempt_id: Option<AttemptId>,
    booking_id: Option<BookingId>,
) -> Option<AttemptOfBooking> {
    Some(AttemptOfBooking {
        attempt_id: attempt_id?,
        booking_id: booking_id?,
    })
}
