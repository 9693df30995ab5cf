-- Services, the resources whose time they sell by the hour, and the slots of them that are taken.

create table services (
  id uuid primary key,
  slug text not null constraint services_slug_key unique check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  title text not null check (title <> ''),
  description text,
  -- Opening hours are what the clock on the wall shows there, also across a change of daylight saving.
  timezone text not null check (timezone <> ''),
  opens_at time not null,
  closes_at time not null,
  currency text not null check (currency ~ '^[a-z]{3}$'),
  hour_price_minor bigint not null check (hour_price_minor >= 0),
  deposit_percent int not null check (deposit_percent between 1 and 100),
  min_hours int not null check (min_hours > 0),
  max_hours int not null,
  buffer_minutes int not null check (buffer_minutes >= 0),
  lead_minutes int not null check (lead_minutes >= 0),
  horizon_days int not null check (horizon_days > 0),
  cancellation_policy jsonb not null,
  created_at timestamptz not null,
  constraint services_open_before_they_close check (opens_at < closes_at),
  constraint services_hours_in_order check (min_hours <= max_hours)
);

create table service_resources (
  -- A number, of which the exclusion constraint makes a range: that needs no extension.
  id int primary key generated always as identity,
  service_id uuid not null references services,
  name text not null check (name <> ''),
  position int not null,
  constraint service_resources_name_key unique (service_id, name),
  -- The target of the claims' foreign key: a resource works for its own service.
  constraint service_resources_service_key unique (id, service_id)
);

-- One row is one slot taken, held or sold; release deletes it.
create table slot_claims (
  booking_id uuid primary key references bookings,
  service_id uuid not null,
  resource_id int not null,
  -- The slot, and after it the time that the resource has to itself before the next one.
  during tstzrange not null check (not isempty(during) and not lower_inf(during) and not upper_inf(during)),
  -- Refuses a resource of another service.
  constraint slot_claims_resource_of_service
    foreign key (resource_id, service_id) references service_resources (id, service_id),
  -- Refuses the double sale of a resource's time.
  constraint slot_claims_no_overlap
    exclude using gist (int4range(resource_id, resource_id, '[]') with &&, during with &&)
);

-- Refuses, at every commit, a live booking of a service without exactly the slot that it names, and a dead one, or one
-- of a show, that keeps a slot. The reference to the booking locks its key, of which being live is a part: a claim and
-- the end of its booking come one after the other.
create function bookings_assert_slot(booking uuid) returns void language plpgsql as $$
begin
  if exists (
    select from bookings b
    left join slot_claims c on c.booking_id = b.id
    where b.id = booking
      and case
        when b.live and b.kind = 'service' then
          (c.service_id = b.service_id and c.resource_id = b.resource_id
            and lower(c.during) = b.slot_starts_at and upper(c.during) >= b.slot_ends_at) is not true
        else c.booking_id is not null
      end
  ) then
    raise exception 'the booking % does not hold exactly the slot that it has a right to', booking
      using errcode = 'check_violation', constraint = 'bookings_live_has_slot';
  end if;
end $$;
create function bookings_check_slot() returns trigger language plpgsql as $$
begin
  perform bookings_assert_slot(new.id);
  return null;
end $$;
create function slot_claims_check_booking() returns trigger language plpgsql as $$
begin
  if tg_op <> 'INSERT' then
    perform bookings_assert_slot(old.booking_id);
  end if;
  if tg_op <> 'DELETE' then
    perform bookings_assert_slot(new.booking_id);
  end if;
  return null;
end $$;
create constraint trigger bookings_live_has_slot after insert on bookings
  deferrable initially deferred for each row when (new.kind = 'service') execute function bookings_check_slot();
create constraint trigger bookings_live_again_has_slot after update of status on bookings
  deferrable initially deferred for each row when (new.kind = 'service' and old.live <> new.live)
  execute function bookings_check_slot();
create constraint trigger bookings_moved_has_slot after update of resource_id on bookings
  deferrable initially deferred for each row when (old.resource_id is distinct from new.resource_id)
  execute function bookings_check_slot();
create constraint trigger slot_claims_of_live_booking after insert or update or delete on slot_claims
  deferrable initially deferred for each row execute function slot_claims_check_booking();

-- Refuses to release the slots of all bookings at once, which no check of a row would see.
create function slot_claims_refuse_truncate() returns trigger language plpgsql as $$
begin
  raise exception 'slots are released one booking at a time'
    using errcode = 'check_violation', constraint = 'bookings_live_has_slot';
end $$;
create trigger slot_claims_no_truncate before truncate on slot_claims
  for each statement execute function slot_claims_refuse_truncate();

-- Bookings of an earlier binary name no slot, and it cannot read those that do.
update schema_floor set version = 20;
