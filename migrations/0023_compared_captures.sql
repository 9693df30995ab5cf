-- What reconciliations have compared, so that payments are found that Stripe does not have; how much more one has found
-- than it keeps; and what a person wants nothing done about.

-- A table of its own: payments are not written again, and what inserts them is not slowed down.
create table compared_captures (
  payment_id uuid primary key references payments,
  -- When a reconciliation has last seen at Stripe that this money was captured.
  compared_at timestamptz not null
) with (fillfactor = 50);

-- For the payments of a stretch of time. They are stored nearly in the order of their captures, and such an index costs
-- next to nothing where one is inserted.
create index payments_by_time on payments using brin (captured_at) with (pages_per_range = 32, autosummarize = on);

alter table reconciliations
  add column healed_more bigint not null default 0 check (healed_more >= 0),
  add column discrepancies_more bigint not null default 0 check (discrepancies_more >= 0);

-- What is found again and was dismissed is not opened again.
create index discrepancies_dismissed on discrepancies (subject) where status = 'dismissed';
