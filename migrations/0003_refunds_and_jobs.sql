-- Refunds of money that is not owed, and what wakes an event that came before its attempt.
-- The job queue has a schema of its own, graphile_worker, which its library brings up to date before these files run.

create type refund_status as enum ('requested', 'pending', 'succeeded', 'failed', 'canceled');

-- Stripe is asked under the key `re-<id>`, so that asking again gives the same refund.
create table refunds (
  id uuid primary key,
  payment_id uuid not null references payments,
  booking_id uuid not null references bookings,
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null check (currency ~ '^[a-z]{3}$'),
  source text not null check (source in ('surplus')),
  reason text not null,
  status refund_status not null default 'requested',
  stripe_refund_id text constraint refunds_stripe_key unique,
  failure_reason text,
  created_at timestamptz not null,
  settled_at timestamptz,
  constraint refunds_known_to_stripe check (status not in ('pending', 'succeeded') or stripe_refund_id is not null)
);
create index refunds_by_payment on refunds (payment_id);
create index refunds_by_booking on refunds (booking_id);
-- What is not owed goes back once by itself.
create unique index refunds_one_automatic on refunds (payment_id)
  where source = 'surplus' and status not in ('failed', 'canceled');

-- More is never on its way back than came, at every commit.
create function refunds_check_capture() returns trigger language plpgsql as $$
begin
  -- Two refunds of one payment in two transactions must see each other.
  perform from payments where id = new.payment_id for no key update;
  if exists (
    select from payments p
    where p.id = new.payment_id
      and (p.currency <> new.currency or p.amount_minor < (
        select sum(r.amount_minor) from refunds r
        where r.payment_id = p.id and r.status not in ('failed', 'canceled')
      ))
  ) then
    raise exception 'the refunds of payment % are more than the payment', new.payment_id
      using errcode = 'check_violation', constraint = 'refunds_within_capture';
  end if;
  return null;
end $$;
create constraint trigger refunds_within_capture after insert or update on refunds
  deferrable initially deferred for each row execute function refunds_check_capture();

alter table ledger_transfers
  add column refund_id uuid references refunds,
  drop constraint ledger_transfers_kind_check,
  add constraint ledger_transfers_kind_check check (kind in ('capture', 'refund')),
  add constraint ledger_transfers_refund_is_named check ((kind = 'refund') = (refund_id is not null));
create unique index ledger_transfers_one_refund on ledger_transfers (refund_id) where kind = 'refund';

-- Calling off is an intent first: it is committed before Stripe is asked to close the session, so that whoever hears of
-- the end, and be it the webhook, ends the booking as cancelled.
alter table bookings
  add column cancel_requested_at timestamptz,
  add column cancel_reason text;

-- Attempts that Stripe has not answered yet, and events that wait for theirs.
create index checkout_attempts_creating on checkout_attempts (updated_at) where status = 'creating';
create index payment_events_deferred on payment_events (attempt_id) where status = 'deferred';

-- An event that came before its attempt is settled as soon as the attempt is committed.
create function checkout_attempts_wake_events() returns trigger language plpgsql as $$
begin
  perform graphile_worker.add_job(
    'holdfast',
    json_build_object('kind', 'settleEvent', 'eventId', e.id),
    job_key => 'settle-' || e.id,
    run_at => new.created_at,
    max_attempts => 4000
  )
  from payment_events e
  where e.status = 'deferred' and e.attempt_id = new.id;
  return null;
end $$;
create trigger checkout_attempts_wake_events after insert on checkout_attempts
  for each row execute function checkout_attempts_wake_events();
