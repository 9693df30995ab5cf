-- Money that goes back. Stripe is asked under the key `re-<id>`, so that asking again gives the same refund.

create type refund_status as enum ('requested', 'pending', 'succeeded', 'failed', 'canceled');

create table refunds (
  id uuid primary key,
  payment_id uuid not null references payments,
  booking_id uuid not null references bookings,
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null check (currency ~ '^[a-z]{3}$'),
  source text not null check (source in ('surplus')),
  reason text not null,
  status refund_status not null default 'requested',
  -- Refuses one refund of Stripe's for two of ours.
  stripe_refund_id text constraint refunds_stripe_key unique,
  failure_reason text,
  created_at timestamptz not null,
  settled_at timestamptz,
  constraint refunds_known_to_stripe check (status not in ('pending', 'succeeded') or stripe_refund_id is not null)
);
create index refunds_by_payment on refunds (payment_id);
create index refunds_by_booking on refunds (booking_id);
-- Refuses to give what is not owed back twice by itself.
create unique index refunds_one_automatic on refunds (payment_id)
  where source = 'surplus' and status not in ('failed', 'canceled');

-- Refuses more on its way back than came, at every commit.
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
