//! What replays start from: events as they are stored, and the pasts of bookings. All that is read
//! here is the product's, named with its schema: who replays has copies in the place of the tables.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::connection::Connection;
use crate::domain::attempt::{AttemptOfBooking, PaymentPart};
use crate::domain::booking::BookingStatus;
use crate::domain::booking_event::BookingEvent;
use crate::domain::booking_past::{BookingPast, PastAttempt, PastPayment};
use crate::domain::charge::ChargeReference;
use crate::domain::ids::{AttemptId, BookingId, PaymentId};
use crate::domain::money::Money;
use crate::domain::past_event::PastEvent;
use crate::domain::payment_event::{EventStatus, StoredEvent};
use crate::error::{Error, Result};

/// How much there is to replay, about.
pub async fn estimate(db: &mut Connection) -> Result<u64> {
    let bookings = sqlx::query_scalar!(r#"select count(*) as "count!" from public.bookings"#);
    Ok(u64::try_from(bookings.fetch_one(db).await?).unwrap_or_default())
}

/// The booking with the last id. Those that are made from now on follow it.
pub async fn find_last(db: &mut Connection) -> Result<Option<BookingId>> {
    let last = sqlx::query_scalar!(
        r#"select id as "id: BookingId" from public.bookings order by id desc limit 1"#
    );
    Ok(last.fetch_optional(db).await?)
}

/// Some of the bookings, in the order of their ids.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// They follow this one; `None` for the first.
    pub after: Option<BookingId>,
    /// They end with this one.
    pub until: BookingId,
    /// They are so many at most.
    pub limit: i64,
}

/// The bookings of a stretch.
pub async fn list_bookings(db: &mut Connection, stretch: Stretch) -> Result<Vec<BookingId>> {
    let ids = sqlx::query_scalar!(
        r#"select id as "id: BookingId"
           from public.bookings
           where ($1::uuid is null or id > $1) and id <= $2
           order by id
           limit $3"#,
        stretch.after as _,
        stretch.until as _,
        stretch.limit,
    );
    Ok(ids.fetch_all(db).await?)
}

/// The pasts of bookings, in the order of their ids.
pub async fn list_pasts(db: &mut Connection, ids: &[BookingId]) -> Result<Vec<BookingPast>> {
    let rows = sqlx::query!(
        r#"select id as "id: BookingId", status as "status: BookingStatus", currency, total_minor,
                  due_minor, paid_minor + conceded_minor as "met_minor!"
           from public.bookings
           where id = any($1)
           order by id"#,
        ids as _,
    )
    .fetch_all(&mut *db)
    .await?;
    let pasts = rows.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        Ok(BookingPast {
            id: row.id,
            status: row.status,
            total: Money::new(row.total_minor, currency),
            due_minor: row.due_minor,
            met_minor: row.met_minor,
            attempts: Vec::new(),
            happened: Vec::new(),
            payments: Vec::new(),
        })
    });
    let mut pasts = pasts.collect::<Result<Vec<_>>>()?;
    let mut attempts = list_attempts(db, ids).await?;
    let mut happened = list_happened(db, ids).await?;
    let mut payments = list_payments(db, ids).await?;
    for past in &mut pasts {
        past.attempts = attempts.remove(&past.id).unwrap_or_default();
        past.happened = happened.remove(&past.id).unwrap_or_default();
        past.payments = payments.remove(&past.id).unwrap_or_default();
    }
    Ok(pasts)
}

/// Rows by the booking that they belong to.
type OfBookings<T> = HashMap<BookingId, Vec<T>>;

async fn list_attempts(db: &mut Connection, ids: &[BookingId]) -> Result<OfBookings<PastAttempt>> {
    let rows = sqlx::query!(
        r#"select booking_id as "booking_id: BookingId", id as "id: AttemptId",
                  part as "part: PaymentPart", amount_minor
           from public.checkout_attempts
           where booking_id = any($1)
           order by id"#,
        ids as _,
    )
    .fetch_all(db)
    .await?;
    let mut attempts = OfBookings::new();
    for row in rows {
        attempts
            .entry(row.booking_id)
            .or_default()
            .push(PastAttempt {
                id: row.id,
                part: row.part,
                asked_minor: row.amount_minor,
            });
    }
    Ok(attempts)
}

async fn list_happened(db: &mut Connection, ids: &[BookingId]) -> Result<OfBookings<PastEvent>> {
    let rows = sqlx::query!(
        r#"select booking_id as "booking_id: BookingId", payload as "payload: Json<BookingEvent>"
           from public.booking_events
           where booking_id = any($1)
           order by booking_id, id"#,
        ids as _,
    )
    .fetch_all(db)
    .await?;
    let mut happened = OfBookings::new();
    for row in rows {
        let events: &mut Vec<_> = happened.entry(row.booking_id).or_default();
        events.push(row.payload.0.into());
    }
    Ok(happened)
}

async fn list_payments(db: &mut Connection, ids: &[BookingId]) -> Result<OfBookings<PastPayment>> {
    let rows = sqlx::query!(
        r#"select payment.booking_id as "booking_id: BookingId", payment.id as "id: PaymentId",
                  attempt_id as "attempt_id: AttemptId", stripe_payment_intent_id,
                  payment.amount_minor, payment_event_id as "event_id?"
           from public.payments as payment
           left join public.ledger_transfers as capture
             on capture.payment_id = payment.id and capture.kind = 'capture'
               and capture.booking_id = any($1)
           where payment.booking_id = any($1)
           order by payment.id"#,
        ids as _,
    )
    .fetch_all(db)
    .await?;
    let mut payments = OfBookings::new();
    for row in rows {
        payments
            .entry(row.booking_id)
            .or_default()
            .push(PastPayment {
                id: row.id,
                attempt_id: row.attempt_id,
                payment_intent_id: row.stripe_payment_intent_id,
                amount_minor: row.amount_minor,
                event_id: row.event_id,
            });
    }
    Ok(payments)
}

/// A place in the order in which events without a booking came.
#[derive(Debug, Clone)]
pub struct Place {
    /// When the event there first came.
    pub received_at: DateTime<Utc>,
    /// `evt_…`
    pub id: String,
}

struct Row {
    id: String,
    kind: String,
    livemode: Option<bool>,
    created_at: Option<DateTime<Utc>>,
    session_id: Option<String>,
    payment_intent_id: Option<String>,
    attempt_id: Option<AttemptId>,
    booking_id: Option<BookingId>,
    payload: String,
    status: EventStatus,
    outcome: Option<String>,
    received_at: DateTime<Utc>,
    processed_at: Option<DateTime<Utc>>,
}

macro_rules! events {
    ($which:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            r#"select id, type as kind, livemode, stripe_created_at as created_at,
                      stripe_session_id as session_id,
                      stripe_payment_intent_id as payment_intent_id, attempt_id as "attempt_id: _",
                      booking_id as "booking_id: _", payload, status as "status: _", outcome,
                      received_at, processed_at
               from public.payment_events
               where status in ('processed', 'ignored', 'failed')
               "# + $which,
            $($argument),*
        )
    };
}

/// The decided events of bookings, and some more, in the order in which they were settled.
pub async fn list_events(
    db: &mut Connection,
    bookings: &[BookingId],
    others: &[String],
) -> Result<Vec<StoredEvent>> {
    let rows = events!(
        "and (booking_id = any($1) or id = any($2)) order by processed_at, received_at, id",
        bookings as _,
        others
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(StoredEvent::from).collect())
}

/// The decided events that were found to be of no booking, among so many that came after a place
/// and until a time; with the last place that was looked at, `None` at the end.
pub async fn list_events_of_none(
    db: &mut Connection,
    after: Option<&Place>,
    until: DateTime<Utc>,
    limit: i64,
) -> Result<(Vec<StoredEvent>, Option<Place>)> {
    let (received_at, id) = (
        after.map(|place| place.received_at),
        after.map(|place| place.id.as_str()),
    );
    let last = sqlx::query_as!(
        Place,
        "select received_at, id
         from public.payment_events
         where ($1::timestamptz is null or (received_at, id) > ($1, $2::text))
           and received_at <= $3
         order by received_at, id
         offset $4 limit 1",
        received_at,
        id,
        until,
        limit,
    )
    .fetch_optional(&mut *db)
    .await?;
    let rows = events!(
        "and booking_id is null
           and ($1::timestamptz is null or (received_at, id) > ($1, $2::text))
           and ($3::timestamptz is null or (received_at, id) <= ($3, $4::text))
           and received_at <= $5
         order by received_at, id",
        received_at,
        id,
        last.as_ref().map(|place| place.received_at),
        last.as_ref().map(|place| place.id.as_str()),
        until
    );
    let rows = rows.fetch_all(db).await?;
    Ok((rows.into_iter().map(StoredEvent::from).collect(), last))
}

/// The decided events that were found to be of no booking, of those that came after a time and of
/// some others.
pub async fn list_later_events_of_none(
    db: &mut Connection,
    since: DateTime<Utc>,
    others: &[String],
) -> Result<Vec<StoredEvent>> {
    let rows = events!(
        "and booking_id is null and (received_at > $1 or id = any($2))
         order by received_at, id",
        since,
        others
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(StoredEvent::from).collect())
}

/// When the event came that has come last.
pub async fn last_received(db: &mut Connection) -> Result<Option<DateTime<Utc>>> {
    let last = sqlx::query_scalar!("select max(received_at) from public.payment_events");
    Ok(last.fetch_one(db).await?)
}

/// An event that may still be decided, or otherwise than it was.
#[derive(Debug, Clone)]
pub struct OpenEvent {
    /// `evt_…`
    pub id: String,
    /// Where it stands.
    pub status: EventStatus,
    /// When it first came.
    pub received_at: DateTime<Utc>,
}

/// The events that may still be decided, or otherwise than they were.
pub async fn list_open_events(db: &mut Connection) -> Result<Vec<OpenEvent>> {
    let open = sqlx::query_as!(
        OpenEvent,
        r#"select id, status as "status: _", received_at
           from public.payment_events
           where status in ('received', 'deferred', 'failed')"#,
    );
    Ok(open.fetch_all(db).await?)
}

impl From<Row> for StoredEvent {
    fn from(row: Row) -> Self {
        let attempt = row.attempt_id.zip(row.booking_id);
        Self {
            id: row.id,
            kind: row.kind,
            livemode: row.livemode,
            created_at: row.created_at,
            session_id: row.session_id,
            payment_intent_id: row.payment_intent_id,
            attempt: attempt.map(|(attempt_id, booking_id)| AttemptOfBooking {
                attempt_id,
                booking_id,
            }),
            payload: row.payload,
            status: row.status,
            outcome: row.outcome,
            received_at: row.received_at,
            processed_at: row.processed_at,
        }
    }
}

/// The booking whose money a charge of Stripe's has brought, or a refund gives back.
pub async fn find_booking(
    db: &mut Connection,
    charge: &ChargeReference,
    stripe_refund_id: Option<&str>,
) -> Result<Option<BookingId>> {
    let found = sqlx::query_scalar!(
        r#"with named as (
             select coalesce($1, (select stripe_payment_intent_id from public.charges
                                  where stripe_charge_id = $2 limit 1)) as intent
           )
           select coalesce(
             (select booking_id from public.refunds where stripe_refund_id = $3),
             (select booking_id from public.payments
              where stripe_payment_intent_id = (select intent from named)),
             (select booking_id from public.checkout_attempts
              where stripe_payment_intent_id = (select intent from named))
           ) as "booking_id: BookingId""#,
        charge.payment_intent_id,
        charge.charge_id,
        stripe_refund_id,
    )
    .fetch_one(db)
    .await?;
    Ok(found)
}
