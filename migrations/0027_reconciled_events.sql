-- From where on events that were not delivered are listed, how far they are decided, and whether the sums could be compared.

-- An earlier binary leaves them as they are by default, and looks at all that Stripe keeps.
alter table reconciliations
  -- Such events that were made since then are listed; all that Stripe keeps, where it is null.
  add column events_since timestamptz,
  -- All of them that were made before then, by Stripe's clock, are decided here once that step is over; null where it has
  -- listed none, or not all.
  add column events_decided_to timestamptz,
  -- Stripe's side of the sums could not be had: then there are none.
  add column without_sums boolean not null default false;

-- For where the next is to go on.
create index reconciliations_events_decided on reconciliations (events_decided_to) where events_decided_to is not null;
