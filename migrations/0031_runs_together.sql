-- Runs that go on together, and whose bookings wait for days: they keep one pace, see what has changed without looking at
-- each booking, and take up again what was done and has come back.

alter table run_bookings
  -- The version of the booking when it was looked at last: another one says that there is something to see. Null where an
  -- earlier binary has looked.
  add column seen_version bigint;

-- Until when lasts what all runs together have taken on: one row, which whoever takes on more locks.
create table run_pace (
  is_only boolean primary key default true constraint run_pace_is_one check (is_only),
  lasts_until timestamptz not null
);
insert into run_pace (lasts_until) values ('epoch');
create function run_pace_refuse_loss() returns trigger language plpgsql as $$
begin
  raise exception 'without the pace of the runs none goes on'
    using errcode = 'check_violation', constraint = 'run_pace_is_kept';
end $$;
create trigger run_pace_is_kept before delete on run_pace for each row execute function run_pace_refuse_loss();
create trigger run_pace_no_truncate before truncate on run_pace for each statement execute function run_pace_refuse_loss();

-- Refuses to rewrite or forget what a run was about, and to do again what is done, unless money of it has come back or came
-- beside: a bank may send a refund back long after the run is over, and whoever cancels the show again wants it again.
drop trigger run_bookings_only_go_forward on run_bookings;
create trigger run_bookings_only_go_forward before update on run_bookings for each row
  when ((old.run_id, old.booking_id) is distinct from (new.run_id, new.booking_id)
    or (old.state = 'done' and new.state not in ('done', 'waiting'))
    or (old.state = 'under_way' and new.state = 'waiting'))
  execute function runs_refuse_rewrite();
create function run_bookings_check_again() returns trigger language plpgsql as $$
begin
  if not exists (select from refunds where booking_id = new.booking_id and status in ('failed', 'canceled'))
    and not exists (select from payments where booking_id = new.booking_id and disposition = 'surplus') then
    raise exception 'all money of the booking % has gone back', new.booking_id
      using errcode = 'check_violation', constraint = 'runs_only_go_forward';
  end if;
  return new;
end $$;
create trigger run_bookings_done_again before update of state on run_bookings for each row
  when (old.state = 'done' and new.state = 'waiting') execute function run_bookings_check_again();
drop trigger run_bookings_again_of_running on run_bookings;
create constraint trigger run_bookings_again_of_running after update of state on run_bookings
  deferrable initially deferred for each row
  when (old.state in ('failed', 'done') and new.state in ('waiting', 'under_way'))
  execute function run_bookings_check_over();
