-- Tries of buyers to pay that did not succeed. They change no booking: it is paid by another try, or its hold ends.

create table failed_payments (
  -- Refuses one try that is stored twice: its charge, or the event that told of it where that names no charge.
  stripe_id text primary key,
  -- No foreign keys: they would lock the attempt, and its booking after it, against the order of locks.
  booking_id uuid not null,
  attempt_id uuid not null,
  stripe_payment_intent_id text not null,
  -- Stripe's words: card_declined, and why, such as insufficient_funds.
  code text,
  decline_code text,
  method_type text,
  method_brand text,
  method_last4 text,
  failed_at timestamptz not null
);
create index failed_payments_by_booking on failed_payments (booking_id, failed_at);

-- Refuses to rewrite or forget what has happened.
create function failed_payments_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'failed payments are append-only'
    using errcode = 'check_violation', constraint = 'failed_payments_append_only';
end $$;
create trigger failed_payments_append_only before update or delete on failed_payments
  for each row execute function failed_payments_refuse_rewrite();
create trigger failed_payments_no_truncate before truncate on failed_payments
  for each statement execute function failed_payments_refuse_rewrite();
