-- Bookings, and the seats that they claim. What must never be true is refused here, so that a bug in our code becomes
-- an error and not a double sale.

create type booking_kind as enum ('show', 'service');
create type booking_status as enum
  ('pending', 'processing', 'confirmed', 'expired', 'cancelled', 'failed', 'review');
create type payment_option as enum ('full', 'half');

create table bookings (
  id uuid primary key,
  reference text not null constraint bookings_reference_key unique check (reference ~ '^HF-[0-9A-Z]{6}$'),
  user_id text not null references users,
  kind booking_kind not null,
  -- No foreign key to shows: every booking of a hot show would lock the one row (measured at a third of the
  -- throughput). A live booking must own seat claims of this very show, and claims reference the show's seats.
  show_id uuid,
  -- What was asked for, in natural order; it stays when the claims are released.
  seats text[] not null,
  -- Of a slot: whose time was asked for, and when; it stays when the claim is released. No foreign keys either: a live
  -- booking must own a slot claim of just this.
  service_id uuid,
  resource_id int,
  slot_starts_at timestamptz,
  slot_ends_at timestamptz,
  -- What the buyer of a service wants it to know.
  details jsonb,
  status booking_status not null,
  -- Whether the booking has what it reserves. One under review keeps it until a person has decided.
  live boolean not null generated always as (status in ('pending', 'processing', 'confirmed', 'review')) stored,
  payment_option payment_option not null default 'full',
  currency text not null check (currency ~ '^[a-z]{3}$'),
  total_minor bigint not null check (total_minor >= 0),
  -- Due for confirmation: the whole total, or the deposit.
  due_minor bigint not null,
  paid_minor bigint not null default 0,
  -- By how much less than was due a person has confirmed it; below 0 where more had come.
  conceded_minor bigint not null default 0,
  cancellation_policy jsonb not null,
  hold_expires_at timestamptz,
  confirmed_at timestamptz,
  -- Cancelling is an intent first: it is committed before Stripe is asked to close the session, so that whoever hears
  -- of the end, be it the webhook, ends the booking as cancelled.
  cancel_requested_at timestamptz,
  cancel_reason text,
  cancelled_at timestamptz,
  version bigint not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- Refuses a booking of nothing.
  constraint bookings_show_has_id check ((kind = 'show') = (show_id is not null)),
  constraint bookings_show_has_seats check (kind <> 'show' or cardinality(seats) > 0),
  constraint bookings_service_has_slot check (
    num_nonnulls(service_id, resource_id, slot_starts_at, slot_ends_at) = case kind when 'service' then 4 else 0 end
    and (kind <> 'service' or cardinality(seats) = 0)
  ),
  constraint bookings_slot_has_length check (slot_starts_at < slot_ends_at),
  -- Refuses sums that cannot be: more due, or more paid, than the total.
  constraint bookings_due_within_total check (due_minor between 0 and total_minor),
  constraint bookings_paid_within_total check (paid_minor >= 0 and paid_minor + conceded_minor <= total_minor),
  -- Refuses to confirm for nothing what costs something: all of it is due, or a deposit that is something.
  constraint bookings_due_is_priced check (
    case payment_option when 'full' then due_minor = total_minor else due_minor > 0 or total_minor = 0 end
  ),
  -- Refuses to confirm what is not paid, and to forget when it was confirmed.
  constraint bookings_confirmed_is_paid check (status <> 'confirmed' or paid_minor + conceded_minor >= due_minor),
  -- Refuses to confirm for nothing what costs something, whoever wants it.
  constraint bookings_conceded_is_rest check (conceded_minor = 0 or paid_minor > 0),
  constraint bookings_confirmed_has_time check (status <> 'confirmed' or confirmed_at is not null),
  -- Refuses a hold without an end.
  constraint bookings_hold_has_end check (status not in ('pending', 'processing') or hold_expires_at is not null),
  -- The target of the claims' foreign key: only a live booking keeps seats.
  constraint bookings_live_key unique (id, show_id, live)
);
create index bookings_by_user on bookings (user_id, id desc);
create index bookings_holds on bookings (hold_expires_at) where status in ('pending', 'processing');
-- Which of its seats a show only holds, for its seat map.
create index bookings_holding on bookings (show_id) where status in ('pending', 'processing', 'review');

-- Refuses a booking that comes back from its end unnoticed. Every change is a new version.
create function bookings_guard_update() returns trigger language plpgsql as $$
begin
  if new.status <> old.status and (old.status, new.status) not in (
    ('pending', 'processing'), ('pending', 'confirmed'), ('pending', 'expired'),
    ('pending', 'cancelled'), ('pending', 'failed'), ('pending', 'review'),
    ('processing', 'confirmed'), ('processing', 'failed'), ('processing', 'cancelled'), ('processing', 'review'),
    -- A balance of a wrong amount waits for a person.
    ('confirmed', 'cancelled'), ('confirmed', 'review'),
    ('expired', 'confirmed'), ('expired', 'review'),
    ('failed', 'confirmed'), ('failed', 'review'),
    ('cancelled', 'review'), ('review', 'confirmed'), ('review', 'cancelled')
  ) then
    raise exception 'a booking cannot go from % to %', old.status, new.status
      using errcode = 'check_violation', constraint = 'bookings_legal_move';
  end if;
  new.version := old.version + 1;
  return new;
end $$;
create trigger bookings_guard_update before update on bookings
  for each row execute function bookings_guard_update();

-- Refuses to let a buyer off without a person who decides so, when they resolve a review.
create function bookings_refuse_concession() returns trigger language plpgsql as $$
begin
  raise exception 'only a review can let booking % off', new.id
    using errcode = 'check_violation', constraint = 'bookings_conceded_in_review';
end $$;
create trigger bookings_conceded_in_review before update of conceded_minor on bookings for each row
  when (old.conceded_minor <> new.conceded_minor and (old.status <> 'review' or new.status <> 'confirmed'))
  execute function bookings_refuse_concession();
create trigger bookings_born_without_concession before insert on bookings for each row
  when (new.conceded_minor <> 0) execute function bookings_refuse_concession();

-- Refuses to rewrite what was sold, and for how much. The checks of seats and sums rely on it: they read the booking
-- without locking it. Which of a service's resources gives its time is not for the buyer to choose: that may change with
-- the claim.
create function bookings_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'what booking % has sold cannot be rewritten', old.id
    using errcode = 'check_violation', constraint = 'bookings_sale_is_final';
end $$;
create trigger bookings_sale_is_final
  before update of id, kind, show_id, seats, service_id, slot_starts_at, slot_ends_at, payment_option, currency,
    total_minor, due_minor, cancellation_policy
  on bookings for each row
  when ((old.id, old.kind, old.show_id, old.seats, old.service_id, old.slot_starts_at, old.slot_ends_at,
         old.payment_option, old.currency, old.total_minor, old.due_minor, old.cancellation_policy)
    is distinct from
    (new.id, new.kind, new.show_id, new.seats, new.service_id, new.slot_starts_at, new.slot_ends_at,
     new.payment_option, new.currency, new.total_minor, new.due_minor, new.cancellation_policy))
  execute function bookings_refuse_rewrite();

-- One row is one seat taken, held or sold; release deletes it. The primary key refuses the double sale.
create table seat_claims (
  show_id uuid not null,
  label text not null collate "C",
  booking_id uuid not null,
  live boolean not null default true check (live),
  sellable boolean not null default true check (sellable),
  primary key (show_id, label),
  -- Refuses an unknown or a blocked seat.
  constraint seat_claims_seat_is_sellable
    foreign key (show_id, label, sellable) references show_seats (show_id, label, sellable),
  -- Refuses a dead booking that keeps a seat.
  constraint seat_claims_booking_is_live
    foreign key (booking_id, show_id, live) references bookings (id, show_id, live)
);
create index seat_claims_by_booking on seat_claims (booking_id);

-- Refuses a live booking that does not hold exactly the seats it names, each once, at every commit.
create function bookings_assert_seats(booking uuid) returns void language plpgsql as $$
begin
  if exists (
    select from bookings b
    where b.id = booking
      and b.live
      and b.kind = 'show'
      and array(select wanted.label from unnest(b.seats) as wanted (label) order by wanted.label collate "C")
        <> array(select c.label from seat_claims c where c.booking_id = b.id order by c.label)
  ) then
    raise exception 'the live booking % does not hold exactly the seats that it names', booking
      using errcode = 'check_violation', constraint = 'bookings_live_has_seats';
  end if;
end $$;
create function bookings_check_seats() returns trigger language plpgsql as $$
begin
  perform bookings_assert_seats(new.id);
  return null;
end $$;
create function seat_claims_check_booking() returns trigger language plpgsql as $$
begin
  perform bookings_assert_seats(old.booking_id);
  if tg_op = 'UPDATE' then
    perform bookings_assert_seats(new.booking_id);
  end if;
  return null;
end $$;
-- Seats change hands only when a booking becomes live or ceases to be, and by the claims themselves. A booking that
-- goes from pending to confirmed keeps what it has, and a payment need not look for that.
create constraint trigger bookings_live_has_seats after insert on bookings
  deferrable initially deferred for each row execute function bookings_check_seats();
create constraint trigger bookings_live_again_has_seats after update of status on bookings
  deferrable initially deferred for each row when (old.live <> new.live) execute function bookings_check_seats();
create constraint trigger seat_claims_of_live_booking after update or delete on seat_claims
  deferrable initially deferred for each row execute function seat_claims_check_booking();

-- Refuses a later claim of a seat that its booking does not name: looked up once per statement, which is cheaper than a
-- deferred check of each row.
create function seat_claims_check_named() returns trigger language plpgsql as $$
begin
  if exists (
    select from claimed
    join bookings on bookings.id = claimed.booking_id
    where (claimed.label = any (bookings.seats)) is not true
  ) then
    raise exception 'a booking claims a seat that it does not name'
      using errcode = 'check_violation', constraint = 'bookings_live_has_seats';
  end if;
  return null;
end $$;
create trigger seat_claims_are_named after insert on seat_claims
  referencing new table as claimed for each statement execute function seat_claims_check_named();

-- Refuses to release the claims of all bookings at once, which no check of a row would see.
create function seat_claims_refuse_truncate() returns trigger language plpgsql as $$
begin
  raise exception 'claims are released one booking at a time'
    using errcode = 'check_violation', constraint = 'bookings_live_has_seats';
end $$;
create trigger seat_claims_no_truncate before truncate on seat_claims
  for each statement execute function seat_claims_refuse_truncate();
