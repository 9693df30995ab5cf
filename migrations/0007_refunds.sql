-- Money that goes back. Stripe is asked under the key `re-<id>`, so that asking again gives the same refund; where it
-- has refused, and stored that under the key, the next try goes by `re-<id>-<keys spent>`.

create type refund_status as enum ('requested', 'pending', 'succeeded', 'failed', 'canceled');

create table refunds (
  id uuid primary key,
  payment_id uuid not null,
  booking_id uuid not null,
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null,
  -- Who has asked for it: we, for money that is not owed, who cancels, by the booking's policy, an admin, or somebody
  -- in Stripe's dashboard.
  source text not null check (source in ('surplus', 'policy', 'admin', 'dashboard')),
  reason text not null,
  status refund_status not null default 'requested',
  -- Refuses one refund of Stripe's for two of ours.
  stripe_refund_id text constraint refunds_stripe_key unique,
  keys_spent int not null default 0 check (keys_spent >= 0),
  -- Why it did not go, for good or so far.
  failure_reason text,
  -- Since when Stripe has refused to make it for now.
  refused_since timestamptz,
  -- When Stripe is asked next, for it or about it.
  next_look_at timestamptz,
  created_at timestamptz not null,
  settled_at timestamptz,
  -- Refuses a refund of another booking, or in another currency, than its payment's.
  constraint refunds_of_payment
    foreign key (payment_id, booking_id, currency) references payments (id, booking_id, currency),
  -- Refuses one that is under way, or was made in the dashboard, and that Stripe does not have.
  constraint refunds_known_to_stripe
    check (status not in ('pending', 'succeeded') and source <> 'dashboard' or stripe_refund_id is not null),
  -- Refuses one that has not come to its end and that nobody asks about any more.
  constraint refunds_open_is_looked_at check ((status in ('requested', 'pending')) = (next_look_at is not null)),
  constraint refunds_settled_has_time check ((status in ('succeeded', 'failed', 'canceled')) = (settled_at is not null))
);
create index refunds_by_payment on refunds (payment_id);
create index refunds_by_booking on refunds (booking_id);
create index refunds_by_next_look on refunds (next_look_at) where next_look_at is not null;
-- Refuses to give what is not owed back twice by itself.
create unique index refunds_one_automatic on refunds (payment_id)
  where source = 'surplus' and status not in ('failed', 'canceled');

-- Refuses to give back by the policy of cancellations what was never cancelled.
create function refunds_check_cancelled() returns trigger language plpgsql as $$
begin
  if exists (select from bookings where id = new.booking_id and cancelled_at is null) then
    raise exception 'booking % was not cancelled, and nothing of it goes back by its policy', new.booking_id
      using errcode = 'check_violation', constraint = 'refunds_by_policy_of_cancelled';
  end if;
  return new;
end $$;
create trigger refunds_by_policy_of_cancelled before insert on refunds for each row
  when (new.source = 'policy') execute function refunds_check_cancelled();

-- Refuses a refund that becomes another one, or that goes back to where it was. What has succeeded can still fail.
create function refunds_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'the refund % only goes forward', old.id
    using errcode = 'check_violation', constraint = 'refunds_only_go_forward';
end $$;
create trigger refunds_only_go_forward before update on refunds for each row
  when ((new.id, new.payment_id, new.booking_id, new.amount_minor, new.currency, new.source, new.created_at)
      is distinct from
      (old.id, old.payment_id, old.booking_id, old.amount_minor, old.currency, old.source, old.created_at)
    or (old.stripe_refund_id is not null and new.stripe_refund_id is distinct from old.stripe_refund_id)
    or new.status < old.status
    or (old.status = 'failed' and new.status <> 'failed'))
  execute function refunds_refuse_rewrite();
-- What goes back of its money, and what a bank takes, is a new version of a booking: the preview of a cancellation was of
-- the one before. Who stores either has locked the booking.
create function bookings_have_new_version() returns trigger language plpgsql as $$
begin
  update bookings set version = version where id = new.booking_id;
  return null;
end $$;
create trigger refunds_make_new_version after insert or update of status on refunds
  for each row execute function bookings_have_new_version();
create trigger refunds_are_kept before delete on refunds
  for each row execute function refunds_refuse_rewrite();

-- Refuses more on its way back than came, at every commit.
create function refunds_check_capture() returns trigger language plpgsql as $$
begin
  -- Two refunds of one payment in two transactions must see each other.
  perform from payments where id = new.payment_id for no key update;
  if exists (
    select from payments p
    where p.id = new.payment_id
      and p.amount_minor < (
        select sum(r.amount_minor) from refunds r
        where r.payment_id = p.id and r.status not in ('failed', 'canceled')
      )
  ) then
    raise exception 'the refunds of payment % are more than the payment', new.payment_id
      using errcode = 'check_violation', constraint = 'refunds_within_capture';
  end if;
  return null;
end $$;
create constraint trigger refunds_within_capture after insert or update on refunds
  deferrable initially deferred for each row execute function refunds_check_capture();
