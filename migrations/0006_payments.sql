-- Money that Stripe captured. What was not owed is kept as surplus, with the reason, until it is refunded.

create type payment_disposition as enum ('applied', 'surplus');

create table payments (
  id uuid primary key,
  booking_id uuid not null,
  attempt_id uuid not null,
  part payment_part not null,
  -- Refuses one capture that is stored twice.
  stripe_payment_intent_id text constraint payments_payment_intent_key unique,
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null check (currency ~ '^[a-z]{3}$'),
  disposition payment_disposition not null,
  surplus_reason text,
  -- By what we learned of it.
  settled_by text not null check (settled_by in ('webhook', 'verify', 'release', 'replay', 'admin', 'reconciliation')),
  captured_at timestamptz not null,
  -- Refuses a payment of another booking, or of another part, than its attempt's.
  constraint payments_attempt_of_booking
    foreign key (attempt_id, booking_id, part) references checkout_attempts (id, booking_id, part),
  -- The target of the ledger's foreign key: a transfer books the booking and the currency of its payment.
  constraint payments_booked_key unique (id, booking_id, currency),
  constraint payments_surplus_has_reason check ((disposition = 'surplus') = (surplus_reason is not null))
);
create index payments_by_booking on payments (booking_id);
create index payments_by_attempt on payments (attempt_id);
-- Refuses an attempt that pays twice: a second PaymentIntent of it is never owed.
create unique index payments_one_per_attempt on payments (attempt_id) where disposition = 'applied';
-- Refuses a second capture that cannot be told from the first.
create unique index payments_one_unnamed_per_attempt on payments (attempt_id) where stripe_payment_intent_id is null;
-- Refuses a part that is paid twice; the whole excludes the deposit.
create unique index payments_one_per_part
  on payments (booking_id, (case part when 'balance' then 'balance' else 'first' end))
  where disposition = 'applied';

-- Refuses to rewrite or forget a capture. Only what is done with it may change.
create function payments_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'a capture cannot be rewritten or forgotten'
    using errcode = 'check_violation', constraint = 'payments_capture_is_final';
end $$;
create trigger payments_capture_is_final before update on payments for each row
  when ((old.id, old.booking_id, old.attempt_id, old.part, old.amount_minor, old.currency, old.captured_at)
      is distinct from
      (new.id, new.booking_id, new.attempt_id, new.part, new.amount_minor, new.currency, new.captured_at)
    or (old.stripe_payment_intent_id is not null
      and new.stripe_payment_intent_id is distinct from old.stripe_payment_intent_id))
  execute function payments_refuse_rewrite();
create trigger payments_are_kept before delete on payments
  for each row execute function payments_refuse_rewrite();
create trigger payments_no_truncate before truncate on payments
  for each statement execute function payments_refuse_rewrite();

-- Refuses a sum on a booking that is not exactly what its applied payments say, in its currency, at every commit.
create function payments_assert_sum(booking uuid) returns void language plpgsql as $$
begin
  if exists (
    select
    from bookings b
    left join payments p on p.booking_id = b.id and p.disposition = 'applied'
    where b.id = booking
    group by b.id
    having b.paid_minor <> coalesce(sum(p.amount_minor), 0) or bool_or(p.currency <> b.currency)
  ) then
    raise exception 'the money of booking % does not add up', booking
      using errcode = 'check_violation', constraint = 'bookings_paid_is_payments';
  end if;
end $$;
create function bookings_check_sum() returns trigger language plpgsql as $$
begin
  perform payments_assert_sum(new.id);
  return null;
end $$;
create function payments_check_sum() returns trigger language plpgsql as $$
begin
  perform payments_assert_sum(new.booking_id);
  return null;
end $$;
create constraint trigger bookings_paid_is_payments after update of paid_minor on bookings
  deferrable initially deferred for each row execute function bookings_check_sum();
create constraint trigger bookings_born_unpaid after insert on bookings
  deferrable initially deferred for each row when (new.paid_minor <> 0) execute function bookings_check_sum();
create constraint trigger payments_sum_to_booking after insert or update of disposition on payments
  deferrable initially deferred for each row execute function payments_check_sum();
