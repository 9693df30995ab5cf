-- Bookings with their claims, attempts and events, and the jobs that end their holds.
with holder as materialized (
  -- Who holds something for one of these users in another process is waited for, and counted.
  select booking_id, holds, seats, lapses
  from lock_holders($30::uuid[], $31::text[], $32::uuid[], $33::boolean[],
                    $34::timestamptz[])
), wanted as (
  select booking.*, string_to_array(joined_seats, $22) as seats
  from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[],
              $6::booking_status[], $7::payment_option[], $8::text[], $9::bigint[],
              $10::bigint[], $11::jsonb[], $12::timestamptz[], $13::timestamptz[],
              $23::booking_kind[], $24::text[], $25::text[])
    as booking (id, reference, user_id, show_id, joined_seats, status, payment_option,
                currency, total_minor, due_minor, cancellation_policy, hold_expires_at,
                confirmed_at, kind, event_kind, event_payload)
  -- Before anything is stored: the new bookings do not count themselves, and the locks of users
  -- come before those of seats.
  cross join (select count(*) from holder) as counted
), booking as (
  insert into bookings (id, reference, user_id, kind, show_id, seats, status,
                        payment_option, currency, total_minor, due_minor,
                        cancellation_policy, hold_expires_at, confirmed_at, created_at,
                        updated_at)
  select id, reference, user_id, kind, show_id, seats, status, payment_option, currency,
         total_minor, due_minor, cancellation_policy, hold_expires_at, confirmed_at, $14,
         $14
  from wanted
), attempt as (
  insert into checkout_attempts (id, booking_id, part, ui, amount_minor, status,
                                 parameters, expires_at, created_at, updated_at)
  select id, booking_id, part, ui, amount_minor, 'creating', parameters, expires_at, $14,
         $14
  from unnest($15::uuid[], $16::uuid[], $17::payment_part[], $18::text[], $19::bigint[],
              $20::text[], $21::timestamptz[])
    as attempt (id, booking_id, part, ui, amount_minor, parameters, expires_at)
), happened as (
  insert into booking_events (booking_id, kind, payload, at)
  select id, event_kind, event_payload::json, $14
  from wanted
), claim as (
  insert into seat_claims (show_id, label, booking_id)
  select wanted.show_id, seat.label, wanted.id
  from wanted, unnest(wanted.seats) as seat (label)
  order by wanted.show_id, seat.label collate "C"
  on conflict (show_id, label) do nothing
  returning booking_id, label
)
select booking_id as "booking_id?: BookingId", label as "label?", null as "event_id?",
       null::json as "holds?: Json<Vec<UnpaidHold>>", null::bigint as "seats?",
       null::timestamptz[] as "lapses?"
from claim
union all
select null, null, id, null, null, null
from payment_events
where status = 'deferred' and attempt_id = any($15)
union all
select booking_id, null, null, holds, seats, lapses
from holder
union all
-- The ends of the holds are enqueued here; a count below zero adds no row.
select null, null, null, null, null, null where enqueue_jobs($26, $27::json[], $28, $29) < 0
