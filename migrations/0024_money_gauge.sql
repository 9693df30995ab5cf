-- Where captured money is. Each minor unit that Stripe has captured is in exactly one place at any commit; the gauge says
-- how much is not.

-- One row per payment. What was captured, and what has gone back, say the payments and refunds; what is left, and what banks
-- have taken of it, says the ledger. The two know nothing of each other, so that a fact that only one of them has shows.
create view money_places as
select kept.payment_id, kept.booking_id, kept.currency, kept.captured_minor,
       case when place = 'revenue' then kept_minor - disputed_minor else 0 end as revenue_minor,
       -- Paid in advance for a booking whose balance is due.
       case when place = 'deposit' then kept_minor - disputed_minor else 0 end as deposit_minor,
       kept.refunded_minor,
       -- What a bank has taken beyond what was left is no captured money, but our loss.
       disputed_minor,
       case when place = 'surplus' then kept_minor - disputed_minor else 0 end as surplus_minor,
       -- In none of them, in two, or on an account that does not keep this payment.
       abs(captured_minor - refunded_minor - kept_minor) + abs(elsewhere_minor) + abs(least(taken_minor, 0))
         as unplaced_minor
from (
  select payment.id as payment_id, payment.booking_id, payment.currency, payment.amount_minor as captured_minor,
         case
           when payment.disposition = 'surplus' then 'surplus'
           when payment.part = 'deposit' and booking.live
             and booking.paid_minor + booking.conceded_minor < booking.total_minor then 'deposit'
           else 'revenue'
         end as place,
         refunded.minor as refunded_minor,
         case payment.disposition when 'surplus' then booked.surplus_minor else booked.payments_minor end as kept_minor,
         case payment.disposition when 'surplus' then booked.payments_minor else booked.surplus_minor end
           as elsewhere_minor,
         booked.taken_minor,
         greatest(least(booked.taken_minor,
           case payment.disposition when 'surplus' then booked.surplus_minor else booked.payments_minor end), 0)
           as disputed_minor
  from payments as payment
  left join bookings as booking on booking.id = payment.booking_id
  cross join lateral (
    select coalesce(sum(refund.amount_minor), 0)::bigint as minor
    from refunds as refund
    where refund.payment_id = payment.id and refund.status in ('pending', 'succeeded')
  ) as refunded
  cross join lateral (
    select coalesce(sum(amount_minor * (
             (credit = 'customer_payments')::int - (debit = 'customer_payments')::int)), 0)::bigint as payments_minor,
           coalesce(sum(amount_minor * (
             (credit = 'customer_surplus')::int - (debit = 'customer_surplus')::int)), 0)::bigint as surplus_minor,
           coalesce(sum(amount_minor * (
             (debit = 'disputed_funds')::int - (credit = 'disputed_funds')::int)), 0)::bigint as taken_minor
    from ledger_transfers as transfer
    where transfer.booking_id = payment.booking_id and transfer.payment_id = payment.id
  ) as booked
) as kept;

-- The gauge: per currency, how much is not in exactly one place. All is well while it says 0.
create view money_unplaced as
select currency, sum(unplaced_minor)::bigint as unplaced_minor, count(*) filter (where unplaced_minor <> 0) as payments
from money_places
group by currency;
