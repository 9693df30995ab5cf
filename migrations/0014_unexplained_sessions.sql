-- Since when Stripe says of a session whose time is over what is neither a promise nor an end: it does not know the
-- session, or calls it something that nobody knows. Settled only if a second look finds the same.
alter table checkout_attempts add column unexplained_since timestamptz;
