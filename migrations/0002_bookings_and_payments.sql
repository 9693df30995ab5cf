-- Bookings, the seats they claim, the checkout attempts that may pay for them, and the money that arrived.
-- What must never be true is refused here, so that a bug in our code becomes an error and not a double sale.

create type booking_kind as enum ('show', 'service');
create type booking_status as enum
  ('pending', 'processing', 'confirmed', 'expired', 'cancelled', 'failed', 'review');
create type payment_option as enum ('full', 'half');
create type payment_part as enum ('full', 'deposit', 'balance');
create type attempt_status as enum ('creating', 'open', 'processing', 'paid', 'expired', 'failed');
create type payment_disposition as enum ('applied', 'surplus');
create type payment_event_status as enum ('received', 'deferred', 'processed', 'ignored', 'failed');

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
  status booking_status not null,
  live boolean not null generated always as (status in ('pending', 'processing', 'confirmed')) stored,
  payment_option payment_option not null default 'full',
  currency text not null check (currency ~ '^[a-z]{3}$'),
  total_minor bigint not null check (total_minor >= 0),
  -- Due for confirmation: the whole total, or the deposit.
  due_minor bigint not null,
  paid_minor bigint not null default 0,
  cancellation_policy jsonb not null,
  hold_expires_at timestamptz,
  confirmed_at timestamptz,
  cancelled_at timestamptz,
  version bigint not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint bookings_show_has_id check ((kind = 'show') = (show_id is not null)),
  constraint bookings_show_has_seats check (kind <> 'show' or cardinality(seats) > 0),
  constraint bookings_due_within_total check (due_minor between 0 and total_minor),
  -- Only what costs nothing is confirmed without money: all of it is due, or a deposit that is something.
  constraint bookings_due_is_priced check (
    case payment_option when 'full' then due_minor = total_minor else due_minor > 0 or total_minor = 0 end
  ),
  constraint bookings_paid_within_total check (paid_minor between 0 and total_minor),
  constraint bookings_confirmed_is_paid check (status <> 'confirmed' or paid_minor >= due_minor),
  constraint bookings_confirmed_has_time check (status <> 'confirmed' or confirmed_at is not null),
  constraint bookings_hold_has_end check (status not in ('pending', 'processing') or hold_expires_at is not null),
  -- The target of the claims' foreign key: only a live booking keeps seats.
  constraint bookings_live_key unique (id, show_id, live)
);
create index bookings_by_user on bookings (user_id, id desc);
create index bookings_by_show on bookings (show_id);
create index bookings_holds on bookings (hold_expires_at) where status in ('pending', 'processing');

-- Terminal states never silently come back, and every change is a new version.
create function bookings_guard_update() returns trigger language plpgsql as $$
begin
  if new.status <> old.status and (old.status, new.status) not in (
    ('pending', 'processing'), ('pending', 'confirmed'), ('pending', 'expired'),
    ('pending', 'cancelled'), ('pending', 'failed'), ('pending', 'review'),
    ('processing', 'confirmed'), ('processing', 'failed'), ('processing', 'cancelled'), ('processing', 'review'),
    ('confirmed', 'cancelled'),
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

-- What was sold, and for how much, is never rewritten. The checks of seats and sums rely on it: they read the booking
-- without locking it.
create function bookings_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'what booking % has sold cannot be rewritten', old.id
    using errcode = 'check_violation', constraint = 'bookings_sale_is_final';
end $$;
create trigger bookings_sale_is_final
  before update of id, kind, show_id, seats, payment_option, currency, total_minor, due_minor, cancellation_policy
  on bookings for each row
  when ((old.id, old.kind, old.show_id, old.seats, old.payment_option, old.currency, old.total_minor, old.due_minor,
         old.cancellation_policy)
    is distinct from (new.id, new.kind, new.show_id, new.seats, new.payment_option, new.currency, new.total_minor,
                      new.due_minor, new.cancellation_policy))
  execute function bookings_refuse_rewrite();

-- One row is one seat taken, held or sold; release deletes it. The primary key forbids the double sale.
create table seat_claims (
  show_id uuid not null,
  label text not null collate "C",
  booking_id uuid not null,
  live boolean not null default true check (live),
  sellable boolean not null default true check (sellable),
  primary key (show_id, label),
  constraint seat_claims_seat_is_sellable
    foreign key (show_id, label, sellable) references show_seats (show_id, label, sellable),
  constraint seat_claims_booking_is_live
    foreign key (booking_id, show_id, live) references bookings (id, show_id, live)
);
create index seat_claims_by_booking on seat_claims (booking_id);

-- A live booking holds exactly the seats it names, each once, at every commit.
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
-- Inserting a booking checks its claims once; a later release or move is checked from the claim's side.
create constraint trigger bookings_live_has_seats after insert or update of status on bookings
  deferrable initially deferred for each row execute function bookings_check_seats();
create constraint trigger seat_claims_of_live_booking after update or delete on seat_claims
  deferrable initially deferred for each row execute function seat_claims_check_booking();

-- A later claim must be of a seat that its booking names: looked up once per statement, which is
-- cheaper than a deferred check of each row.
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
create function seat_claims_refuse_truncate() returns trigger language plpgsql as $$
begin
  raise exception 'claims are released one booking at a time'
    using errcode = 'check_violation', constraint = 'bookings_live_has_seats';
end $$;
create trigger seat_claims_no_truncate before truncate on seat_claims
  for each statement execute function seat_claims_refuse_truncate();

-- One attempt is one Stripe Checkout Session of ours. The row is committed before Stripe is called; its id makes the
-- Idempotency-Key `cs-<id>`, and Stripe replays a key only for identical parameters, so they are kept to the letter.
create table checkout_attempts (
  id uuid primary key,
  booking_id uuid not null references bookings,
  part payment_part not null,
  ui text not null check (ui in ('hosted', 'embedded', 'custom')),
  -- In the booking's currency.
  amount_minor bigint not null check (amount_minor > 0),
  status attempt_status not null,
  parameters text not null,
  stripe_session_id text constraint checkout_attempts_session_key unique,
  stripe_payment_intent_id text constraint checkout_attempts_payment_intent_key unique,
  url text,
  client_secret text,
  expires_at timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- The target of the payments' foreign key: a payment belongs to the booking of its attempt, and pays its part.
  constraint checkout_attempts_booking_key unique (id, booking_id, part),
  constraint checkout_attempts_known_to_stripe check (
    status in ('creating', 'failed') or stripe_session_id is not null or stripe_payment_intent_id is not null
  )
);
-- A paid attempt stays what it was paid as: its session cannot be given to another attempt and paid a second time.
create function checkout_attempts_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'the attempt % has been paid', old.id
    using errcode = 'check_violation', constraint = 'checkout_attempts_paid_is_final';
end $$;
create trigger checkout_attempts_paid_is_final before update on checkout_attempts for each row
  when (old.status = 'paid'
    and (new.status <> 'paid' or new.amount_minor <> old.amount_minor
      or (old.stripe_session_id is not null and new.stripe_session_id is distinct from old.stripe_session_id)))
  execute function checkout_attempts_refuse_rewrite();
create index checkout_attempts_by_booking on checkout_attempts (booking_id, id desc);
create unique index checkout_attempts_one_payable on checkout_attempts (booking_id)
  where status in ('creating', 'open', 'processing');

-- Money that Stripe captured. What was not owed is kept as surplus, with the reason, until it is refunded.
create table payments (
  id uuid primary key,
  booking_id uuid not null,
  attempt_id uuid not null constraint payments_attempt_key unique,
  part payment_part not null,
  stripe_payment_intent_id text constraint payments_payment_intent_key unique,
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null check (currency ~ '^[a-z]{3}$'),
  disposition payment_disposition not null,
  surplus_reason text,
  captured_at timestamptz not null,
  constraint payments_attempt_of_booking
    foreign key (attempt_id, booking_id, part) references checkout_attempts (id, booking_id, part),
  -- The target of the ledger's foreign key: a transfer books the booking and the currency of its payment.
  constraint payments_booked_key unique (id, booking_id, currency),
  constraint payments_surplus_has_reason check ((disposition = 'surplus') = (surplus_reason is not null))
);
create index payments_by_booking on payments (booking_id);
-- A part is paid once; the whole excludes the deposit.
create unique index payments_one_per_part
  on payments (booking_id, (case part when 'balance' then 'balance' else 'first' end))
  where disposition = 'applied';

-- A capture happened: it is never rewritten or forgotten. Only what is done with it may change.
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

-- The sum on the booking is exactly what its applied payments say, in the booking's currency, at every commit.
create function payments_assert_sum(booking uuid) returns void language plpgsql as $$
begin
  if exists (
    select from bookings b
    where b.id = booking
      and b.paid_minor <> (
        select coalesce(sum(p.amount_minor), 0) from payments p
        where p.booking_id = b.id and p.disposition = 'applied' and p.currency = b.currency
      )
  ) or exists (
    select from payments p
    join bookings b on b.id = p.booking_id
    where b.id = booking and p.disposition = 'applied' and p.currency <> b.currency
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

-- What Stripe told us, each event once. A status of processed stands only beside the committed effect.
create table payment_events (
  id text primary key check (length(id) between 1 and 255),
  type text not null,
  api_version text,
  livemode boolean not null,
  stripe_created_at timestamptz not null,
  stripe_session_id text,
  stripe_payment_intent_id text,
  attempt_id uuid,
  booking_id uuid,
  -- The body as it came, not parsed and printed again: it is evidence, and jsonb would refuse some of Stripe's strings.
  payload text not null,
  status payment_event_status not null,
  outcome text,
  deliveries int not null default 1,
  received_at timestamptz not null,
  processed_at timestamptz,
  constraint payment_events_settled_has_time
    check ((status in ('processed', 'ignored')) = (processed_at is not null))
);
create index payment_events_by_booking on payment_events (booking_id) where booking_id is not null;
create index payment_events_open on payment_events (received_at) where status in ('received', 'deferred', 'failed');
-- lz4 costs a third less than pglz here; builds of Postgres without it keep the default.
do $$ begin
  alter table payment_events alter column payload set compression lz4;
exception when feature_not_supported then null;
end $$;

-- The money ledger. One row moves one amount from the credited to the debited account, so it balances by construction.
create table ledger_transfers (
  id uuid primary key,
  kind text not null check (kind in ('capture')),
  debit text not null check (debit in ('stripe_balance', 'customer_payments', 'customer_surplus')),
  credit text not null check (credit in ('stripe_balance', 'customer_payments', 'customer_surplus')),
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null check (currency ~ '^[a-z]{3}$'),
  booking_id uuid not null,
  payment_id uuid not null,
  payment_event_id text,
  created_at timestamptz not null,
  constraint ledger_transfers_of_payment
    foreign key (payment_id, booking_id, currency) references payments (id, booking_id, currency),
  constraint ledger_transfers_two_accounts check (debit <> credit)
);
create index ledger_transfers_by_booking on ledger_transfers (booking_id);
create unique index ledger_transfers_one_capture on ledger_transfers (payment_id) where kind = 'capture';
create function ledger_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the ledger is append-only'
    using errcode = 'check_violation', constraint = 'ledger_transfers_append_only';
end $$;
create trigger ledger_transfers_append_only before update or delete on ledger_transfers
  for each row execute function ledger_is_append_only();
create trigger ledger_transfers_no_truncate before truncate on ledger_transfers
  for each statement execute function ledger_is_append_only();

-- Where Stripe's word and ours differ and a person has to look.
create table discrepancies (
  id uuid primary key,
  kind text not null check (kind <> ''),
  subject text not null check (subject <> ''),
  booking_id uuid references bookings,
  ours jsonb not null,
  theirs jsonb not null,
  status text not null default 'open' check (status in ('open', 'healed', 'dismissed')),
  found_at timestamptz not null
);
create unique index discrepancies_one_open on discrepancies (kind, subject) where status = 'open';

-- One answer per caller and key, for 24 hours. `locked_until` passes a key on when the process that held it has died.
create table idempotency_keys (
  caller text not null,
  key text not null check (length(key) between 1 and 255),
  request_hash bytea not null,
  -- The key is claimed before its booking is made, in the same transaction.
  booking_id uuid references bookings deferrable initially deferred,
  locked_until timestamptz not null,
  response_status smallint check (response_status between 200 and 499),
  response_location text,
  response_body text,
  created_at timestamptz not null,
  primary key (caller, key),
  constraint idempotency_keys_answer_is_whole
    check (
      (response_status is null) = (response_body is null)
      and (response_status is not null or response_location is null)
    )
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
