-- What has happened to each booking, in order: written in the transaction of the change, and read by all that follows
-- bookings.

create table booking_events (
  -- Goes up with each event of a booking: its changes come one after the other, under its lock; refunds and
  -- disputes, which change no booking, under that of their payment.
  id bigint not null generated always as identity,
  -- No foreign key: each would lock the booking once more, on every hot path, and bookings are never deleted.
  booking_id uuid not null,
  kind text not null check (kind in (
    'held', 'voucherRedeemed', 'holdShortened', 'attemptOpened', 'attemptClosed', 'attemptReplaced', 'awaitingFunds',
    'claimedAgain', 'confirmed', 'balancePaid', 'surplusKept', 'review', 'reviewResolved', 'paymentDiffers',
    'cancellationRequested', 'showCancelled', 'expired', 'cancelled', 'failed', 'refundRequested', 'refundSettled',
    'refundHeldBack', 'refundRefused', 'refundMadeByHand', 'disputeOpened', 'disputeUpdated', 'disputeFundsWithdrawn',
    'disputeFundsReinstated', 'disputeClosed', 'fraudWarned'
  )),
  -- The event as JSON. Not jsonb: it is written on every hot path, and read seldom.
  payload json not null,
  at timestamptz not null,
  -- The transaction that wrote it. Ids are given out before they are committed, so that a reader who goes by the id
  -- misses the events of a transaction that commits late; one who goes by what its last snapshot has not seen does not.
  transaction_id xid8 not null default pg_current_xact_id(),
  primary key (booking_id, id)
);
create index booking_events_by_transaction on booking_events (transaction_id);

-- Refuses to rewrite or forget what has happened.
create function booking_events_refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'booking events are append-only'
    using errcode = 'check_violation', constraint = 'booking_events_append_only';
end $$;
create trigger booking_events_append_only before update or delete on booking_events
  for each row execute function booking_events_refuse_rewrite();
create trigger booking_events_no_truncate before truncate on booking_events
  for each statement execute function booking_events_refuse_rewrite();
