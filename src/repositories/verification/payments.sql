-- Payments that events have brought: as they are stored, beside as they came out again.
with stored as (
  select payment.id, payment.attempt_id, payment.stripe_payment_intent_id as intent,
         capture.payment_event_id,
         concat_ws(' ', payment.amount_minor, payment.currency, payment.part, 'captured at',
                   payment.captured_at, 'of booking', payment.booking_id, 'by',
                   capture.payment_event_id, 'booked to', capture.credit) as words,
         surplus_reason
  from public.payments as payment
  left join public.ledger_transfers as capture
    on capture.payment_id = payment.id and capture.kind = 'capture'
      -- By the index of bookings, however many transfers there are.
      and capture.booking_id = any($1)
  where payment.booking_id = any($1)
), replayed as (
  select payment.id, payment.attempt_id, payment.stripe_payment_intent_id as intent,
         concat_ws(' ', payment.amount_minor, payment.currency, payment.part, 'captured at',
                   payment.captured_at, 'of booking', payment.booking_id, 'by',
                   capture.payment_event_id, 'booked to', capture.credit) as words,
         surplus_reason
  from payments as payment
  join ledger_transfers as capture
    on capture.payment_id = payment.id and capture.kind = 'capture'
), side_by_side as (
  select coalesce('payment ' || stored.id, 'a payment by ' || replayed.intent, 'a payment')
           as subject,
         -- Why it is kept apart is forgotten when a person accepts it.
         concat_ws(', ', stored.words, stored.surplus_reason) as stored,
         concat_ws(', ', replayed.words,
                   case when stored.id is null or stored.surplus_reason is not null
                     then replayed.surplus_reason end) as said,
         stored.id is not null as is_stored, replayed.id is not null as is_replayed,
         stored.payment_event_id
  from stored
  full join replayed
    on replayed.attempt_id = stored.attempt_id
     and coalesce(replayed.intent, '') = coalesce(stored.intent, '')
)
select subject as "subject!", case when is_stored then stored end as stored,
       'the replay says' as "witness!", case when is_replayed then said end as said
from side_by_side
where case
    when not is_stored then true
    -- What was learned by asking no event can say.
    when not is_replayed then payment_event_id is not null
    else stored <> said
  end
