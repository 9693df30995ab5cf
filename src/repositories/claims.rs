//! What a booking reserved, claimed once more, and its voucher, used once more.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::ids::{BookingId, VoucherId};
use crate::error::Result;

/// What a booking has again of what it reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedAgain {
    /// The resource whose time it has instead, if its own had been taken.
    pub moved_to: Option<String>,
}

/// Claims what a booking reserved again, if it is still on sale, and uses its voucher again; the
/// booking must be live again. The time of a slot may be another resource's: who gives it was not
/// for the buyer to choose. `None` if not all of it could be claimed: the caller must roll back.
///
/// A voucher that cannot be used any more does not matter: the buyer has paid the price that they
/// were asked for. If others have used it up meanwhile, it is used beyond its limit.
pub async fn claim_again(
    db: &mut Connection,
    id: BookingId,
    now: DateTime<Utc>,
) -> Result<Option<ClaimedAgain>> {
    let claimed = sqlx::query!(
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
             -- The resource that it had, else the first that has the time: once one is claimed, the
             -- booking has its slot, and all others conflict.
             insert into slot_claims (booking_id, service_id, resource_id, during)
             select booking.id, booking.service_id, resource.id,
                    tstzrange(booking.slot_starts_at,
                              booking.slot_ends_at + make_interval(mins => buffer_minutes))
             from bookings as booking
             join services on services.id = booking.service_id
             join service_resources as resource on resource.service_id = services.id
             where booking.id = $1 and booking.slot_starts_at > $2
             order by (resource.id = booking.resource_id) desc, resource.position
             on conflict do nothing
             returning resource_id
           ), moved as (
             update bookings
             set resource_id = slot.resource_id
             from slot
             where bookings.id = $1 and bookings.resource_id <> slot.resource_id
           )
           select case kind
               when 'service' then exists (select from slot)
               else (select count(*) from claim) = cardinality(seats)
             end as "is_complete!",
             (
               select name
               from service_resources
               join slot on slot.resource_id = service_resources.id
               where slot.resource_id <> bookings.resource_id
             ) as moved_to
           from bookings
           where id = $1"#,
        id as _,
        now,
    )
    .fetch_one(&mut *db)
    .await?;
    if !claimed.is_complete {
        return Ok(None);
    }
    redeem_again(db, id).await?;
    Ok(Some(ClaimedAgain {
        moved_to: claimed.moved_to,
    }))
}

async fn redeem_again(db: &mut Connection, id: BookingId) -> Result<()> {
    let voucher = sqlx::query_scalar!(
        r#"select voucher.id as "id: VoucherId"
           from vouchers as voucher
           join voucher_redemptions as redemption on redemption.voucher_id = voucher.id
           where redemption.booking_id = $1
           for no key update of voucher"#,
        id as _,
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(voucher_id) = voucher else {
        return Ok(());
    };
    // In a statement of its own, which sees what was committed while the lock was waited for.
    sqlx::query!(
        "update voucher_redemptions
         set live = true,
             beyond_limit = coalesce(
               voucher.max_uses <= (
                 select count(*) from voucher_redemptions where voucher_id = $2 and live
               ),
               false
             )
         from vouchers as voucher
         where booking_id = $1 and voucher.id = $2",
        id as _,
        voucher_id as _,
    )
    .execute(db)
    .await?;
    Ok(())
}
