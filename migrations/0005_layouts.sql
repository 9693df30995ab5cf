-- What a show's seats are, and what they cost, changes seldom. Whoever keeps it in memory learns by the version that it
-- has changed.
alter table shows add column layout_version bigint not null default 1;

create function shows_have_new_layout() returns trigger language plpgsql as $$
begin
  update shows set layout_version = layout_version + 1 where id in (select show_id from changed);
  return null;
end $$;
create trigger show_seats_added after insert on show_seats
  referencing new table as changed for each statement execute function shows_have_new_layout();
create trigger show_seats_changed after update on show_seats
  referencing new table as changed for each statement execute function shows_have_new_layout();
create trigger show_seats_removed after delete on show_seats
  referencing old table as changed for each statement execute function shows_have_new_layout();
create trigger show_tiers_changed after update on show_tiers
  referencing new table as changed for each statement execute function shows_have_new_layout();
