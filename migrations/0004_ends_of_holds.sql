-- A hold cannot be made or prolonged without the job that ends it, and costs no round trip for it.

create function bookings_enqueue_end() returns trigger language plpgsql as $$
begin
  perform graphile_worker.add_job(
    'holdfast',
    json_build_object('kind', 'endHold', 'bookingId', new.id),
    job_key => 'end-hold-' || new.id,
    -- A new booking has no job yet, and this mode does not look for one to replace: it costs a third.
    job_key_mode => case tg_op when 'INSERT' then 'unsafe_dedupe' else 'replace' end,
    run_at => new.hold_expires_at,
    max_attempts => 4000
  );
  return null;
end $$;
create trigger bookings_enqueue_end after insert or update of hold_expires_at on bookings
  for each row when (new.hold_expires_at is not null) execute function bookings_enqueue_end();
