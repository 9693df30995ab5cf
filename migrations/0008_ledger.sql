-- The money ledger. One row moves one amount from the credited to the debited account, so it balances by construction.

create table ledger_transfers (
  id uuid primary key,
  kind text not null check (kind in (
    'capture', 'refund', 'refund_reversal', 'acceptance', 'dispute_withdrawal', 'dispute_reinstatement'
  )),
  debit text not null check (debit in ('stripe_balance', 'customer_payments', 'customer_surplus', 'disputed_funds')),
  credit text not null check (credit in ('stripe_balance', 'customer_payments', 'customer_surplus', 'disputed_funds')),
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null check (currency ~ '^[a-z]{3}$'),
  booking_id uuid not null,
  payment_id uuid not null,
  refund_id uuid references refunds,
  dispute_id uuid,
  -- No foreign key: the event is locked when it is recorded, in the same transaction.
  payment_event_id text,
  created_at timestamptz not null,
  -- Refuses to book a payment to another booking or in another currency.
  constraint ledger_transfers_of_payment
    foreign key (payment_id, booking_id, currency) references payments (id, booking_id, currency),
  -- Refuses a transfer that moves nothing.
  constraint ledger_transfers_two_accounts check (debit <> credit),
  -- Refuses money that goes back without a refund, and a refund that is booked as a capture.
  constraint ledger_transfers_refund_is_named
    check ((kind in ('refund', 'refund_reversal')) = (refund_id is not null)),
  -- Refuses disputed money without a dispute, and a dispute that is booked as anything else.
  constraint ledger_transfers_dispute_is_named
    check ((kind in ('dispute_withdrawal', 'dispute_reinstatement')) = (dispute_id is not null))
);
create index ledger_transfers_by_booking on ledger_transfers (booking_id);
-- Refuse to book one fact twice.
create unique index ledger_transfers_one_capture on ledger_transfers (payment_id) where kind = 'capture';
create unique index ledger_transfers_one_acceptance on ledger_transfers (payment_id) where kind = 'acceptance';
create unique index ledger_transfers_one_per_refund on ledger_transfers (refund_id, kind)
  where refund_id is not null;
create unique index ledger_transfers_one_per_dispute on ledger_transfers (dispute_id, kind)
  where dispute_id is not null;

-- Refuses to rewrite or forget what was booked.
create function ledger_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the ledger is append-only'
    using errcode = 'check_violation', constraint = 'ledger_transfers_append_only';
end $$;
create trigger ledger_transfers_append_only before update or delete on ledger_transfers
  for each row execute function ledger_is_append_only();
create trigger ledger_transfers_no_truncate before truncate on ledger_transfers
  for each statement execute function ledger_is_append_only();

-- Refuses a refund whose money is not where its status says, at every commit: gone while Stripe has it under way and when
-- it has succeeded, else here.
create function ledger_check_refund(refund uuid) returns void language plpgsql as $$
begin
  if exists (
    select from refunds r
    where r.id = refund
      and (case when r.status in ('pending', 'succeeded') then r.amount_minor else 0 end) <> (
        select coalesce(sum(case t.kind when 'refund' then t.amount_minor else -t.amount_minor end), 0)
        from ledger_transfers t
        where t.refund_id = r.id
      )
  ) then
    raise exception 'the ledger does not have the money of refund % where its status says', refund
      using errcode = 'check_violation', constraint = 'refunds_are_booked';
  end if;
end $$;
create function refunds_check_ledger() returns trigger language plpgsql as $$
begin
  perform ledger_check_refund(new.id);
  return null;
end $$;
create function ledger_check_its_refund() returns trigger language plpgsql as $$
begin
  perform ledger_check_refund(new.refund_id);
  return null;
end $$;
create constraint trigger refunds_are_booked after insert or update of status on refunds
  deferrable initially deferred for each row execute function refunds_check_ledger();
create constraint trigger ledger_transfers_book_refunds after insert on ledger_transfers
  deferrable initially deferred for each row when (new.refund_id is not null)
  execute function ledger_check_its_refund();

-- Refuses a payment that counts for its booking while its money stays booked as surplus, and the other way round.
create function payments_check_account() returns trigger language plpgsql as $$
begin
  if (new.disposition = 'applied') <> exists (
    select from ledger_transfers where payment_id = new.id and kind = 'acceptance'
  ) then
    raise exception 'the ledger does not have the money of payment % where its disposition says', new.id
      using errcode = 'check_violation', constraint = 'payments_disposition_is_booked';
  end if;
  return null;
end $$;
create constraint trigger payments_disposition_is_booked after update of disposition on payments
  deferrable initially deferred for each row when (old.disposition <> new.disposition)
  execute function payments_check_account();
