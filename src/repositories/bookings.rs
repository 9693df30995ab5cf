//! Bookings and the seats they claim.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::domain::booking::{
    BookedShow, Booking, BookingDetails, BookingKind, BookingStatus, OpenCheckout, PaymentOption, PaymentPart,
};
use crate::domain::catalogue::PolicyStep;
use crate::domain::ids::{AttemptId, BookingId, ShowId};
use crate::domain::money::Money;
use crate::domain::user::UserId;
use crate::error::{Error, Result};

/// The constraint that keeps references unique.
pub const REFERENCE_KEY: &str = "bookings_reference_key";

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

/// An attempt to be stored before Stripe is asked.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    /// Its id.
    pub id: AttemptId,
    /// Which part of the booking it pays.
    pub part: PaymentPart,
    /// Where the buyer pays.
    pub ui: &'static str,
    /// What it asks for, in the booking's currency.
    pub amount_minor: i64,
    /// What Stripe is sent, to the letter.
    pub parameters: String,
    /// When the session ends.
    pub expires_at: DateTime<Utc>,
}

/// Stores the booking, claims its seats and stores its attempt, in one round trip; the database enqueues the end of its
/// hold. Returns the labels that could be
/// claimed; if they are fewer than the booking names, the caller must roll back.
///
/// Claims are inserted in the order of their labels, so that two bookings of the same seats never deadlock; a claim that
/// another transaction is just making is waited for.
pub async fn hold(db: &mut PgConnection, new: &NewHold<'_>) -> Result<Vec<String>> {
    let booking = new.booking;
    let attempt = new.attempt;
    let claimed = sqlx::query_scalar!(
        r#"with booking as (
             insert into bookings (id, reference, user_id, kind, show_id, seats, status, payment_option, currency,
                                   total_minor, due_minor, cancellation_policy, hold_expires_at, confirmed_at,
                                   created_at, updated_at)
             values ($1, $2, $3, 'show', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
             returning id
           ), claim as (
             insert into seat_claims (show_id, label, booking_id)
             select $4, wanted.label, booking.id
             from booking, unnest($5::text[]) as wanted (label)
             order by wanted.label collate "C"
             on conflict (show_id, label) do nothing
             returning label
           ), attempt as (
             insert into checkout_attempts (id, booking_id, part, ui, amount_minor, status, parameters, expires_at,
                                            created_at, updated_at)
             select $15, booking.id, $16, $17, $18, 'creating', $19, $20, $14, $14
             from booking
             where $15::uuid is not null
           )
           select label from claim"#,
        booking.id as _,
        booking.reference,
        booking.user_id.as_str(),
        new.show_id as _,
        &booking.seats,
        booking.status as _,
        booking.payment_option as _,
        booking.total.currency.as_str(),
        booking.total.amount_minor,
        booking.due.amount_minor,
        Json(new.cancellation_policy) as _,
        booking.hold_expires_at,
        booking.confirmed_at,
        booking.created_at,
        attempt.map(|attempt| attempt.id) as _,
        attempt.map(|attempt| attempt.part) as _,
        attempt.map(|attempt| attempt.ui),
        attempt.map(|attempt| attempt.amount_minor),
        attempt.map(|attempt| attempt.parameters.as_str()),
        attempt.map(|attempt| attempt.expires_at),
    )
    .fetch_all(db)
    .await?;
    Ok(claimed)
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
            r#"select booking.id as "id: _", reference, user_id as "user_id: _", kind as "kind: _",
                      booking.status as "status: _", seats, payment_option as "payment_option: _", booking.currency,
                      total_minor, due_minor, paid_minor, hold_expires_at, confirmed_at, cancelled_at, version,
                      booking.created_at,
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
pub async fn list(db: &mut PgConnection, filter: &Filter, limit: i64) -> Result<Vec<BookingDetails>> {
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
    rows.fetch_all(db).await?.into_iter().map(BookingDetails::try_from).collect()
}

/// The booking, if there is one and, where `owner` is given, it is his. One round trip.
pub async fn find(db: &mut PgConnection, id: BookingId, owner: Option<&UserId>) -> Result<Option<BookingDetails>> {
    let row =
        details!("where booking.id = $1 and ($2::text is null or user_id = $2)", id as _, owner.map(UserId::as_str));
    row.fetch_optional(db).await?.map(BookingDetails::try_from).transpose()
}

impl TryFrom<Row> for BookingDetails {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let show = row.show_id.zip(row.show_title).zip(row.show_starts_at).zip(row.show_timezone);
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
            show: show.map(|(((id, title), starts_at), timezone)| BookedShow { id, title, starts_at, timezone }),
            checkout: row.session_id.zip(row.session_expires_at).map(|(session_id, expires_at)| OpenCheckout {
                session_id,
                url: row.session_url,
                client_secret: row.session_client_secret,
                expires_at,
            }),
        })
    }
}

/// Bookings that wait for a payment, whose hold ended before `before`, and that no job is about to end, at most `limit`.
pub async fn list_overdue(db: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> Result<Vec<BookingId>> {
    let overdue = sqlx::query_scalar!(
        r#"select id as "id: BookingId"
           from bookings
           where status in ('pending', 'processing') and hold_expires_at < $1
             and not exists (select from graphile_worker._private_jobs as job where job.key = 'end-hold-' || bookings.id)
           order by hold_expires_at
           limit $2"#,
        before,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(overdue)
}

/// Notes that a pending booking is called off, and why; what was noted before stays. False if it is not pending, or not
/// at `version` any more.
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
