-- What Stripe told us, each event once. A status of processed stands only beside the committed effect.

create type payment_event_status as enum ('received', 'deferred', 'processed', 'ignored', 'failed');

create table payment_events (
  -- Refuses an event that is processed twice.
  id text primary key check (length(id) between 1 and 255),
  type text not null,
  api_version text,
  -- Null where the event does not say it: one that is signed and has an id is stored, whatever else of it cannot be read.
  -- What was refused would be sent again for three days, after which Stripe switches the endpoint off.
  livemode boolean,
  stripe_created_at timestamptz,
  stripe_session_id text,
  stripe_payment_intent_id text,
  -- What it is about. No foreign keys: a deferred event names an attempt that is not there yet, and a key would lock the
  -- attempt before its booking, against the order of locks.
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
-- For the list that admins read.
create index payment_events_by_time on payment_events (received_at);
create index payment_events_open on payment_events (received_at) where status in ('received', 'deferred', 'failed');
-- Events that wait for their attempt.
create index payment_events_deferred on payment_events (attempt_id) where status = 'deferred';
-- lz4 costs a third less than pglz here; builds of Postgres without it keep the default.
do $$ begin
  alter table payment_events alter column payload set compression lz4;
exception when feature_not_supported then null;
end $$;
