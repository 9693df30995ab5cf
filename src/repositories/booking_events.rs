//! What has happened to bookings: append-only, in order per booking.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::Columns;
use crate::connection::Connection;
use crate::domain::booking_event::{BookingEvent, NewBookingEvent};
use crate::domain::ids::BookingId;
use crate::error::Result;

/// Events that are read in one go. More wait for the next.
const READ_MAX: i64 = 5_000;

/// Writes down what has happened, in the transaction of the change. The hot paths have it ride in
/// the statements that make the change.
pub async fn append(
    db: &mut Connection,
    events: &[NewBookingEvent],
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "insert into booking_events (booking_id, kind, payload, at)
         select booking_id, kind, payload::json, $4
         from unnest($1::uuid[], $2::text[], $3::text[]) as event (booking_id, kind, payload)",
        &events.column(|new| new.booking_id) as _,
        &events.column(|new| new.event.kind()) as _,
        &events.column(|new| new.event.json()),
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What has happened to a booking, and when.
#[derive(Debug, Clone)]
pub struct RecordedBookingEvent {
    /// What has happened.
    pub event: BookingEvent,
    /// When.
    pub at: DateTime<Utc>,
}

/// What has happened to a booking, newest first, at most `limit`. One round trip.
pub async fn list(
    db: &mut Connection,
    id: BookingId,
    limit: i64,
) -> Result<Vec<RecordedBookingEvent>> {
    let rows = sqlx::query!(
        r#"select payload as "payload: Json<BookingEvent>", at
           from booking_events
           where booking_id = $1
           order by id desc
           limit $2"#,
        id as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    let events = rows.into_iter().map(|row| RecordedBookingEvent {
        event: row.payload.0,
        at: row.at,
    });
    Ok(events.collect())
}

/// Writes down what has happened, unless exactly that is written down already. The caller holds a
/// lock under which nobody else does.
pub async fn append_once(
    db: &mut Connection,
    new: &NewBookingEvent,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "insert into booking_events (booking_id, kind, payload, at)
         select $1, $2, $3::text::json, $4
         where not exists (
           select from booking_events
           where booking_id = $1 and kind = $2 and payload::text = $3
         )",
        new.booking_id as _,
        new.event.kind(),
        new.event.json(),
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How far a reader has come: the transactions that it has seen.
#[derive(Debug, Clone)]
pub struct Cursor(String);

/// The cursor of somebody who begins to read now.
pub async fn latest(db: &mut Connection) -> Result<Cursor> {
    let snapshot = sqlx::query_scalar!(r#"select pg_current_snapshot()::text as "snapshot!""#);
    Ok(Cursor(snapshot.fetch_one(db).await?))
}

/// Bookings with events that the reader has not seen.
#[derive(Debug, Clone)]
pub struct Unread {
    /// In the order of the events; one with several is named several times.
    pub booking_ids: Vec<BookingId>,
    /// Whether there were more than are read in one go: then some may be missed.
    pub is_cut_short: bool,
    /// How far this comes.
    pub cursor: Cursor,
}

/// What has been committed since `cursor`, whatever the order in which it was begun: the events of
/// transactions that the cursor's snapshot did not see and this one does.
/// <https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT>
pub async fn read_since(db: &mut Connection, cursor: &Cursor) -> Result<Unread> {
    let row = sqlx::query!(
        r#"select pg_current_snapshot()::text as "snapshot!",
                  array(
                    select booking_id
                    from booking_events
                    where transaction_id >= pg_snapshot_xmin($1::text::pg_snapshot)
                      and not pg_visible_in_snapshot(transaction_id, $1::text::pg_snapshot)
                      -- Rows restored from another cluster may bear ids that are yet to come here.
                      and transaction_id < pg_snapshot_xmax(pg_current_snapshot())
                    order by transaction_id, id
                    limit $2
                  ) as "booking_ids!: Vec<BookingId>""#,
        cursor.0,
        READ_MAX,
    )
    .fetch_one(db)
    .await?;
    let is_cut_short = i64::try_from(row.booking_ids.len()).is_ok_and(|read| read >= READ_MAX);
    Ok(Unread {
        booking_ids: row.booking_ids,
        is_cut_short,
        cursor: Cursor(row.snapshot),
    })
}
