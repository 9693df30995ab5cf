-- A hold cannot be made or prolonged without the job that ends it, and costs no round trip for it.

insert into graphile_worker._private_tasks (identifier) values ('holdfast') on conflict do nothing;

-- A job that lies in the future is put where the queue keeps it, and not by add_job: that looks for one to replace, and
-- notifies every worker, each of which looks for work at once and finds none. Measured, this costs more than the hold, and a
-- notification makes all that commit wait for each other. The queue looks for what has become due by itself. Whatever does
-- not go this way goes by add_job.
create function bookings_enqueue_end() returns trigger language plpgsql as $$
declare
  task constant text := 'holdfast';
  attempts_max constant int := 4000;
  payload constant json := json_build_object('kind', 'endHold', 'bookingId', new.id);
  job_key constant text := 'end-hold-' || new.id;
begin
  insert into graphile_worker._private_jobs (task_id, payload, run_at, max_attempts, key)
  select tasks.id, payload, new.hold_expires_at, attempts_max, job_key
  from graphile_worker._private_tasks as tasks
  where tasks.identifier = task and tg_op = 'INSERT'
  on conflict (key) do nothing;
  if not found then
    perform graphile_worker.add_job(
      task, payload, run_at => new.hold_expires_at, max_attempts => attempts_max, job_key => job_key
    );
  end if;
  return null;
end $$;
create trigger bookings_enqueue_end after insert or update of hold_expires_at on bookings
  for each row when (new.hold_expires_at is not null) execute function bookings_enqueue_end();
