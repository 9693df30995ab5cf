-- What the role of `serve` may do, and nothing else: granted anew after each migration, so that
-- what a release no longer needs is gone. It owns nothing, so it can switch no trigger off. Needs
-- the setting holdfast.role.
do $$
declare
  role text := quote_ident(current_setting('holdfast.role'));
  relation text;
begin
  -- Of several that migrate at once, one after the other.
  perform pg_advisory_xact_lock(hashtext('holdfast.role'));
  execute format('revoke all on all tables in schema public, graphile_worker from %s', role);
  -- A function that somebody else puts beside ours can be the one that a statement of the owner's
  -- calls. Postgres 14, and a database that comes from it, lets everybody make one.
  execute format('revoke create on schema public, graphile_worker from public, %s', role);
  execute format('grant usage on schema public, graphile_worker to %s', role);
  execute format('grant select on all tables in schema public to %s', role);

  -- Facts, and what is sold and for how much: they are added, and never changed.
  foreach relation in array array[
    'audit_log', 'booking_events', 'failed_payments', 'ledger_transfers', 'movies', 'show_seats',
    'show_tiers'
  ] loop
    execute format('grant insert on %I to %s', relation, role);
  end loop;

  -- Events of Stripe's: what becomes of one is noted beside it.
  execute format('grant insert on payment_events to %s', role);
  execute format(
    'grant update (attempt_id, booking_id, status, outcome, deliveries, processed_at)
       on payment_events to %s', role
  );

  -- Records: they change, within what their constraints and triggers let through, and are kept.
  foreach relation in array array[
    'bookings', 'charges', 'checkout_attempts', 'compared_captures', 'discrepancies', 'disputes',
    'payments', 'refunds', 'run_bookings', 'runs', 'service_resources', 'services', 'shows',
    'untrusted_forwarders', 'users', 'voucher_redemptions', 'vouchers'
  ] loop
    execute format('grant insert, update on %I to %s', relation, role);
  end loop;

  -- One row, which is there.
  foreach relation in array array['run_pace', 'write_probe'] loop
    execute format('grant update on %I to %s', relation, role);
  end loop;

  -- What is over when its time has come.
  foreach relation in array array[
    'idempotency_keys', 'reconciliations'
  ] loop
    execute format('grant insert, update, delete on %I to %s', relation, role);
  end loop;
  foreach relation in array array['seat_claims', 'slot_claims'] loop
    execute format('grant insert, delete on %I to %s', relation, role);
  end loop;

  -- The job queue is its library's. Some of its tables let nobody but their owner see a row, unless
  -- a policy says so.
  execute format(
    'grant select, insert, update, delete on all tables in schema graphile_worker to %s', role
  );
  execute format('revoke insert, update, delete on graphile_worker.migrations from %s', role);
  execute format('grant usage, select on all sequences in schema graphile_worker to %s', role);
  execute format('grant insert, update, delete on jobs to %s', role);
  for relation in
    select tablename from pg_tables where schemaname = 'graphile_worker' and rowsecurity
  loop
    execute format('drop policy if exists holdfast_serve on graphile_worker.%I', relation);
    execute format(
      'create policy holdfast_serve on graphile_worker.%I to %s using (true) with check (true)',
      relation, role
    );
  end loop;
end $$;
