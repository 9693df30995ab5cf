-- Refunds and disputes: as they are stored, beside what events have made of them again.
with stored_dispute as (
  select *, array(select concat_ws(' ', kind, sum(amount_minor), currency, 'from', credit, 'to',
                                   debit)
                  from public.ledger_transfers as transfer
                  where transfer.dispute_id = disputes.id
                  group by kind, currency, credit, debit
                  order by kind)::text as booked
  from public.disputes
  where booking_id = any($1)
), replayed_dispute as (
  select *, array(select concat_ws(' ', kind, sum(amount_minor), currency, 'from', credit, 'to',
                                   debit)
                  from ledger_transfers as transfer
                  where transfer.dispute_id = disputes.id
                  group by kind, currency, credit, debit
                  order by kind)::text as booked
  from disputes
), side_by_side as (
  select 'dispute ' || coalesce(stored.stripe_dispute_id, replayed.stripe_dispute_id) as subject,
         case when stored.id is not null then
           concat_ws(' ', stored.amount_minor, stored.currency, stored.status, 'of payment',
                     stored.payment_id, 'reported at', stored.reported_at, 'closed at',
                     stored.closed_at, 'opened at', stored.opened_at, stored.booked)
         end as stored,
         case when replayed.id is not null then
           concat_ws(' ', replayed.amount_minor, replayed.currency, replayed.status, 'of payment',
                     replayed.payment_id, 'reported at', replayed.reported_at, 'closed at',
                     replayed.closed_at, 'opened at', replayed.opened_at, replayed.booked)
         end as said
  from stored_dispute as stored
  full join replayed_dispute as replayed
    on replayed.stripe_dispute_id = stored.stripe_dispute_id
  union all
  -- What was learned by asking is given: events have nothing to add to it.
  select 'refund ' || coalesce(stored.id, replayed.id),
         case when stored.id is not null then
           concat_ws(' ', stored.amount_minor, stored.currency, stored.status, 'of payment',
                     stored.payment_id, stored.stripe_refund_id)
         end,
         case when replayed.id is not null then
           concat_ws(' ', replayed.amount_minor, replayed.currency, replayed.status, 'of payment',
                     replayed.payment_id, replayed.stripe_refund_id)
         end
  from (select * from public.refunds where booking_id = any($1)) as stored
  full join refunds as replayed on replayed.id = stored.id
)
select subject as "subject!", stored, 'the replay says' as "witness!", said
from side_by_side
where stored is distinct from said
