//! Bookings and what they reserve.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::connection::Connection;
use crate::domain::attempt::{OpenCheckout, PaymentPart};
use crate::domain::booking::{
    BookedMovie, BookedService, BookedShow, Booking, BookingDetails, BookingKind, BookingStatus,
    LockedBooking, OpenAttempt, PaymentOption, Reservation, ReservedSeats, ReservedSlot,
    ResourceId,
};
use crate::domain::checkout_state::Ending;
use crate::domain::dispute_status::DisputeStatus;
use crate::domain::ids::{BookingId, MovieId, ServiceId, ShowId};
use crate::domain::money::Money;
use crate::domain::user::UserId;
use crate::error::{Error, Result};

/// Which bookings are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this user.
    pub user_id: Option<UserId>,
    /// Only those that stand so.
    pub status: Option<BookingStatus>,
    /// Only those of this show.
    pub show_id: Option<ShowId>,
    /// Only those whose reference begins with this, or whose user's address or name has it.
    pub text: Option<String>,
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
    conceded_minor: i64,
    returned_minor: i64,
    hold_expires_at: Option<DateTime<Utc>>,
    confirmed_at: Option<DateTime<Utc>>,
    cancelled_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    show_id: Option<ShowId>,
    show_title: Option<String>,
    show_starts_at: Option<DateTime<Utc>>,
    show_timezone: Option<String>,
    movie_id: Option<MovieId>,
    movie_title: Option<String>,
    movie_poster_url: Option<String>,
    movie_runtime_minutes: Option<i32>,
    disputed: Option<DisputeStatus>,
    service_id: Option<ServiceId>,
    resource_id: Option<ResourceId>,
    slot_starts_at: Option<DateTime<Utc>>,
    slot_ends_at: Option<DateTime<Utc>>,
    service_slug: Option<String>,
    service_title: Option<String>,
    service_timezone: Option<String>,
    resource_name: Option<String>,
    attempt_part: Option<PaymentPart>,
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
            r#"select booking.id as "id!: _", reference as "reference!", user_id as "user_id!: _",
                      kind as "kind!: _", booking.status as "status!: _", seats as "seats!",
                      payment_option as "payment_option!: _", booking.currency as "currency!",
                      total_minor as "total_minor!", due_minor as "due_minor!",
                      paid_minor as "paid_minor!", conceded_minor as "conceded_minor!",
                      hold_expires_at, confirmed_at, cancelled_at,
                      version as "version!", booking.created_at as "created_at!",
                      booking.show_id as "show_id?: _", shows.title as "show_title?",
                      shows.starts_at as "show_starts_at?", shows.timezone as "show_timezone?",
                      movies.id as "movie_id?: _", movies.title as "movie_title?",
                      movies.poster_url as "movie_poster_url?",
                      movies.runtime_minutes as "movie_runtime_minutes?",
                      (select coalesce(sum(refunds.amount_minor), 0)::bigint
                       from refunds
                       join payments on payments.id = refunds.payment_id
                         and payments.disposition = 'applied'
                       where refunds.booking_id = booking.id
                         and refunds.status in ('pending', 'succeeded')) as "returned_minor!",
                      -- Of the statuses in their order, the last is the worst.
                      (select max(disputes.status)
                       from disputes
                       join payments on payments.id = disputes.payment_id
                         and payments.disposition = 'applied'
                       where disputes.booking_id = booking.id
                         and (disputes.status in ('needs_response', 'under_review', 'lost')
                              or disputes.status = 'prevented' and exists (
                                select from ledger_transfers as taken
                                where taken.booking_id = booking.id
                                  and taken.dispute_id = disputes.id
                                having sum(case taken.kind
                                             when 'dispute_withdrawal' then taken.amount_minor
                                             else -taken.amount_minor end) > 0
                              ))) as "disputed?: _",
                      booking.service_id as "service_id?: _",
                      booking.resource_id as "resource_id?: _", slot_starts_at, slot_ends_at,
                      services.slug as "service_slug?", services.title as "service_title?",
                      services.timezone as "service_timezone?", resource.name as "resource_name?",
                      attempt.part as "attempt_part?: _",
                      attempt.stripe_session_id as "session_id?", attempt.url as "session_url?",
                      attempt.client_secret as "session_client_secret?",
                      attempt.expires_at as "session_expires_at?"
               from bookings as booking
               left join shows on shows.id = booking.show_id
               left join movies on movies.id = shows.movie_id
               left join services on services.id = booking.service_id
               left join service_resources as resource on resource.id = booking.resource_id
               left join checkout_attempts as attempt
                 on attempt.booking_id = booking.id and attempt.status = 'open'
               "# + $which,
            $($argument),*
        )
    };
}

/// Bookings, newest first, at most `limit`. One round trip.
pub async fn list(db: &mut Connection, filter: &Filter, limit: i64) -> Result<Vec<BookingDetails>> {
    let rows = details!(
        "where ($1::text is null or booking.user_id = $1)
           and ($2::booking_status is null or booking.status = $2)
           and booking.id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
           and ($5::uuid is null or booking.show_id = $5)
           and ($6::text is null
             or starts_with(booking.reference, upper($6))
             or booking.user_id in (
               select users.id from users
               where strpos(lower(users.email), lower($6)) > 0
                 or strpos(lower(users.name), lower($6)) > 0
             ))
         order by booking.id desc
         limit $4",
        filter.user_id.as_ref().map(UserId::as_str),
        filter.status as _,
        filter.before as _,
        limit,
        filter.show_id as _,
        filter.text.as_deref()
    );
    rows.fetch_all(db)
        .await?
        .into_iter()
        .map(BookingDetails::try_from)
        .collect()
}

/// Those of the bookings that there are, in no particular order. One round trip.
pub async fn find_all(db: &mut Connection, ids: &[BookingId]) -> Result<Vec<BookingDetails>> {
    let rows = details!("where booking.id = any($1)", ids as _);
    rows.fetch_all(db)
        .await?
        .into_iter()
        .map(BookingDetails::try_from)
        .collect()
}

/// The booking, if there is one. One round trip.
pub async fn find(db: &mut Connection, id: BookingId) -> Result<Option<BookingDetails>> {
    Ok(find_all(db, &[id]).await?.pop())
}

impl TryFrom<Row> for BookingDetails {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let slot = row.slot();
        let service = row.service();
        let reservation = match (row.kind, row.show_id, slot) {
            (BookingKind::Show, Some(show_id), _) => Reservation::Seats(ReservedSeats {
                show_id,
                labels: row.seats,
            }),
            (BookingKind::Service, _, Some(slot)) => Reservation::Slot(slot),
            (BookingKind::Show | BookingKind::Service, _, _) => {
                return Err(Error::fault(format!(
                    "{} reserves nothing known here",
                    row.id
                )));
            }
        };
        let movie = row.movie_id.zip(row.movie_title);
        let movie = movie.map(|(id, title)| BookedMovie {
            id,
            title,
            poster_url: row.movie_poster_url,
            runtime_minutes: row.movie_runtime_minutes,
        });
        let show = row.show_id.zip(row.show_title).zip(row.show_starts_at);
        let open = row
            .attempt_part
            .zip(row.session_id)
            .zip(row.session_expires_at);
        Ok(Self {
            booking: Booking {
                id: row.id,
                reference: row.reference,
                user_id: row.user_id,
                reservation,
                status: row.status,
                payment_option: row.payment_option,
                total: Money::new(row.total_minor, currency),
                due: Money::new(row.due_minor, currency),
                paid: Money::new(row.paid_minor, currency),
                conceded_minor: row.conceded_minor,
                refunded: Money::new(row.returned_minor, currency),
                hold_expires_at: row.hold_expires_at,
                confirmed_at: row.confirmed_at,
                cancelled_at: row.cancelled_at,
                version: row.version,
                created_at: row.created_at,
                disputed: row.disputed,
            },
            show: show
                .zip(row.show_timezone)
                .map(|(((id, title), starts_at), timezone)| BookedShow {
                    id,
                    title,
                    starts_at,
                    timezone,
                    movie,
                }),
            service,
            open_attempt: open.map(|((part, session_id), expires_at)| OpenAttempt {
                part,
                checkout: OpenCheckout {
                    session_id,
                    url: row.session_url,
                    client_secret: row.session_client_secret,
                    expires_at,
                },
            }),
        })
    }
}

impl Row {
    fn slot(&self) -> Option<ReservedSlot> {
        Some(ReservedSlot {
            service_id: self.service_id?,
            resource_id: self.resource_id?,
            starts_at: self.slot_starts_at?,
            ends_at: self.slot_ends_at?,
        })
    }

    fn service(&self) -> Option<BookedService> {
        Some(BookedService {
            id: self.service_id?,
            slug: self.service_slug.clone()?,
            title: self.service_title.clone()?,
            timezone: self.service_timezone.clone()?,
            resource: self.resource_name.clone()?,
        })
    }
}

/// What the buyer of a service wants it to know, if they have said so: a JSON object.
pub async fn find_buyers_details(db: &mut Connection, id: BookingId) -> Result<Option<Value>> {
    let buyers_details = sqlx::query_scalar!("select details from bookings where id = $1", id as _);
    Ok(buyers_details.fetch_optional(db).await?.flatten())
}

/// Locks a booking, if there is one.
pub async fn lock(db: &mut Connection, id: BookingId) -> Result<Option<LockedBooking>> {
    let row = sqlx::query!(
        r#"select status as "status: BookingStatus", due_minor, total_minor, paid_minor, currency,
                  total_minor - paid_minor - conceded_minor as "balance_minor!",
                  confirmed_at is not null as "was_confirmed!"
           from bookings
           where id = $1
           for update"#,
        id as _,
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        Ok(LockedBooking {
            status: row.status,
            due: Money::new(row.due_minor, currency),
            total: Money::new(row.total_minor, currency),
            paid: Money::new(row.paid_minor, currency),
            balance: Money::new(row.balance_minor, currency),
            was_confirmed: row.was_confirmed,
        })
    })
    .transpose()
}

/// Keeps what a booking reserves until `until`: the buyer has paid by a method that takes days. The
/// caller holds its lock.
pub async fn await_funds(
    db: &mut Connection,
    id: BookingId,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update bookings
         set status = 'processing', hold_expires_at = greatest(hold_expires_at, $2), updated_at = $3
         where id = $1",
        id as _,
        until,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Leaves a booking to a person. It keeps what it reserves; one that had ended must claim it again.
/// The caller holds its lock.
pub async fn review(db: &mut Connection, id: BookingId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "update bookings
         set status = 'review', hold_expires_at = null, updated_at = $2
         where id = $1",
        id as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Confirms again a booking under review that was confirmed before: nothing of what came is
/// accepted for it. The caller holds its lock.
pub async fn confirm_again(db: &mut Connection, id: BookingId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "update bookings
         set status = 'confirmed', updated_at = $2
         where id = $1 and status = 'review'",
        id as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends a booking, frees what it reserves, and gives its voucher back. The caller holds its lock.
pub async fn end(
    db: &mut Connection,
    id: BookingId,
    ending: Ending,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "with claim as (
           delete from seat_claims where booking_id = $1
         ), slot as (
           delete from slot_claims where booking_id = $1
         ), voucher as (
           update voucher_redemptions set live = false, beyond_limit = false where booking_id = $1
         )
         update bookings
         set status = $2, updated_at = $3,
             cancelled_at = case when $2::booking_status = 'cancelled' then $3 else cancelled_at end
         where id = $1",
        id as _,
        ending.booking_status() as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
