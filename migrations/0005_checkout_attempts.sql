-- One attempt is one Stripe Checkout Session of ours. The row is committed before Stripe is called; its id makes the
-- Idempotency-Key `cs-<id>`, and Stripe replays a key only for identical parameters, so they are kept to the letter.

create type payment_part as enum ('full', 'deposit', 'balance');
create type attempt_status as enum ('creating', 'open', 'processing', 'paid', 'expired', 'failed');

create table checkout_attempts (
  id uuid primary key,
  booking_id uuid not null references bookings,
  part payment_part not null,
  ui text not null check (ui in ('hosted', 'embedded', 'custom')),
  -- In the booking's currency.
  amount_minor bigint not null check (amount_minor > 0),
  status attempt_status not null,
  parameters text not null,
  -- Refuses one session, or one payment, for two attempts.
  stripe_session_id text constraint checkout_attempts_session_key unique,
  stripe_payment_intent_id text constraint checkout_attempts_payment_intent_key unique,
  url text,
  client_secret text,
  expires_at timestamptz not null,
  -- Since when Stripe says of a session whose time is over what is neither a promise nor an end: it does not know the
  -- session, or calls it something that nobody knows. Settled only if a second look finds the same.
  unexplained_since timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- The target of the payments' foreign key: a payment belongs to the booking of its attempt, and pays its part.
  constraint checkout_attempts_booking_key unique (id, booking_id, part),
  -- Refuses an attempt that buyers can pay and we cannot find at Stripe.
  constraint checkout_attempts_known_to_stripe check (
    status in ('creating', 'failed') or stripe_session_id is not null or stripe_payment_intent_id is not null
  )
);
create index checkout_attempts_by_booking on checkout_attempts (booking_id, id desc);
-- Attempts that Stripe has not answered yet.
create index checkout_attempts_creating on checkout_attempts (updated_at) where status = 'creating';
-- Refuses two payable sessions of one booking.
create unique index checkout_attempts_one_payable on checkout_attempts (booking_id)
  where status in ('creating', 'open', 'processing');

-- Refuses to rewrite what an attempt was paid as: its session cannot be given to another attempt and paid again.
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

-- Which attempt an object of Stripe's is about, by the one rule there is: the session, else the attempt that the
-- metadata names, else the PaymentIntent.
create function find_attempt(session_id text, named_attempt_id uuid, payment_intent_id text)
returns table (attempt_id uuid, booking_id uuid) language sql stable as $$
  select found.id, found.booking_id
  from (
    select id, booking_id, 1 as rank from checkout_attempts where stripe_session_id = find_attempt.session_id
    union all
    select id, booking_id, 2 from checkout_attempts where id = find_attempt.named_attempt_id
    union all
    select id, booking_id, 3 from checkout_attempts
    where stripe_payment_intent_id = find_attempt.payment_intent_id
  ) as found
  order by rank
  limit 1
$$;
