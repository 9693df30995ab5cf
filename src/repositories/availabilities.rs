//! Whether seats can be had, and what they cost: looked up before anything is held.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::{Columns, StoredPolicy};
use crate::connection::Connection;
use crate::domain::booking::{BookedMovie, BookingStatus};
use crate::domain::catalogue::ShowStatus;
use crate::domain::hold_limits::Holder;
use crate::domain::ids::{BookingId, MovieId, ShowId};
use crate::domain::seat_availability::{SeatAvailability, WantedSeat};
use crate::domain::unpaid_hold::UnpaidHold;
use crate::domain::user::UserId;
use crate::error::{Error, Result};

/// Seats of a show that somebody wants.
#[derive(Debug, Clone, Copy)]
pub struct WantedSeats<'a> {
    /// Who wants them.
    pub user_id: &'a UserId,
    /// The show.
    pub show_id: ShowId,
    /// Their labels.
    pub labels: &'a [String],
}

/// Shows with those of the wanted seats that they have, who has claimed them, and what counts
/// against the buyer, of their lapses those after `lapsed_after`, or no holds at all: one
/// availability for each of `wanted`, in its order, if there is such a show. Nothing is locked. One
/// round trip.
pub async fn list(
    db: &mut Connection,
    wanted: &[WantedSeats<'_>],
    lapsed_after: Option<DateTime<Utc>>,
) -> Result<Vec<Option<SeatAvailability>>> {
    let seats = one_by_one(wanted);
    let rows = sqlx::query_file!(
        "src/repositories/availabilities.sql",
        &seats.column(|(number, ..)| *number),
        &seats.column(|(_, id, ..)| *id) as _,
        &seats.column(|(_, _, label, _)| *label) as _,
        &seats.column(|(.., user_id)| *user_id) as _,
        lapsed_after,
    )
    .fetch_all(db)
    .await?;
    let mut availabilities: Vec<Option<SeatAvailability>> = vec![None; wanted.len()];
    for row in rows {
        let seat = row
            .label
            .zip(row.tier)
            .zip(row.sellable)
            .zip(row.price_minor);
        let claim = row.claimed_by.zip(row.claimed_for).zip(row.claimed_as);
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let availability = usize::try_from(row.number)
            .ok()
            .and_then(|number| availabilities.get_mut(number));
        let availability = availability
            .ok_or_else(|| Error::fault("an availability that nobody has asked for"))?;
        let movie = row.movie_id.zip(row.movie_title);
        let availability = availability.get_or_insert_with(|| SeatAvailability {
            show_id: row.show_id,
            title: row.title,
            starts_at: row.starts_at,
            timezone: row.timezone,
            movie: movie.map(|(id, title)| BookedMovie {
                id,
                title,
                poster_url: row.movie_poster_url,
                runtime_minutes: row.movie_runtime_minutes,
            }),
            status: row.status,
            currency,
            max_seats_per_booking: usize::try_from(row.max_seats_per_booking).unwrap_or_default(),
            max_seats_per_user: row
                .max_seats_per_user
                .map(|seats| usize::try_from(seats).unwrap_or_default()),
            delayed_methods: row.delayed_methods,
            cancellation_policy: row.cancellation_policy.into(),
            holder: Holder::default(),
            seats: Vec::new(),
        });
        if row.is_first {
            availability.holder = Holder::counted(row.holds.0, row.seats, row.lapses);
        }
        availability
            .seats
            .extend(
                seat.map(|(((label, tier), sellable), price_minor)| WantedSeat {
                    label,
                    tier,
                    price_minor,
                    sellable,
                    claimed_by: claim.map(|((id, user_id), status)| (id, user_id, status)),
                }),
            );
    }
    Ok(availabilities)
}

/// The number, the show and the label of each seat; beside the first of each request, its buyer.
fn one_by_one<'a>(wanted: &'a [WantedSeats<'a>]) -> Vec<(i32, ShowId, &'a str, Option<&'a str>)> {
    let seats = wanted.iter().enumerate().flat_map(|(number, wanted)| {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        wanted.labels.iter().enumerate().map(move |(place, label)| {
            let user_id = (place == 0).then_some(wanted.user_id.as_str());
            (number, wanted.show_id, label.as_str(), user_id)
        })
    });
    seats.collect()
}
