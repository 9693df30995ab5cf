-- Shows that admins have cancelled: which bookings that ends, and what has become of each.

-- Refuses to sell a show again that is cancelled: its bookings are being ended, one after the other.
create function shows_refuse_revival() returns trigger language plpgsql as $$
begin
  raise exception 'the show % is cancelled for good', old.id
    using errcode = 'check_violation', constraint = 'shows_cancelled_for_good';
end $$;
create trigger shows_cancelled_for_good before update of status on shows for each row
  when (old.status = 'cancelled' and new.status <> 'cancelled') execute function shows_refuse_revival();

create table runs (
  id uuid primary key,
  -- A show is cancelled once: whoever wants it again has what has failed tried again.
  show_id uuid not null constraint runs_one_of_show unique references shows,
  reason text not null check (reason <> ''),
  created_at timestamptz not null,
  -- Since when what has failed is tried again; at first, when it was made.
  begun_at timestamptz not null,
  -- When nothing more was left to happen by itself.
  finished_at timestamptz
);
create index runs_unfinished on runs (begun_at) where finished_at is null;

-- Refuses a run that ends the bookings of a show which is sold.
create function runs_check_show() returns trigger language plpgsql as $$
begin
  if not exists (select from shows where id = new.show_id and status = 'cancelled') then
    raise exception 'the show % is not cancelled', new.show_id
      using errcode = 'check_violation', constraint = 'runs_of_cancelled_show';
  end if;
  return new;
end $$;
create trigger runs_of_cancelled_show before insert on runs for each row execute function runs_check_show();

create table run_bookings (
  run_id uuid not null references runs,
  -- No foreign key: each would lock a booking that is being paid, and bookings are never deleted.
  booking_id uuid not null,
  -- waiting: nothing was done about it yet, or it is to be tried again. under_way: it is being ended, or its money is on
  -- its way back.
  state text not null default 'waiting' check (state in ('waiting', 'under_way', 'done', 'failed')),
  -- Why not all of its money goes back, in a sentence for people.
  error text,
  -- When something was first done about it, or again.
  begun_at timestamptz,
  -- When it is looked at next.
  look_at timestamptz not null,
  primary key (run_id, booking_id),
  constraint run_bookings_begun_has_time check ((state = 'waiting') = (begun_at is null)),
  constraint run_bookings_failed_has_error check ((state = 'failed') = (error is not null))
);
create index run_bookings_open on run_bookings (run_id, look_at) where state in ('waiting', 'under_way');

-- Refuses to end a booking of another show: looked up once per statement, as all of a show come together.
create function run_bookings_check_show() returns trigger language plpgsql as $$
begin
  if exists (
    select from added
    join runs on runs.id = added.run_id
    left join bookings on bookings.id = added.booking_id
    where bookings.show_id is distinct from runs.show_id
  ) then
    raise exception 'a run ends a booking that is not of its show'
      using errcode = 'check_violation', constraint = 'run_bookings_of_show';
  end if;
  return null;
end $$;
create trigger run_bookings_of_show after insert on run_bookings
  referencing new table as added for each statement execute function run_bookings_check_show();

-- Refuses, at every commit, a run that is over while a booking of it is not.
create function runs_assert_over(run uuid) returns void language plpgsql as $$
begin
  if exists (
    select from runs r
    join run_bookings b on b.run_id = r.id
    where r.id = run and r.finished_at is not null and b.state in ('waiting', 'under_way')
  ) then
    raise exception 'the run % is over, and one of its bookings is not', run
      using errcode = 'check_violation', constraint = 'runs_over_has_none_open';
  end if;
end $$;
create function runs_check_over() returns trigger language plpgsql as $$
begin
  perform runs_assert_over(new.id);
  return null;
end $$;
create function run_bookings_check_over() returns trigger language plpgsql as $$
begin
  -- Who ends the run holds its row.
  perform from runs where id = new.run_id for share;
  perform runs_assert_over(new.run_id);
  return null;
end $$;
create constraint trigger runs_over_has_none_open after insert or update of finished_at on runs
  deferrable initially deferred for each row when (new.finished_at is not null) execute function runs_check_over();
create constraint trigger run_bookings_new_of_running after insert on run_bookings
  deferrable initially deferred for each row when (new.state in ('waiting', 'under_way'))
  execute function run_bookings_check_over();
create constraint trigger run_bookings_again_of_running after update of state on run_bookings
  deferrable initially deferred for each row when (old.state = 'failed' and new.state <> 'failed')
  execute function run_bookings_check_over();

-- Refuses to rewrite or forget what a run was about, and to do again what is done.
create function runs_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'what a run was about is neither rewritten nor forgotten'
    using errcode = 'check_violation', constraint = 'runs_only_go_forward';
end $$;
create trigger runs_only_go_forward before update on runs for each row
  when ((old.id, old.show_id, old.reason, old.created_at) is distinct from
        (new.id, new.show_id, new.reason, new.created_at))
  execute function runs_refuse_rewrite();
create trigger runs_are_kept before delete on runs for each row execute function runs_refuse_rewrite();
create trigger runs_no_truncate before truncate on runs for each statement execute function runs_refuse_rewrite();
create trigger run_bookings_only_go_forward before update on run_bookings for each row
  when ((old.run_id, old.booking_id) is distinct from (new.run_id, new.booking_id)
    or (old.state = 'done' and new.state <> 'done')
    or (old.state = 'under_way' and new.state = 'waiting'))
  execute function runs_refuse_rewrite();
create trigger run_bookings_are_kept before delete on run_bookings
  for each row execute function runs_refuse_rewrite();
create trigger run_bookings_no_truncate before truncate on run_bookings
  for each statement execute function runs_refuse_rewrite();

-- An earlier binary knows neither the job that goes on with a run nor the event of its bookings.
update schema_floor set version = 22;
