-- Disputes: money that cardholders' banks take back. Where it is says the ledger.

-- In the order in which a dispute goes through them.
create type dispute_status as enum (
  'warning_needs_response', 'warning_under_review', 'warning_closed', 'needs_response', 'under_review', 'prevented',
  'won', 'lost'
);

create table disputes (
  id uuid primary key,
  -- Refuses one dispute that is stored twice.
  stripe_dispute_id text not null constraint disputes_stripe_key unique,
  payment_id uuid not null,
  booking_id uuid not null,
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null,
  reason text,
  status dispute_status not null,
  evidence_due_by timestamptz,
  opened_at timestamptz not null,
  -- When Stripe said what the status comes from.
  reported_at timestamptz not null,
  closed_at timestamptz,
  -- Refuses a dispute of another booking, or in another currency, than its payment's.
  constraint disputes_of_payment
    foreign key (payment_id, booking_id, currency) references payments (id, booking_id, currency),
  -- The target of the ledger's foreign key.
  constraint disputes_booked_key unique (id, payment_id, amount_minor),
  constraint disputes_closed_has_time
    check ((status in ('warning_closed', 'prevented', 'won', 'lost')) = (closed_at is not null))
);
create index disputes_by_payment on disputes (payment_id);
create index disputes_by_booking on disputes (booking_id);

-- Refuses a dispute that is of something else, or that goes back to where it was. From one end it can only come to
-- another.
create function disputes_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'the dispute % only goes forward', old.id
    using errcode = 'check_violation', constraint = 'disputes_only_go_forward';
end $$;
create trigger disputes_only_go_forward before update on disputes for each row
  when ((new.id, new.stripe_dispute_id, new.payment_id, new.booking_id)
      is distinct from (old.id, old.stripe_dispute_id, old.payment_id, old.booking_id)
    or new.status < least(old.status, 'prevented'))
  execute function disputes_refuse_rewrite();
create trigger disputes_make_new_version after insert or update of status on disputes
  for each row execute function bookings_have_new_version();
create trigger disputes_are_kept before delete on disputes
  for each row execute function disputes_refuse_rewrite();

-- Refuses to book a dispute to another payment, and another amount of it than it has: once booked, that stays.
alter table ledger_transfers add constraint ledger_transfers_of_dispute
  foreign key (dispute_id, payment_id, amount_minor) references disputes (id, payment_id, amount_minor);

-- Refuses to give back what was not taken.
create function ledger_check_reinstatement() returns trigger language plpgsql as $$
begin
  if not exists (
    select from ledger_transfers where dispute_id = new.dispute_id and kind = 'dispute_withdrawal'
  ) then
    raise exception 'the money of dispute % was not withdrawn', new.dispute_id
      using errcode = 'check_violation', constraint = 'ledger_transfers_reinstates_withdrawn';
  end if;
  return new;
end $$;
create trigger ledger_transfers_reinstates_withdrawn before insert on ledger_transfers
  for each row when (new.kind = 'dispute_reinstatement') execute function ledger_check_reinstatement();
