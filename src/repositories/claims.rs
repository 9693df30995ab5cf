//! What a booking reserved, claimed once more.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::ids::BookingId;
use crate::error::Result;

/// Claims what a booking reserved again, if it is still on sale; the booking must be live again.
/// False if not all of it could be claimed: the caller must roll back.
pub async fn claim_again(db: &mut Connection, id: BookingId, now: DateTime<Utc>) -> Result<bool> {
    let is_complete = sqlx::query_scalar!(
        r#"with wanted as (
             select booking.id, booking.show_id, seat.label
             from bookings as booking
             join shows on shows.id = booking.show_id and shows.status = 'on_sale'
               and shows.starts_at > $2
             cross join unnest(booking.seats) as seat (label)
             where booking.id = $1
           ), claim as (
             insert into seat_claims (show_id, label, booking_id)
             select wanted.show_id, wanted.label, wanted.id
             from wanted
             join show_seats as seat using (show_id, label)
             where seat.sellable
             order by wanted.label collate "C"
             on conflict (show_id, label) do nothing
             returning label
           ), slot as (
             insert into slot_claims (booking_id, service_id, resource_id, during)
             select booking.id, booking.service_id, booking.resource_id,
                    tstzrange(booking.slot_starts_at,
                              booking.slot_ends_at + make_interval(mins => buffer_minutes))
             from bookings as booking
             join services on services.id = booking.service_id
             where booking.id = $1 and booking.slot_starts_at > $2
             on conflict do nothing
             returning booking_id
           )
           select case kind
               when 'service' then exists (select from slot)
               else (select count(*) from claim) = cardinality(seats)
             end as "is_complete!"
           from bookings
           where id = $1"#,
        id as _,
        now,
    )
    .fetch_one(db)
    .await?;
    Ok(is_complete)
}
