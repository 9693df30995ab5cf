-- A booking of a slot with its claim, its attempt and its event, and the job that ends its hold.
with holder as materialized (
  -- Who holds something for this user in another transaction is waited for, and counted.
  select holds, seats, lapses
  from lock_holders($31::uuid[], $32::text[], null, null, $33::timestamptz[])
), counted as (
  select count(*) from holder
), booking as (
  insert into bookings (id, reference, user_id, kind, seats, service_id, resource_id,
                        slot_starts_at, slot_ends_at, details, status, payment_option,
                        currency, total_minor, due_minor, cancellation_policy,
                        hold_expires_at, confirmed_at, created_at, updated_at)
  -- Not before that: the new booking does not count itself.
  select $1, $2, $3, 'service', '{}', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
         $16, $17, $17
  from counted
), attempt as (
  insert into checkout_attempts (id, booking_id, part, ui, amount_minor, status,
                                 parameters, expires_at, created_at, updated_at)
  select $18::uuid, $1, $19::payment_part, $20::text, $21::bigint, 'creating', $22::text,
         $23::timestamptz, $17, $17
  where $18::uuid is not null
), happened as (
  insert into booking_events (booking_id, kind, payload, at)
  values ($1, $24::text, $25::text::json, $17)
), claim as (
  insert into slot_claims (booking_id, service_id, resource_id, during)
  select $1, $4, $5, tstzrange($6, $26::timestamptz)
  from counted
  on conflict do nothing
  returning booking_id
)
select exists (select from claim) as "is_claimed!",
       array(
         select id from payment_events where status = 'deferred' and attempt_id = $18
       ) as "deferred_events!",
       (select holds from holder) as "holds?: Json<Vec<UnpaidHold>>",
       (select seats from holder) as "seats?",
       (select lapses from holder) as "lapses?",
       -- The end of the hold is enqueued here.
       enqueue_jobs($27, $28::json[], $29, $30)::bigint as jobs
