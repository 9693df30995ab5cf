-- What is decided about a booking after it was sold: a balance that is not what was asked for waits for a person, late
-- money of a slot may find it with another resource, and a refund counts from when Stripe first refused it.

-- Since when Stripe has refused to make the refund for now; null while it has not.
alter table refunds add column refused_since timestamptz;
update refunds set refused_since = created_at where status = 'requested' and failure_reason is not null;

-- Refuses a booking that comes back from its end unnoticed. Every change is a new version. A confirmed booking whose
-- balance came with a wrong amount waits for a person.
create or replace function bookings_guard_update() returns trigger language plpgsql as $$
begin
  if new.status <> old.status and (old.status, new.status) not in (
    ('pending', 'processing'), ('pending', 'confirmed'), ('pending', 'expired'),
    ('pending', 'cancelled'), ('pending', 'failed'), ('pending', 'review'),
    ('processing', 'confirmed'), ('processing', 'failed'), ('processing', 'cancelled'), ('processing', 'review'),
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

-- Refuses to rewrite what was sold, and for how much. Which of a service's resources gives its time was not for the
-- buyer to choose: the next trigger sees to it that it is the one whose time is claimed.
drop trigger bookings_sale_is_final on bookings;
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

-- Refuses a booking that moves to a resource whose time it does not have.
create constraint trigger bookings_moved_has_slot after update of resource_id on bookings
  deferrable initially deferred for each row when (old.resource_id is distinct from new.resource_id)
  execute function bookings_check_slot();
