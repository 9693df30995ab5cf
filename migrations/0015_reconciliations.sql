-- Comparisons of all that Stripe has of a stretch of time with our records.

create table reconciliations (
  id uuid primary key,
  state text not null default 'running' check (state in ('running', 'done', 'failed')),
  -- What Stripe has made since then is compared.
  since timestamptz not null,
  -- What comes next: `{"step": "sessions", "after": "cs_…"}`.
  progress json not null,
  checked bigint not null default 0 check (checked >= 0),
  healed json not null default '[]',
  discrepancy_ids uuid[] not null default '{}',
  sums json not null default '[]',
  created_at timestamptz not null,
  finished_at timestamptz,
  -- Refuses one that is over and has no end.
  constraint reconciliations_over_has_time check ((state = 'running') = (finished_at is null))
);
create index reconciliations_by_time on reconciliations (created_at);
