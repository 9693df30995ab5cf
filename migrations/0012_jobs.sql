-- The job queue as the rest of the schema sees it. The queue is graphile_worker's, which brings its own schema up to date
-- before these files run; this is the one file of SQL that knows its private tables, and `tests/commands/jobs.rs` fails
-- when they change.

insert into graphile_worker._private_tasks (identifier) values ('holdfast') on conflict do nothing;

-- Enqueues jobs, one per key, and says how many; a job with the same key that is not running takes the new time, and one
-- that is running stays and runs again then. The keys must differ; they are taken in their order, so that two who enqueue
-- the same never deadlock.
--
-- It does what the library's add_jobs does, but without its notification: a transaction that notifies commits under a
-- lock of the whole server, which makes all that commit wait for each other. Workers look for jobs every second instead.
-- Commits per second over those of a bare insert, by 32 and by 64 clients: add_job 0.05 and 0.05, pg_notify alone 0.06 and
-- 0.09, an insert into the table of jobs 0.59 and 0.52, this 0.58 and 0.40.
create function enqueue_jobs(keys text[], payloads json[], run_at timestamptz[], attempts_max int)
returns bigint language plpgsql as $$
declare
  enqueued bigint;
begin
  -- Nearly every job is new: one insert.
  insert into graphile_worker._private_jobs (task_id, payload, run_at, max_attempts, key)
  select tasks.id, job.payload, job.run_at, attempts_max, job.key
  from unnest(keys, payloads, run_at) as job (key, payload, run_at)
  join graphile_worker._private_tasks as tasks on tasks.identifier = 'holdfast'
  order by job.key
  on conflict (key) do nothing;
  get diagnostics enqueued = row_count;
  if enqueued = cardinality(keys) then
    return enqueued;
  end if;

  perform from graphile_worker._private_jobs as jobs where jobs.key = any(keys) order by jobs.key for update;
  -- One that is running, or buried, gives its key up, and is not tried again.
  with retired as (
    update graphile_worker._private_jobs as jobs
    set key = null, attempts = jobs.max_attempts, updated_at = now()
    where jobs.key = any(keys) and jobs.is_available is not true
    returning jobs.id
  )
  insert into graphile_worker._private_job_retirements (id) select id from retired on conflict do nothing;

  insert into graphile_worker._private_jobs as jobs (task_id, payload, run_at, max_attempts, key)
  select tasks.id, job.payload, job.run_at, attempts_max, job.key
  from unnest(keys, payloads, run_at) as job (key, payload, run_at)
  join graphile_worker._private_tasks as tasks on tasks.identifier = 'holdfast'
  order by job.key
  on conflict (key) do update
  set payload = excluded.payload, run_at = excluded.run_at, max_attempts = excluded.max_attempts, attempts = 0,
      last_error = null, revision = jobs.revision + 1, updated_at = now();
  get diagnostics enqueued = row_count;
  if enqueued <> cardinality(keys) then
    raise exception 'the queue does not know the task of our jobs' using errcode = 'foreign_key_violation';
  end if;
  return enqueued;
end $$;

-- The jobs that there are, for admins, tests and the runbook. Simple enough to be updated through.
create view jobs as
select id, payload ->> 'kind' as kind, (payload ->> 'bookingId')::uuid as booking_id, payload, key,
       case when locked_at is not null then 'running'
            when attempts >= max_attempts then 'buried'
            when attempts > 0 then 'retrying'
            else 'queued' end as state,
       attempts, max_attempts, last_error, run_at, locked_at, locked_by, created_at
from graphile_worker._private_jobs;

-- Puts the next try of a job off that has failed after so many tries, by the clock that the queue goes by. One that was
-- asked for again since has had no tries, and keeps its time.
create function put_off_job(job_id bigint, failed_attempts smallint, pause interval) returns void language sql as $$
  select from jobs where id = job_id and attempts = failed_attempts for update;
  select graphile_worker.reschedule_jobs(array[job_id], run_at => now() + pause)
  from jobs where id = job_id and attempts = failed_attempts;
$$;

-- Brings forward every job that has failed and would be tried again only after this. The queue's own pauses grow to hours,
-- and its worker may have died before it could shorten one.
create function bring_jobs_forward(latest timestamptz) returns void language sql as $$
  select graphile_worker.reschedule_jobs(array_agg(id), run_at => latest)
  from jobs where state = 'retrying' and run_at > latest
  having count(*) > 0;
$$;

-- Brings forward the jobs that a clock which was ahead has put off for longer than their kind may wait: until the latest
-- time of the payload of that kind. How long the end of a hold may wait its booking says: until the hold ends, until
-- `latest_look` while a bank has not decided, and until `latest_retry` once it is cancelled.
create function bring_misdated_jobs_forward(
  payloads json[], latest timestamptz[], latest_look timestamptz, latest_retry timestamptz
) returns void language sql as $$
  select graphile_worker.reschedule_jobs(array[id], run_at => due)
  from (
    select jobs.id, jobs.run_at,
           case when jobs.kind <> 'endHold' then allowed.until
                when bookings.status = 'pending' and bookings.cancel_requested_at is not null then latest_retry
                when bookings.status = 'pending' then bookings.hold_expires_at
                when bookings.status = 'processing' then greatest(bookings.hold_expires_at, latest_look)
                else latest_look end as due
    from unnest(payloads, latest) as allowed (payload, until)
    -- Most jobs are ends of holds, and need no look at their bookings.
    join jobs on jobs.kind = allowed.payload ->> 'kind' and jobs.run_at > allowed.until
    left join bookings on bookings.id = jobs.booking_id
    where jobs.state = 'queued'
  ) as job
  where run_at > due;
$$;

-- Has jobs wait that are done again and again, each for so many seconds from now on at most, by the clock that the queue
-- goes by. One that waits already keeps its time and its tries, so that it is one job however many processes keep it; one
-- that was put off further is brought forward, as a clock was ahead; a buried one begins anew. One that runs is left alone.
create function keep_jobs_waiting(keys text[], payloads json[], seconds bigint[], attempts_max int)
returns void language sql as $$
  insert into graphile_worker._private_jobs as jobs (task_id, payload, run_at, max_attempts, key)
  select tasks.id, job.payload, now() + job.seconds * interval '1 second', attempts_max, job.key
  from unnest(keys, payloads, seconds) as job (key, payload, seconds)
  join graphile_worker._private_tasks as tasks on tasks.identifier = 'holdfast'
  order by job.key
  on conflict (key) do update
  set run_at = excluded.run_at, updated_at = now(), revision = jobs.revision + 1,
      attempts = case when jobs.attempts < jobs.max_attempts then jobs.attempts else 0 end
  where jobs.locked_at is null
    and (jobs.run_at > excluded.run_at or jobs.attempts >= jobs.max_attempts);
$$;

-- Tries a buried job again at once.
create function retry_job(job_id bigint) returns void language sql as $$
  select graphile_worker.reschedule_jobs(array[job_id], run_at => now(), attempts => 0);
$$;

-- Forgets jobs that were asked for again while they ran, and then failed or lost their worker: others have taken their
-- place, and they would lie there for ever.
create function forget_replaced_jobs() returns void language sql as $$
  delete from graphile_worker._private_jobs where key is null and attempts >= max_attempts and locked_at is null;
$$;
