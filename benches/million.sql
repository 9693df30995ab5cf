-- A million bookings of the last month, each of one seat and paid, beside the fixture of the measurements: what a busy house
-- has after some years. Their ids begin with 0000: what the measurements make, seed and check begins with 01.
set session_replication_role = replica;
set synchronous_commit = off;

insert into users (id, created_at, updated_at)
select 'user_' || n, now() - interval '60 days', now() - interval '60 days' from generate_series(0, 9999) as n
on conflict do nothing;

insert into shows (id, title, starts_at, timezone, currency, max_seats_per_booking, cancellation_policy, created_at)
select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Past show ' || n, now() - interval '1 day',
       'Europe/Berlin', 'usd', 10, '[{"hoursBefore": 24, "refundPercent": 100}, {"hoursBefore": 0, "refundPercent": 0}]',
       now() - interval '60 days'
from generate_series(1, 5000) as n;

insert into show_tiers (show_id, name, position, price_minor)
select id, 'regular', 1, 1250 from shows where id < '01000000-0000-7000-8000-000000000000';

insert into show_seats (show_id, label, position, tier)
select id, chr(64 + r) || c, (r - 1) * 20 + c, 'regular'
from shows, generate_series(1, 10) as r, generate_series(1, 20) as c
where id < '01000000-0000-7000-8000-000000000000';

create temporary table million as
select n, ('00000001-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id, seat.show_id, seat.label,
       'cs_test_' || md5(n::text) || 'M' as session_id, 'pi_' || md5(n::text) as payment_intent_id,
       date_trunc('second', now() - interval '30 days' * (1 - n / 1e6)) as at
from (
  select show_id, label, row_number() over (order by show_id, position) as n
  from show_seats where show_id < '01000000-0000-7000-8000-000000000000'
) as seat;

insert into bookings (id, reference, user_id, kind, show_id, seats, status, currency, total_minor, due_minor, paid_minor,
                      cancellation_policy, confirmed_at, created_at, updated_at)
select id, 'HF-' || lpad(upper(to_hex(n + 8388608)), 6, '0'), 'user_' || n % 10000, 'show', show_id, array[label], 'confirmed', 'usd',
       1250, 1250, 1250, '[{"hoursBefore": 24, "refundPercent": 100}, {"hoursBefore": 0, "refundPercent": 0}]', at, at, at
from million order by n;
insert into seat_claims (show_id, label, booking_id) select show_id, label, id from million order by n;
insert into checkout_attempts (id, booking_id, part, ui, amount_minor, status, parameters, stripe_session_id,
                               stripe_payment_intent_id, expires_at, created_at, updated_at)
select id, id, 'full', 'hosted', 1250, 'paid', 'mode=payment&client_reference_id=' || id, session_id, payment_intent_id,
       at + interval '35 minutes', at, at
from million order by n;
insert into payments (id, booking_id, attempt_id, part, stripe_payment_intent_id, amount_minor, currency, disposition, settled_by,
                      captured_at)
select id, id, id, 'full', payment_intent_id, 1250, 'usd', 'applied', 'webhook', at from million order by n;
insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id, payment_id, payment_event_id, created_at)
select id, 'capture', 'stripe_balance', 'customer_payments', 1250, 'usd', id, id, 'evt_' || md5(n::text), at from million order by n;
insert into booking_events (booking_id, kind, payload, at)
select id, kind, json_build_object('kind', kind, name, value), at
from million
cross join lateral (
  values (1, 'held', 'until', to_json(at)), (2, 'confirmed', 'paymentId', to_json(id))
) as event (number, kind, name, value)
order by n, number;
insert into payment_events (id, type, api_version, livemode, stripe_created_at, stripe_session_id, stripe_payment_intent_id,
                            attempt_id, booking_id, payload, status, outcome, received_at, processed_at)
select 'evt_' || md5(n::text), 'checkout.session.completed', '2026-09-30.endive', false, at, session_id, payment_intent_id, id, id,
       json_build_object(
         'id', 'evt_' || md5(n::text), 'object', 'event', 'type', 'checkout.session.completed', 'livemode', false,
         'api_version', '2026-09-30.endive', 'created', extract(epoch from at)::bigint,
         'data', json_build_object('object', json_build_object(
           'id', session_id, 'object', 'checkout.session', 'mode', 'payment', 'status', 'complete', 'payment_status', 'paid',
           'amount_total', 1250, 'currency', 'usd', 'client_reference_id', id, 'payment_intent', payment_intent_id,
           'created', extract(epoch from at)::bigint, 'livemode', false,
           'metadata', json_build_object('bookingId', id, 'attemptId', id, 'app', 'holdfast'))))::text,
       'processed', 'the payment is applied and the booking confirmed', at, at
from million order by n;
set session_replication_role = origin;
vacuum analyze;
