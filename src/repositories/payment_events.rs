//! The ledger of Stripe's events: each is recorded once, and settled once.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Columns;
use crate::domain::ids::{AttemptId, BookingId};
use crate::error::Result;

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "payment_event_status", rename_all = "snake_case")]
pub enum EventStatus {
    /// Stored, and being decided.
    Received,
    /// Ours, but what it is about is not here yet.
    Deferred,
    /// Its effect is committed.
    Processed,
    /// Nothing is to be done about it.
    Ignored,
    /// It could not be decided; a person looks.
    Failed,
}

impl EventStatus {
    /// Whether nothing is left to do.
    pub fn is_settled(self) -> bool {
        match self {
            Self::Processed | Self::Ignored => true,
            Self::Received | Self::Deferred | Self::Failed => false,
        }
    }
}

/// An event as it arrives.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    /// `evt_…`
    pub id: &'a str,
    /// Such as `checkout.session.completed`.
    pub kind: &'a str,
    /// The API version it is written in.
    pub api_version: Option<&'a str>,
    /// Whether it speaks of real money.
    pub livemode: bool,
    /// When it happened at Stripe.
    pub created_at: DateTime<Utc>,
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
pub struct Recorded {
    /// The event.
    pub id: String,
    /// Where it stood before this delivery; `Received` for the first.
    pub status: EventStatus,
    /// When it first came.
    pub received_at: DateTime<Utc>,
    /// The attempt it is about, and its booking.
    pub subject: Option<(AttemptId, BookingId)>,
}

/// Records events, each named once, or counts one more delivery of them, and finds the attempts
/// that they are about: by the session, else by the attempt that the metadata names, else by the
/// payment. In no particular order. One round trip; a delivery of the same event in another
/// transaction is waited for.
pub async fn record(
    db: &mut PgConnection,
    events: &[NewEvent<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<Recorded>> {
    let rows = sqlx::query!(
        r#"with delivered as (
             select *
             from unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::timestamptz[], $6::text[], $7::text[],
                         $8::uuid[], $9::text[])
               as event (id, type, api_version, livemode, created_at, session_id, payment_intent_id, attempt_id, payload)
           ), recorded as (
             insert into payment_events (id, type, api_version, livemode, stripe_created_at, stripe_session_id,
                                         stripe_payment_intent_id, attempt_id, payload, status, received_at)
             select id, type, api_version, livemode, created_at, session_id, payment_intent_id, attempt_id, payload,
                    'received', $10
             from delivered
             order by id
             on conflict (id) do update set deliveries = payment_events.deliveries + 1
             returning id, status, received_at
           )
           select recorded.id as "id!", recorded.status as "status!: EventStatus",
                  recorded.received_at as "received_at!", subject.id as "attempt_id?: AttemptId",
                  subject.booking_id as "booking_id?: BookingId"
           from recorded
           join delivered on delivered.id = recorded.id
           left join lateral (
             select id, booking_id, 1 as rank from checkout_attempts where stripe_session_id = delivered.session_id
             union all
             select id, booking_id, 2 from checkout_attempts where id = delivered.attempt_id
             union all
             select id, booking_id, 3 from checkout_attempts
             where stripe_payment_intent_id = delivered.payment_intent_id
             order by rank
             limit 1
           ) as subject on true"#,
        &events.column(|event| event.id) as _,
        &events.column(|event| event.kind) as _,
        &events.column(|event| event.api_version) as _,
        &events.column(|event| event.livemode),
        &events.column(|event| event.created_at),
        &events.column(|event| event.session_id) as _,
        &events.column(|event| event.payment_intent_id) as _,
        &events.column(|event| event.attempt_id) as _,
        &events.column(|event| event.payload) as _,
        now,
    )
    .fetch_all(db)
    .await?;
    let recorded = rows.into_iter().map(|row| Recorded {
        id: row.id,
        status: row.status,
        received_at: row.received_at,
        subject: row.attempt_id.zip(row.booking_id),
    });
    Ok(recorded.collect())
}

/// Locks an event that is not settled, with its body and the attempt that it is about; `None` if it
/// is settled or unknown.
pub async fn lock_unsettled(db: &mut PgConnection, id: &str) -> Result<Option<(Recorded, String)>> {
    let row = sqlx::query!(
        r#"select event.id, event.status as "status: EventStatus", event.received_at, event.payload,
                  attempt.id as "attempt_id?: AttemptId", attempt.booking_id as "booking_id?: BookingId"
           from payment_events as event
           left join checkout_attempts as attempt
             on attempt.id = event.attempt_id or attempt.stripe_session_id = event.stripe_session_id
           where event.id = $1 and event.status not in ('processed', 'ignored')
           limit 1
           for update of event"#,
        id,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let subject = row.attempt_id.zip(row.booking_id);
        (
            Recorded {
                id: row.id,
                status: row.status,
                received_at: row.received_at,
                subject,
            },
            row.payload,
        )
    }))
}

/// Where an event ends, for now or for good.
#[derive(Debug, Clone)]
pub struct Settled<'a> {
    /// The event.
    pub id: &'a str,
    /// Where it stands now.
    pub status: EventStatus,
    /// A sentence for people.
    pub outcome: &'a str,
    /// The attempt it is about, and its booking.
    pub subject: Option<(AttemptId, BookingId)>,
}

/// Marks events. The caller commits this together with their effect, or not at all.
pub async fn mark(
    db: &mut PgConnection,
    settled: &[Settled<'_>],
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update payment_events as event
         set status = settled.status, outcome = settled.outcome,
             attempt_id = coalesce(settled.attempt_id, event.attempt_id), booking_id = settled.booking_id,
             processed_at = case when settled.status in ('processed', 'ignored') then $6::timestamptz end
         from unnest($1::text[], $2::payment_event_status[], $3::text[], $4::uuid[], $5::uuid[])
           as settled (id, status, outcome, attempt_id, booking_id)
         where event.id = settled.id",
        &settled.column(|settled| settled.id) as _,
        &settled.column(|settled| settled.status) as _,
        &settled.column(|settled| settled.outcome) as _,
        &settled.column(|settled| settled.subject.map(|(attempt_id, _)| attempt_id)) as _,
        &settled.column(|settled| settled.subject.map(|(_, booking_id)| booking_id)) as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
