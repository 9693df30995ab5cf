-- Where what Stripe reports differs from our records, and a person has to look.

create table discrepancies (
  id uuid primary key,
  kind text not null check (kind <> ''),
  subject text not null check (subject <> ''),
  booking_id uuid references bookings,
  -- Not jsonb, which refuses strings that Stripe may send.
  ours json not null,
  theirs json not null,
  status text not null default 'open' check (status in ('open', 'healed', 'dismissed')),
  found_at timestamptz not null,
  dismiss_reason text,
  -- Refuses a reason without a dismissal.
  constraint discrepancies_dismissed_for_reason check (status = 'dismissed' or dismiss_reason is null)
);
-- Refuses to open the same difference twice, however often Stripe repeats it.
create unique index discrepancies_one_open on discrepancies (kind, subject) where status = 'open';
