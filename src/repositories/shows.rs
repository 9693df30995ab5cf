//! Shows, their tiers and their seats.

use chrono::{DateTime, Utc};

use super::StoredPolicy;
use crate::connection::Connection;
use crate::domain::catalogue::{Movie, MovieDetails, NewShow, Show, ShowStatus, Tier};
use crate::domain::ids::{MovieId, ShowId};
use crate::domain::money::Money;
use crate::domain::seats::{Layout, PricedSeat, TakenSeats};
use crate::error::{Error, Result};

/// The constraint that a show's movie is one of the catalogue.
pub const MOVIE_KEY: &str = "shows_movie_id_fkey";

/// Stores a new show with its tiers and seats.
pub async fn insert(db: &mut Connection, show: &NewShow, now: DateTime<Utc>) -> Result<()> {
    let (names, prices): (Vec<String>, Vec<i64>) = show
        .tiers
        .iter()
        .map(|tier| (tier.name.clone(), tier.price.amount_minor))
        .unzip();
    let labels: Vec<String> = show.seats.iter().map(|seat| seat.label.clone()).collect();
    let tiers: Vec<String> = show.seats.iter().map(|seat| seat.tier.clone()).collect();
    let sellable: Vec<bool> = show.seats.iter().map(|seat| seat.sellable).collect();
    sqlx::query!(
        "with show as (
           insert into shows (id, movie_id, title, starts_at, timezone, currency,
                              max_seats_per_booking, cancellation_policy, created_at,
                              max_seats_per_user, delayed_methods)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $15, $16)
         ), tiers as (
           insert into show_tiers (show_id, name, position, price_minor)
           select $1, name, position, price_minor
           from unnest($10::text[], $11::bigint[]) with ordinality
             as tier (name, price_minor, position)
         )
         insert into show_seats (show_id, label, position, tier, sellable)
         select $1, label, position, tier, sellable
         from unnest($12::text[], $13::text[], $14::boolean[]) with ordinality
           as seat (label, tier, sellable, position)",
        show.id as _,
        show.movie_id as _,
        show.title,
        show.starts_at,
        show.timezone.name(),
        show.currency.as_str(),
        i32::try_from(show.max_seats_per_booking).unwrap_or(i32::MAX),
        StoredPolicy::from(show.cancellation_policy.as_slice()) as _,
        now,
        &names,
        &prices,
        &labels,
        &tiers,
        &sellable,
        show.max_seats_per_user
            .map(|seats| i32::try_from(seats).unwrap_or(i32::MAX)),
        show.delayed_methods,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Which shows are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only shows of this movie.
    pub movie_id: Option<MovieId>,
    /// Only shows that begin at or after this.
    pub from: Option<DateTime<Utc>>,
    /// Only shows that begin before this.
    pub to: Option<DateTime<Utc>>,
    /// Only shows after this one, in the order of the list.
    pub after: Option<(DateTime<Utc>, ShowId)>,
}

struct Row {
    id: ShowId,
    title: String,
    starts_at: DateTime<Utc>,
    timezone: String,
    status: ShowStatus,
    currency: String,
    max_seats_per_booking: i32,
    cancellation_policy: StoredPolicy,
    tier_names: Vec<String>,
    tier_prices: Vec<i64>,
    seats_total: i64,
    seats_free: i64,
    movie_id: Option<MovieId>,
    movie_title: Option<String>,
    overview: Option<String>,
    runtime_minutes: Option<i32>,
    release_date: Option<chrono::NaiveDate>,
    genres: Option<Vec<String>>,
    poster_url: Option<String>,
}

/// Shows with all that is listed of them, as the given end of the query chooses them.
macro_rules! listed {
    ($which:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            r#"select shows.id as "id: _", shows.title, starts_at, timezone,
                       status as "status: _", currency,
                       max_seats_per_booking, cancellation_policy as "cancellation_policy: _",
                       tiers.names as "tier_names!", tiers.prices as "tier_prices!",
                       seats.total as "seats_total!", seats.free as "seats_free!",
                       movies.id as "movie_id?: _", movies.title as "movie_title?",
                       overview as "overview?",
                       runtime_minutes as "runtime_minutes?", release_date as "release_date?",
                       genres as "genres?", poster_url as "poster_url?"
                from shows
                left join movies on movies.id = shows.movie_id
                cross join lateral (
                  select array_agg(name order by position) as names,
                         array_agg(price_minor order by position) as prices
                  from show_tiers
                  where show_id = shows.id
                ) as tiers
                cross join lateral (
                  select count(*) as total,
                         count(*) filter (where sellable)
                           - (select count(*) from seat_claims where show_id = shows.id) as free
                  from show_seats
                  where show_id = shows.id
                ) as seats
               "# + $which,
            $($argument),*
        )
    };
}

/// Cancels a show: nothing of it is sold any more. Locks it, so that of two who cancel it the
/// second sees what the first has done. False if there is no such show.
pub async fn cancel(db: &mut Connection, id: ShowId) -> Result<bool> {
    let cancelled = sqlx::query!(
        "update shows set status = 'cancelled' where id = $1",
        id as _
    )
    .execute(db)
    .await?;
    Ok(cancelled.rows_affected() == 1)
}

/// Shows, soonest first, at most `limit`. Its bounds are never null, so that one plan serves all.
pub async fn list(db: &mut Connection, filter: &Filter, limit: i64) -> Result<Vec<Show>> {
    let (after_start, after_id) = filter.after.unzip();
    let rows = listed!(
        "where ($1::uuid is null or shows.movie_id = $1)
           and starts_at >= coalesce($2::timestamptz, '-infinity')
           and starts_at < coalesce($3::timestamptz, 'infinity')
           and (starts_at, shows.id) > (
             coalesce($4::timestamptz, '-infinity'),
             coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
           )
         order by starts_at, shows.id
         limit $6",
        filter.movie_id as _,
        filter.from as _,
        filter.to as _,
        after_start as _,
        after_id as _,
        limit
    );
    rows.fetch_all(db)
        .await?
        .into_iter()
        .map(Show::try_from)
        .collect()
}

/// The shows of these movies that begin after `now` and are not cancelled, soonest first: of each
/// movie at most `limit`, however many another has.
pub async fn list_coming(
    db: &mut Connection,
    movie_ids: &[MovieId],
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Show>> {
    let rows = listed!(
        "where shows.id in (
           select coming.id
           from unnest($1::uuid[]) as movie (id)
           cross join lateral (
             select show.id
             from shows as show
             where show.movie_id = movie.id and show.starts_at > $2 and show.status <> 'cancelled'
             order by show.starts_at, show.id
             limit $3
           ) as coming
         )
         order by starts_at, shows.id",
        movie_ids as _,
        now,
        limit
    );
    rows.fetch_all(db)
        .await?
        .into_iter()
        .map(Show::try_from)
        .collect()
}

/// The show, if there is one.
pub async fn find(db: &mut Connection, id: ShowId) -> Result<Option<Show>> {
    listed!("where shows.id = $1", id as _)
        .fetch_optional(db)
        .await?
        .map(Show::try_from)
        .transpose()
}

impl TryFrom<Row> for Show {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let tiers = row.tier_names.into_iter().zip(row.tier_prices);
        Ok(Self {
            id: row.id,
            movie: row.movie_id.zip(row.movie_title).map(|(id, title)| Movie {
                id,
                details: MovieDetails {
                    title,
                    overview: row.overview,
                    runtime_minutes: row.runtime_minutes,
                    release_date: row.release_date,
                    genres: row.genres.unwrap_or_default(),
                    poster_url: row.poster_url,
                },
            }),
            title: row.title,
            starts_at: row.starts_at,
            timezone: row.timezone,
            status: row.status,
            currency,
            tiers: tiers
                .map(|(name, price_minor)| Tier {
                    name,
                    price: Money::new(price_minor, currency),
                })
                .collect(),
            max_seats_per_booking: row.max_seats_per_booking,
            seats_total: row.seats_total,
            seats_free: row.seats_free,
            cancellation_policy: row.cancellation_policy.into(),
        })
    }
}

/// The seats of shows that somebody has, for those that there are. One round trip.
pub async fn taken_seats(db: &mut Connection, ids: &[ShowId]) -> Result<Vec<TakenSeats>> {
    let taken = sqlx::query_as!(
        TakenSeats,
        r#"select id as "show_id: _", layout_version,
                  array(select label from seat_claims where show_id = shows.id) as "all!",
                  array(
                    select unnest(seats)
                    from bookings
                    where show_id = shows.id and status in ('pending', 'processing', 'review')
                  ) as "held!"
           from shows
           where id = any($1)"#,
        ids as _,
    )
    .fetch_all(db)
    .await?;
    Ok(taken)
}

/// The seats of a show and what they cost. One round trip.
pub async fn layout(db: &mut Connection, id: ShowId) -> Result<Layout> {
    let rows = sqlx::query!(
        "select shows.layout_version, shows.currency, seat.label, seat.tier, seat.sellable,
                show_tiers.price_minor
         from shows
         join show_seats as seat on seat.show_id = shows.id
         join show_tiers on show_tiers.show_id = seat.show_id and show_tiers.name = seat.tier
         where shows.id = $1
         order by seat.position",
        id as _,
    )
    .fetch_all(db)
    .await?;
    let version = rows.first().map_or(0, |row| row.layout_version);
    let seats = rows.into_iter().map(|row| {
        let price = Money::new(row.price_minor, row.currency.parse().map_err(Error::Fault)?);
        Ok(PricedSeat {
            label: row.label,
            tier: row.tier,
            price,
            sellable: row.sellable,
        })
    });
    Ok(Layout {
        version,
        seats: seats.collect::<Result<_>>()?,
    })
}
