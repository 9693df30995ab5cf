//! Bookings and the seats they claim.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Columns, StoredPolicy};
use crate::domain::booking::{
    BookedShow, Booking, BookingDetails, BookingKind, BookingStatus, NewAttempt, OpenCheckout,
    PaymentOption,
};
use crate::domain::catalogue::PolicyStep;
use crate::domain::ids::{BookingId, ShowId};
use crate::domain::money::Money;
use crate::domain::user::UserId;
use crate::error::{Error, Result};

/// The constraint that keeps references unique.
pub const REFERENCE_KEY: &str = "bookings_reference_key";

/// Stands between the labels of one booking where those of many travel in one array; no label has
/// it.
const SEPARATOR: &str = ",";

/// A booking to be stored with its claims, and with the attempt to pay for it.
#[derive(Debug, Clone)]
pub struct NewHold<'a> {
    /// The booking: pending, or confirmed if it costs nothing.
    pub booking: &'a Booking,
    /// The show whose seats it claims.
    pub show_id: ShowId,
    /// The policy that is frozen at sale.
    pub cancellation_policy: &'a [PolicyStep],
    /// The attempt, unless nothing is to be paid.
    pub attempt: Option<&'a NewAttempt>,
}

/// Stores bookings, claims their seats and stores their attempts, in one round trip; the database
/// enqueues the ends of their holds. Returns the seats that could be claimed; if they are fewer
/// than the bookings name, the caller must roll back.
///
/// Claims are inserted in the order of shows and labels, so that two who want the same seats never
/// deadlock; a claim that another transaction is just making is waited for.
pub async fn hold(
    db: &mut PgConnection,
    holds: &[NewHold<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<(BookingId, String)>> {
    let attempts: Vec<_> = holds
        .iter()
        .filter_map(|new| Some((new.booking.id, new.attempt?)))
        .collect();
    let claimed = sqlx::query!(
        r#"with wanted as (
             select *, string_to_array(joined_seats, $22) as seats
             from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::booking_status[],
                         $7::payment_option[], $8::text[], $9::bigint[], $10::bigint[], $11::jsonb[], $12::timestamptz[],
                         $13::timestamptz[])
               as booking (id, reference, user_id, show_id, joined_seats, status, payment_option, currency, total_minor,
                           due_minor, cancellation_policy, hold_expires_at, confirmed_at)
           ), booking as (
             insert into bookings (id, reference, user_id, kind, show_id, seats, status, payment_option, currency,
                                   total_minor, due_minor, cancellation_policy, hold_expires_at, confirmed_at,
                                   created_at, updated_at)
             select id, reference, user_id, 'show', show_id, seats, status, payment_option, currency, total_minor,
                    due_minor, cancellation_policy, hold_expires_at, confirmed_at, $14, $14
             from wanted
           ), attempt as (
             insert into checkout_attempts (id, booking_id, part, ui, amount_minor, status, parameters, expires_at,
                                            created_at, updated_at)
             select id, booking_id, part, ui, amount_minor, 'creating', parameters, expires_at, $14, $14
             from unnest($15::uuid[], $16::uuid[], $17::payment_part[], $18::text[], $19::bigint[], $20::text[],
                         $21::timestamptz[])
               as attempt (id, booking_id, part, ui, amount_minor, parameters, expires_at)
           )
           insert into seat_claims (show_id, label, booking_id)
           select wanted.show_id, seat.label, wanted.id
           from wanted, unnest(wanted.seats) as seat (label)
           order by wanted.show_id, seat.label collate "C"
           on conflict (show_id, label) do nothing
           returning booking_id as "booking_id: BookingId", label"#,
        &holds.column(|new| new.booking.id) as _,
        &holds.column(|new| new.booking.reference.as_str()) as _,
        &holds.column(|new| new.booking.user_id.as_str()) as _,
        &holds.column(|new| new.show_id) as _,
        &holds.column(|new| new.booking.seats.join(SEPARATOR)),
        &holds.column(|new| new.booking.status) as _,
        &holds.column(|new| new.booking.payment_option) as _,
        &holds.column(|new| new.booking.total.currency.as_str()) as _,
        &holds.column(|new| new.booking.total.amount_minor),
        &holds.column(|new| new.booking.due.amount_minor),
        &holds.column(|new| StoredPolicy::from(new.cancellation_policy)) as _,
        &holds.column(|new| new.booking.hold_expires_at) as _,
        &holds.column(|new| new.booking.confirmed_at) as _,
        now,
        &attempts.column(|(_, attempt)| attempt.id) as _,
        &attempts.column(|(booking_id, _)| *booking_id) as _,
        &attempts.column(|(_, attempt)| attempt.part) as _,
        &attempts.column(|(_, attempt)| attempt.ui.as_str()) as _,
        &attempts.column(|(_, attempt)| attempt.amount_minor),
        &attempts.column(|(_, attempt)| attempt.parameters.as_str()) as _,
        &attempts.column(|(_, attempt)| attempt.expires_at),
        SEPARATOR,
    )
    .fetch_all(db)
    .await?;
    Ok(claimed
        .into_iter()
        .map(|row| (row.booking_id, row.label))
        .collect())
}

/// Which bookings are listed.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Only those of this user.
    pub user_id: UserId,
    /// Only those that stand so.
    pub status: Option<BookingStatus>,
    /// Only those made before this one.
    pub before: Option<BookingId>,
}

struct Row {
    id: BookingId,
    reference: String,
    user_id: UserId,
    kind: BookingKind,
    status: BookingStatus,
    seats: Vec<String>,
    payment_option: PaymentOption,
    currency: String,
    total_minor: i64,
    due_minor: i64,
    paid_minor: i64,
    hold_expires_at: Option<DateTime<Utc>>,
    confirmed_at: Option<DateTime<Utc>>,
    cancelled_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    show_id: Option<ShowId>,
    show_title: Option<String>,
    show_starts_at: Option<DateTime<Utc>>,
    show_timezone: Option<String>,
    session_id: Option<String>,
    session_url: Option<String>,
    session_client_secret: Option<String>,
    session_expires_at: Option<DateTime<Utc>>,
}

/// Bookings with their show and open attempt, as the given end of the query chooses them.
macro_rules! details {
    ($which:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            r#"select booking.id as "id!: _", reference as "reference!", user_id as "user_id!: _", kind as "kind!: _",
                      booking.status as "status!: _", seats as "seats!", payment_option as "payment_option!: _",
                      booking.currency as "currency!", total_minor as "total_minor!", due_minor as "due_minor!",
                      paid_minor as "paid_minor!", hold_expires_at, confirmed_at, cancelled_at, version as "version!",
                      booking.created_at as "created_at!",
                      shows.id as "show_id?: _", shows.title as "show_title?", shows.starts_at as "show_starts_at?",
                      shows.timezone as "show_timezone?",
                      attempt.stripe_session_id as "session_id?", attempt.url as "session_url?",
                      attempt.client_secret as "session_client_secret?", attempt.expires_at as "session_expires_at?"
               from bookings as booking
               left join shows on shows.id = booking.show_id
               left join checkout_attempts as attempt on attempt.booking_id = booking.id and attempt.status = 'open'
               "# + $which,
            $($argument),*
        )
    };
}

/// Bookings, newest first, at most `limit`. One round trip.
pub async fn list(
    db: &mut PgConnection,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<BookingDetails>> {
    let rows = details!(
        "where user_id = $1
           and ($2::booking_status is null or booking.status = $2)
           and booking.id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
         order by booking.id desc
         limit $4",
        filter.user_id.as_str(),
        filter.status as _,
        filter.before as _,
        limit
    );
    rows.fetch_all(db)
        .await?
        .into_iter()
        .map(BookingDetails::try_from)
        .collect()
}

/// Those of the bookings that there are, in no particular order. One round trip.
pub async fn find_all(db: &mut PgConnection, ids: &[BookingId]) -> Result<Vec<BookingDetails>> {
    let rows = details!("where booking.id = any($1)", ids as _);
    rows.fetch_all(db)
        .await?
        .into_iter()
        .map(BookingDetails::try_from)
        .collect()
}

/// The booking, if there is one. One round trip.
pub async fn find(db: &mut PgConnection, id: BookingId) -> Result<Option<BookingDetails>> {
    Ok(find_all(db, &[id]).await?.pop())
}

impl TryFrom<Row> for BookingDetails {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let show = row
            .show_id
            .zip(row.show_title)
            .zip(row.show_starts_at)
            .zip(row.show_timezone);
        Ok(Self {
            booking: Booking {
                id: row.id,
                reference: row.reference,
                user_id: row.user_id,
                kind: row.kind,
                status: row.status,
                seats: row.seats,
                payment_option: row.payment_option,
                total: Money::new(row.total_minor, currency),
                due: Money::new(row.due_minor, currency),
                paid: Money::new(row.paid_minor, currency),
                hold_expires_at: row.hold_expires_at,
                confirmed_at: row.confirmed_at,
                cancelled_at: row.cancelled_at,
                version: row.version,
                created_at: row.created_at,
            },
            show: show.map(|(((id, title), starts_at), timezone)| BookedShow {
                id,
                title,
                starts_at,
                timezone,
            }),
            checkout: row
                .session_id
                .zip(row.session_expires_at)
                .map(|(session_id, expires_at)| OpenCheckout {
                    session_id,
                    url: row.session_url,
                    client_secret: row.session_client_secret,
                    expires_at,
                }),
        })
    }
}

/// Bookings that wait for a payment, whose hold ended before `before`, and that no job is about to
/// end, at most `limit`.
pub async fn list_overdue(
    db: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<BookingId>> {
    let overdue = sqlx::query_scalar!(
        r#"select id as "id: BookingId"
           from bookings
           where status in ('pending', 'processing') and hold_expires_at < $1
             and not exists (select from graphile_worker._private_jobs as job where job.key = 'end-hold-' || bookings.id
                               and job.attempts < job.max_attempts)
           order by hold_expires_at
           limit $2"#,
        before,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(overdue)
}

/// Notes that a pending booking is called off, and why; what was noted before stays. False if it is
/// not pending, or not at `version` any more.
pub async fn request_cancellation(
    db: &mut PgConnection,
    (id, version): (BookingId, Option<i64>),
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let noted = sqlx::query_scalar!(
        r#"with wanted as (
             select id
             from bookings
             where id = $1 and status = 'pending'
               and ($2::bigint is null or version = $2 or cancel_requested_at is not null)
             for update
           ), noted as (
             update bookings
             set cancel_requested_at = $4, cancel_reason = $3, updated_at = $4
             from wanted
             where bookings.id = wanted.id and cancel_requested_at is null
           )
           select count(*) as "count!" from wanted"#,
        id as _,
        version,
        reason,
        now,
    )
    .fetch_one(db)
    .await?;
    Ok(noted == 1)
}
