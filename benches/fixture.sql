-- The fixture of the measurements: 50 shows of 200 seats, as the kit gives its peers, and 250 more whose seats the pending
-- bookings of the webhook storm hold: here a pending booking without its own seats cannot be stored.
-- A superuser's session of this role skips triggers, among them those that refuse to forget money.
set session_replication_role = replica;
truncate shows, users, bookings, booking_events, payment_events cascade;
set session_replication_role = origin;

insert into users (id, created_at, updated_at)
select 'user_' || n, now(), now() from generate_series(0, 9999) as n
union all select 'warm', now(), now();

insert into shows (id, title, starts_at, timezone, currency, max_seats_per_booking, cancellation_policy, created_at)
select ('01990000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Show ' || n, now() + interval '30 days', 'Europe/Berlin',
       'usd', 10, '[{"hoursBefore": 24, "refundPercent": 100}, {"hoursBefore": 0, "refundPercent": 0}]', now()
from generate_series(1, 300) as n;

insert into show_tiers (show_id, name, position, price_minor)
select id, 'regular', 1, 1250 from shows;

insert into show_seats (show_id, label, position, tier)
select id, chr(64 + r) || c, (r - 1) * 20 + c, 'regular'
from shows, generate_series(1, 10) as r, generate_series(1, 20) as c;

vacuum analyze;
