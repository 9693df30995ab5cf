-- What there is to book: movies, their shows, and the seats of each show.

create table movies (
  id uuid primary key,
  title text not null check (title <> ''),
  overview text,
  runtime_minutes int check (runtime_minutes > 0),
  release_date date,
  genres text[] not null default '{}',
  poster_url text,
  created_at timestamptz not null
);

create type show_status as enum ('on_sale', 'closed', 'cancelled');

create table shows (
  id uuid primary key,
  movie_id uuid references movies,
  title text not null check (title <> ''),
  starts_at timestamptz not null,
  -- The instant is UTC; the IANA zone says what the clock on the wall shows, also across a change of daylight saving.
  timezone text not null check (timezone <> ''),
  currency text not null check (currency ~ '^[a-z]{3}$'),
  max_seats_per_booking int not null check (max_seats_per_booking between 1 and 100),
  status show_status not null default 'on_sale',
  cancellation_policy jsonb not null,
  -- Goes up whenever seats or prices change, so that whoever keeps a layout in memory learns that it is old.
  layout_version bigint not null default 1,
  created_at timestamptz not null
);
create index shows_by_start on shows (starts_at, id);
create index shows_by_movie on shows (movie_id, starts_at);

create table show_tiers (
  show_id uuid not null references shows,
  name text not null check (name <> ''),
  position int not null,
  price_minor bigint not null check (price_minor >= 0),
  primary key (show_id, name)
);

-- The seat map. A blocked seat is not sellable; a label that is not here cannot be booked.
create table show_seats (
  show_id uuid not null references shows,
  label text not null collate "C" check (label <> ''),
  -- Natural order (A2 before A10), so that no query has to parse labels.
  position int not null,
  tier text not null,
  sellable boolean not null default true,
  primary key (show_id, label),
  foreign key (show_id, tier) references show_tiers (show_id, name),
  -- The target of the claims' foreign key: only a sellable seat can be claimed.
  constraint show_seats_sellable_key unique (show_id, label, sellable)
);

-- Forbids a layout that changes under an unchanged version: a seat map in memory would show seats that are gone.
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
