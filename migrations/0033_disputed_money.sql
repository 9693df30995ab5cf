-- A bank may give back less than it has taken: of a dispute that is lost, Stripe gives back what the buyer had been
-- refunded before ("partially won"). And more of it may come back later.

-- Refuses to book a dispute to another payment. How much, the triggers below say.
alter table ledger_transfers drop constraint ledger_transfers_of_dispute;
alter table disputes drop constraint disputes_booked_key;
alter table disputes add constraint disputes_booked_key unique (id, payment_id);
alter table ledger_transfers add constraint ledger_transfers_of_dispute
  foreign key (dispute_id, payment_id) references disputes (id, payment_id);

-- Money is withdrawn once, and may be reinstated in parts.
drop index ledger_transfers_one_per_dispute;
create unique index ledger_transfers_one_withdrawal on ledger_transfers (dispute_id) where kind = 'dispute_withdrawal';
create index ledger_transfers_by_dispute on ledger_transfers (dispute_id) where dispute_id is not null;

-- Refuses to withdraw another amount than is disputed, and to give back what was not taken, or more than that. Of two at
-- once, the second waits for the first.
drop trigger ledger_transfers_reinstates_withdrawn on ledger_transfers;
drop function ledger_check_reinstatement();
create function ledger_check_dispute() returns trigger language plpgsql as $$
declare
  disputed_minor bigint;
begin
  select amount_minor into disputed_minor from disputes where id = new.dispute_id for no key update;
  if new.kind = 'dispute_withdrawal' then
    if new.amount_minor <> disputed_minor then
      raise exception 'the dispute % is not of this amount', new.dispute_id
        using errcode = 'check_violation', constraint = 'ledger_transfers_withdraws_disputed';
    end if;
    return new;
  end if;
  if new.amount_minor > (
    select coalesce(sum(case kind when 'dispute_withdrawal' then amount_minor else -amount_minor end), 0)
    from ledger_transfers
    where dispute_id = new.dispute_id
  ) then
    raise exception 'so much of the money of dispute % was not withdrawn', new.dispute_id
      using errcode = 'check_violation', constraint = 'ledger_transfers_reinstates_withdrawn';
  end if;
  return new;
end $$;
create trigger ledger_transfers_of_disputed_money before insert on ledger_transfers
  for each row when (new.kind in ('dispute_withdrawal', 'dispute_reinstatement')) execute function ledger_check_dispute();

-- Refuses to change the amount of a dispute once it is booked.
create function disputes_check_amount() returns trigger language plpgsql as $$
begin
  if exists (select from ledger_transfers where dispute_id = new.id) then
    raise exception 'the money of dispute % is booked', new.id
      using errcode = 'check_violation', constraint = 'disputes_booked_amount_stays';
  end if;
  return new;
end $$;
create trigger disputes_booked_amount_stays before update of amount_minor on disputes
  for each row when (new.amount_minor <> old.amount_minor) execute function disputes_check_amount();

-- What waits for its payment is woken by that: a bank's word may come before ours. Looked up once for each payment that
-- is stored; nearly always it is empty.
create index payment_events_deferred_by_intent on payment_events (stripe_payment_intent_id) where status = 'deferred';
