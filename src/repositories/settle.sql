-- The end of a settlement: payments with what they change, booking events, and events decided.
with captured as (
  select *
  from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[],
              $7::timestamptz[], $8::text[], $9::text[], $10::uuid[], $11::text[],
              $12::text[], $23::text[])
    as capture (payment_id, attempt_id, session_id, payment_intent_id, amount_minor,
                currency, captured_at, surplus_reason, event_id, transfer_id, debit,
                credit, settled_by)
), attempt as (
  -- Can be paid no more. What a paid attempt was paid as stays: this is a second payment.
  update checkout_attempts as attempt
  set status = 'paid', url = null, client_secret = null, updated_at = $13,
      stripe_session_id = case attempt.status when 'paid' then attempt.stripe_session_id
        else coalesce(captured.session_id, attempt.stripe_session_id) end,
      stripe_payment_intent_id = case attempt.status
        when 'paid' then attempt.stripe_payment_intent_id
        else coalesce(captured.payment_intent_id, attempt.stripe_payment_intent_id) end
  from captured
  where attempt.id = captured.attempt_id
  returning attempt.booking_id, attempt.part, captured.*,
            coalesce(captured.payment_intent_id, attempt.stripe_payment_intent_id) as paid_by
), payment as (
  insert into payments (id, booking_id, attempt_id, part, stripe_payment_intent_id,
                        amount_minor, currency, disposition, surplus_reason, settled_by,
                        captured_at)
  select payment_id, booking_id, attempt_id, part, paid_by, amount_minor, currency,
         (case when surplus_reason is null then 'applied' else 'surplus' end)
           ::payment_disposition,
         surplus_reason, settled_by, captured_at
  from attempt
  returning id
), transfer as (
  -- Money enters the ledger in the breath in which it is stored.
  insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency,
                                booking_id, payment_id, payment_event_id, created_at)
  select transfer_id, $14, debit, credit, amount_minor, currency, booking_id, payment_id,
         event_id, $13
  from attempt
), booking as (
  -- Only what is applied confirms.
  update bookings
  set status = 'confirmed', paid_minor = paid_minor + attempt.amount_minor,
      confirmed_at = coalesce(confirmed_at, $13), hold_expires_at = null,
      updated_at = $13
  from attempt
  where bookings.id = attempt.booking_id and attempt.surplus_reason is null
  returning bookings.id
), happened as (
  insert into booking_events (booking_id, kind, payload, at)
  select booking_id, kind, payload::json, $13
  from unnest($15::uuid[], $16::text[], $17::text[]) with ordinality
    as event (booking_id, kind, payload, number)
  order by number
), decided as (
  -- An event is processed if and only if its effect is committed with it.
  update payment_events as event
  set status = decided.status, outcome = decided.outcome,
      attempt_id = coalesce(decided.attempt_id, event.attempt_id),
      booking_id = decided.booking_id,
      processed_at = case when decided.status in ('processed', 'ignored')
        then $13::timestamptz end
  from unnest($18::text[], $19::payment_event_status[], $20::text[], $21::uuid[],
              $22::uuid[])
    as decided (id, status, outcome, attempt_id, booking_id)
  where event.id = decided.id
), charge as (
  -- The last word of Stripe's on how a payment was paid, whether the payment is stored or not.
  insert into charges (stripe_payment_intent_id, stripe_charge_id, method_type, method_brand,
                       method_last4, receipt_url, reported_at)
  select distinct on (payment_intent_id) payment_intent_id, charge_id, method_type,
         method_brand, method_last4, receipt_url, reported_at
  from json_to_recordset($24::json)
    as charge (payment_intent_id text, charge_id text, method_type text, method_brand text,
               method_last4 text, receipt_url text, reported_at timestamptz)
  order by payment_intent_id, reported_at desc
  on conflict (stripe_payment_intent_id) do update
  set stripe_charge_id = excluded.stripe_charge_id, method_type = excluded.method_type,
      method_brand = excluded.method_brand, method_last4 = excluded.method_last4,
      receipt_url = excluded.receipt_url, reported_at = excluded.reported_at
  where charges.reported_at <= excluded.reported_at
), failed as (
  insert into failed_payments (stripe_id, booking_id, attempt_id, stripe_payment_intent_id,
                               code, decline_code, method_type, method_brand, method_last4,
                               failed_at)
  select stripe_id, booking_id, attempt_id, payment_intent_id, code, decline_code,
         method_type, method_brand, method_last4, failed_at
  from json_to_recordset($25::json)
    as failed (stripe_id text, booking_id uuid, attempt_id uuid, payment_intent_id text,
               code text, decline_code text, method_type text, method_brand text,
               method_last4 text, failed_at timestamptz)
  order by stripe_id
  on conflict (stripe_id) do nothing
)
select (select count(*) from payment) as "payments!",
       (select count(*) from booking) as "bookings!",
       -- What was said of these payments before they were here.
       array(
         select id
         from payment_events
         where status = 'deferred' and stripe_payment_intent_id = any($4)
       ) as "deferred_events!"
