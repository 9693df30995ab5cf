//! The ledger of Stripe's events: each is recorded once, and settled once.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

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
    /// Where it stood before this delivery; `Received` for the first.
    pub status: EventStatus,
    /// When it first came.
    pub received_at: DateTime<Utc>,
    /// The attempt it is about, and its booking.
    pub subject: Option<(AttemptId, BookingId)>,
}

/// Records an event, or counts one more delivery of it, and finds the attempt that it is about: by the session, else by
/// the attempt that the metadata names, else by the payment. One round trip; a delivery of the same event in another
/// transaction is waited for.
pub async fn record(db: &mut PgConnection, event: &NewEvent<'_>, now: DateTime<Utc>) -> Result<Recorded> {
    let row = sqlx::query!(
        r#"with recorded as (
             insert into payment_events (id, type, api_version, livemode, stripe_created_at, stripe_session_id,
                                         stripe_payment_intent_id, attempt_id, payload, status, received_at)
             values ($1, $2, $3, $4, $5, $6, $7, $10, $8, 'received', $9)
             on conflict (id) do update set deliveries = payment_events.deliveries + 1
             returning status, received_at
           ), subject as (
             select id, booking_id, 1 as rank from checkout_attempts where stripe_session_id = $6
             union all
             select id, booking_id, 2 from checkout_attempts where id = $10
             union all
             select id, booking_id, 3 from checkout_attempts where stripe_payment_intent_id = $7
             order by rank
             limit 1
           )
           select recorded.status as "status!: EventStatus", recorded.received_at as "received_at!", subject.id as "attempt_id?: AttemptId",
                  subject.booking_id as "booking_id?: BookingId"
           from recorded
           left join subject on true"#,
        event.id,
        event.kind,
        event.api_version,
        event.livemode,
        event.created_at,
        event.session_id,
        event.payment_intent_id,
        event.payload,
        now,
        event.attempt_id as _,
    )
    .fetch_one(db)
    .await?;
    Ok(Recorded { status: row.status, received_at: row.received_at, subject: row.attempt_id.zip(row.booking_id) })
}

/// Locks an event that is not settled, with its body and the attempt that it is about; `None` if it is settled or unknown.
pub async fn lock_unsettled(db: &mut PgConnection, id: &str) -> Result<Option<(Recorded, String)>> {
    let row = sqlx::query!(
        r#"select event.status as "status: EventStatus", event.received_at, event.payload,
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
        (Recorded { status: row.status, received_at: row.received_at, subject }, row.payload)
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

/// Marks an event. The caller commits this together with the event's effect, or not at all.
pub async fn mark(db: &mut PgConnection, settled: &Settled<'_>, now: DateTime<Utc>) -> Result<()> {
    let (attempt_id, booking_id) = settled.subject.unzip();
    sqlx::query!(
        "update payment_events
         set status = $2, outcome = $3, attempt_id = coalesce($4, attempt_id), booking_id = $5, processed_at = $6
         where id = $1",
        settled.id,
        settled.status as _,
        settled.outcome,
        attempt_id as _,
        booking_id as _,
        settled.status.is_settled().then_some(now),
    )
    .execute(db)
    .await?;
    Ok(())
}
