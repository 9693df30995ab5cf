-- Bookings are held, and payments settled, many in one statement: what has to be done for each of them is done for all at
-- once, or costs less.

-- The jobs that end the holds of new bookings, as in 0004 put where the queue keeps them; where that does not work for all of
-- them, by add_job.
create function bookings_enqueue_ends() returns trigger language plpgsql as $$
declare
  enqueued bigint;
begin
  insert into graphile_worker._private_jobs (task_id, payload, run_at, max_attempts, key)
  select tasks.id, json_build_object('kind', 'endHold', 'bookingId', held.id), held.hold_expires_at, 4000,
         'end-hold-' || held.id
  from held
  join graphile_worker._private_tasks as tasks on tasks.identifier = 'holdfast'
  where held.hold_expires_at is not null
  on conflict (key) do nothing;
  get diagnostics enqueued = row_count;
  if enqueued < (select count(*) from held where hold_expires_at is not null) then
    perform graphile_worker.add_job(
      'holdfast', json_build_object('kind', 'endHold', 'bookingId', held.id), run_at => held.hold_expires_at,
      max_attempts => 4000, job_key => 'end-hold-' || held.id
    )
    from held
    where held.hold_expires_at is not null;
  end if;
  return null;
end $$;
create trigger bookings_enqueue_ends after insert on bookings
  referencing new table as held for each statement execute function bookings_enqueue_ends();

-- A hold that is prolonged ends later.
create or replace function bookings_enqueue_end() returns trigger language plpgsql as $$
begin
  perform graphile_worker.add_job(
    'holdfast', json_build_object('kind', 'endHold', 'bookingId', new.id), run_at => new.hold_expires_at,
    max_attempts => 4000, job_key => 'end-hold-' || new.id
  );
  return null;
end $$;
drop trigger bookings_enqueue_end on bookings;
create trigger bookings_enqueue_end after update of hold_expires_at on bookings
  for each row when (new.hold_expires_at is not null) execute function bookings_enqueue_end();

-- Events that came before their attempts.
create or replace function checkout_attempts_wake_events() returns trigger language plpgsql as $$
begin
  perform graphile_worker.add_job(
    'holdfast',
    json_build_object('kind', 'settleEvent', 'eventId', e.id),
    job_key => 'settle-' || e.id,
    run_at => made.created_at,
    max_attempts => 4000
  )
  from made
  join payment_events e on e.attempt_id = made.id and e.status = 'deferred';
  return null;
end $$;
drop trigger checkout_attempts_wake_events on checkout_attempts;
create trigger checkout_attempts_wake_events after insert on checkout_attempts
  referencing new table as made for each statement execute function checkout_attempts_wake_events();

-- The sum on a booking is what its applied payments say, in its currency: asked in one look instead of two.
create or replace function payments_assert_sum(booking uuid) returns void language plpgsql as $$
begin
  if exists (
    select
    from bookings b
    left join payments p on p.booking_id = b.id and p.disposition = 'applied'
    where b.id = booking
    group by b.id
    having b.paid_minor <> coalesce(sum(p.amount_minor), 0) or bool_or(p.currency <> b.currency)
  ) then
    raise exception 'the money of booking % does not add up', booking
      using errcode = 'check_violation', constraint = 'bookings_paid_is_payments';
  end if;
end $$;
