-- An event that is signed and has an id is stored, whatever else of it cannot be read: what was refused would be sent
-- again for three days, after which Stripe switches the endpoint off. Null says that the event does not say it.

alter table payment_events
  alter column livemode drop not null,
  alter column stripe_created_at drop not null;
