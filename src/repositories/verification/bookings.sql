-- What is stored of bookings and cannot be beside what else is stored of them.
with booking as (
  select * from public.bookings where id = any($1)
), event as (
  -- What names money, and who has wanted it back: the others may hold texts that are no JSON of
  -- Postgres'.
  select booking_id, id, kind,
         payload ->> 'paymentId' as payment_id, payload ->> 'refundId' as refund_id,
         payload ->> 'disputeId' as dispute_id, payload ->> 'status' as status,
         payload ->> 'reason' as reason, payload ->> 'code' as code,
         (payload -> 'amount' ->> 'amountMinor')::bigint as amount_minor,
         (payload -> 'discount' ->> 'amountMinor')::bigint as discount_minor
  from public.booking_events
  where booking_id = any($1)
    and kind in ('confirmed', 'balancePaid', 'surplusKept', 'refundRequested', 'refundSettled',
                 'refundMadeByHand', 'disputeOpened', 'disputeUpdated', 'disputeFundsWithdrawn',
                 'disputeFundsReinstated', 'disputeClosed', 'voucherRedeemed',
                 'cancellationRequested', 'showCancelled')
), payment as (
  select payment.*, coalesce(born.was_kept, false) as was_kept, born.is_told,
         capture.payment_event_id is not null as is_by_event
  from public.payments as payment
  left join (
    select payment_id, max(payment_event_id) as payment_event_id
    from public.ledger_transfers
    where booking_id = any($1) and kind = 'capture'
    group by payment_id
  ) as capture on capture.payment_id = payment.id
  left join (
    select payment_id::uuid, bool_or(kind = 'surplusKept') as was_kept, true as is_told
    from event
    where kind in ('confirmed', 'balancePaid', 'surplusKept') and payment_id is not null
    group by payment_id
  ) as born on born.payment_id = payment.id
  where payment.booking_id = any($1)
), refund as (
  select refund.*, told.amount_minor as told_minor, told.ended, told.is_by_hand, told.asked_for
  from public.refunds as refund
  left join (
    select refund_id::uuid, max(amount_minor) as amount_minor,
           (array_agg(status order by id desc) filter (where kind = 'refundSettled'))[1] as ended,
           bool_or(kind = 'refundMadeByHand') as is_by_hand,
           max(reason) filter (where kind = 'refundRequested') as asked_for
    from event
    where refund_id is not null
    group by refund_id
  ) as told on told.refund_id = refund.id
  where refund.booking_id = any($1)
), dispute as (
  select dispute.*, told.dispute_id is not null as is_told, told.status as told_status
  from public.disputes as dispute
  left join (
    select dispute_id,
           (array_agg(status order by id desc)
              filter (where kind in ('disputeUpdated', 'disputeClosed')))[1] as status
    from event
    where dispute_id is not null
    group by dispute_id
  ) as told on told.dispute_id = dispute.id::text
  where dispute.booking_id = any($1)
), side_by_side as (
  select 'what is paid of booking ' || booking.id as subject,
         concat_ws(' ', booking.paid_minor, booking.currency) as stored,
         'its payments say' as witness,
         concat_ws(' ', sum(coalesce(payment.amount_minor, 0)),
                   coalesce(min(payment.currency), booking.currency)) as said
  from booking
  left join payment on payment.booking_id = booking.id and payment.disposition = 'applied'
  group by booking.id, booking.paid_minor, booking.currency
  union all
  -- What was conceded in a review lets a booking be confirmed for less.
  select 'booking ' || id, 'confirmed for ' || paid_minor + conceded_minor || ' ' || currency,
         'what is due says', due_minor || ' ' || currency
  from booking
  where status = 'confirmed' and paid_minor + conceded_minor < due_minor
  union all
  select 'attempt ' || attempt.id,
         concat_ws(' ', attempt.part, attempt.amount_minor, booking.currency),
         'its booking says',
         concat_ws(' ', booking.due_minor, booking.currency, 'of', booking.total_minor)
  from public.checkout_attempts as attempt
  join booking on booking.id = attempt.booking_id
  left join payment as deposit
    on deposit.booking_id = booking.id and deposit.part = 'deposit'
      and deposit.disposition = 'applied'
  where attempt.amount_minor <> case attempt.part
      -- A person may have accepted a deposit of more than was due: it makes the balance smaller.
      when 'balance' then
        booking.total_minor - greatest(booking.due_minor, deposit.amount_minor)
      else booking.due_minor
    end
  union all
  select 'booking ' || booking.id, 'to be paid ' || booking.payment_option, 'its attempts say',
         case attempt.part when 'full' then 'to be paid full' else 'to be paid half' end
  from public.checkout_attempts as attempt
  join booking on booking.id = attempt.booking_id
  where attempt.booking_id = any($1)
  union all
  -- Neither changes once something is sold.
  select 'what booking ' || booking.id || ' costs', booking.total_minor || ' ' || booking.currency,
         'its show says',
         listed.price_minor - coalesce(use.discount_minor, 0) || ' ' || show.currency
  from booking
  join public.shows as show on show.id = booking.show_id
  cross join lateral (
    select coalesce(sum(tier.price_minor), 0) as price_minor
    from unnest(booking.seats) as wanted (label)
    join public.show_seats as seat on seat.show_id = show.id and seat.label = wanted.label
    join public.show_tiers as tier on tier.show_id = show.id and tier.name = seat.tier
  ) as listed
  left join public.voucher_redemptions as use on use.booking_id = booking.id
  union all
  select 'what booking ' || booking.id || ' costs', booking.total_minor || ' ' || booking.currency,
         'its service says',
         (service.hour_price_minor
             * extract(epoch from slot_ends_at - slot_starts_at) / 3600)::bigint
           - coalesce(use.discount_minor, 0) || ' ' || service.currency
  from booking
  join public.services as service on service.id = booking.service_id
  left join public.voucher_redemptions as use on use.booking_id = booking.id
  union all
  select 'the cancellation policy of booking ' || booking.id, booking.cancellation_policy::text,
         case booking.kind when 'show' then 'its show says' else 'its service says' end,
         coalesce(show.cancellation_policy, service.cancellation_policy)::text
  from booking
  left join public.shows as show on show.id = booking.show_id
  left join public.services as service on service.id = booking.service_id
  where show.id is not null or service.id is not null
  union all
  select 'attempt ' || attempt.id, attempt.status::text, 'its payments say',
         case when attempt.status = 'paid' then 'unpaid' else 'paid' end
  from public.checkout_attempts as attempt
  where attempt.booking_id = any($1)
    and (attempt.status = 'paid') <> exists (
      select from payment where payment.attempt_id = attempt.id
    )
  union all
  select 'booking ' || booking.id, 'live, with the seats ' || array_to_string(booking.seats, ', '),
         'its claims say', coalesce(nullif(array_to_string(claimed.labels, ', '), ''), 'none')
  from booking
  cross join lateral (
    select array(select label from public.seat_claims
                 where booking_id = booking.id and show_id = booking.show_id
                 order by label) as labels
  ) as claimed
  where booking.live and booking.kind = 'show'
    and claimed.labels <> array(select label from unnest(booking.seats) as wanted (label)
                                order by label collate "C")
  union all
  select 'seat ' || claim.label || ' of show ' || claim.show_id,
         'claimed by booking ' || claim.booking_id, 'that says', 'that it has ended'
  from public.seat_claims as claim
  join booking on booking.id = claim.booking_id
  where not booking.live
  union all
  select 'booking ' || booking.id,
         case when claim.booking_id is null then 'no slot' else 'a slot, ' || claim.during end,
         'it has a right to',
         case when booking.live and booking.kind = 'service'
           then concat_ws(' ', 'that of resource', booking.resource_id, 'from',
                          booking.slot_starts_at, 'to', booking.slot_ends_at) else 'none' end
  from booking
  left join public.slot_claims as claim on claim.booking_id = booking.id
  where case
      when booking.live and booking.kind = 'service' then
        (claim.service_id = booking.service_id and claim.resource_id = booking.resource_id
          and lower(claim.during) = booking.slot_starts_at
          and upper(claim.during) >= booking.slot_ends_at) is not true
      else claim.booking_id is not null
    end
  union all
  select 'the voucher of booking ' || booking.id,
         case when use.booking_id is not null then
           use.discount_minor || case when use.live then ', counts' else ', does not count' end end,
         'the booking says',
         case when told.discount_minor is not null then
           told.discount_minor
             || case when booking.live then ', counts' else ', does not count' end end
  from booking
  left join public.voucher_redemptions as use on use.booking_id = booking.id
  left join event as told on told.booking_id = booking.id and told.kind = 'voucherRedeemed'
  where use.booking_id is not null or told.booking_id is not null
  union all
  select 'payment ' || payment.id, 'settled by ' || settled_by, 'the ledger says',
         'that no event has brought it'
  from payment
  where settled_by in ('webhook', 'replay') and not is_by_event
  union all
  select 'payment ' || payment.id, payment.amount_minor || ' ' || payment.currency,
         'its booking''s past says', null
  from payment
  where is_told is null
  union all
  select 'payment ' || told.payment_id, null, 'its booking''s past says', told.kind
  from event as told
  where told.kind in ('confirmed', 'balancePaid', 'surplusKept') and told.payment_id is not null
    and not exists (select from payment where payment.id = told.payment_id::uuid)
  union all
  select 'payment ' || payment.id, payment.amount_minor || ' ' || payment.currency,
         'what is kept of it says', told.amount_minor || ' ' || payment.currency
  from payment
  join event as told on told.kind = 'surplusKept' and told.payment_id = payment.id::text
  where told.amount_minor <> payment.amount_minor
  union all
  select 'payment ' || payment.id, 'surplus, ' || surplus_reason, 'its refunds say', 'not returned'
  from payment
  where surplus_reason in ('already_paid', 'late_payment', 'cancelled')
    and not exists (select from refund
                    where refund.payment_id = payment.id and refund.source = 'surplus')
  union all
  select 'payment ' || payment.id, payment.amount_minor || ' ' || payment.currency,
         'its refunds say',
         (select sum(refund.amount_minor) || ' ' || payment.currency from refund
          where refund.payment_id = payment.id and refund.status not in ('failed', 'canceled'))
  from payment
  where payment.amount_minor < (
      select sum(refund.amount_minor) from refund
      where refund.payment_id = payment.id and refund.status not in ('failed', 'canceled')
    )
  union all
  select 'refund ' || refund.id, concat_ws(' ', amount_minor, currency, status),
         'its booking''s past says',
         concat_ws(' ', told_minor, currency, coalesce(ended, 'still on its way'))
  from refund
  where told_minor is distinct from amount_minor
    or ended is distinct from case when status in ('succeeded', 'failed', 'canceled')
         then status::text end
  union all
  -- Of one that somebody has made in the dashboard, only Stripe says why. It may be one that was
  -- asked for before, and then keeps who had asked, and why.
  select 'refund ' || refund.id,
         concat_ws(
           ', for ', refund.source,
           case when not (is_by_hand and refund.source = 'dashboard') then refund.reason end
         ),
         'its booking''s past says',
         case
           when is_by_hand and refund.source = 'dashboard' then 'dashboard'
           when asked_for is not null then 'admin, for ' || asked_for
           else coalesce(possible.words, 'nothing') end
  from refund
  left join lateral (
    -- Asked for without a word: by ourselves, by who has cancelled, or as the rest of another one.
    select words
    from (
      select 'surplus, for ' || told.reason as words
      from event as told
      where told.kind = 'surplusKept' and told.payment_id = refund.payment_id::text
      union all
      select source || ', for ' || cancelled.reason
      from payment
      -- What is kept apart goes back with a show that is cancelled as what an admin has asked for.
      join (values ('policy'), ('admin')) as asked (source)
        on source = 'policy' or was_kept and disposition = 'surplus'
      cross join (
        select booking_id, coalesce(reason, 'cancelled') as reason
        from event
        where kind in ('cancellationRequested', 'showCancelled')
        union all
        select booking.id, run.reason
        from booking
        join public.runs as run on run.show_id = booking.show_id
      ) as cancelled
      where payment.id = refund.payment_id and cancelled.booking_id = refund.booking_id
      union all
      select 'admin, for ' || other.reason
      from event as other
      where other.kind = 'refundRequested' and other.booking_id = refund.booking_id
    ) as reasons
    order by words is not distinct from refund.source || ', for ' || refund.reason desc,
             words desc nulls last
    limit 1
  ) as possible on true
  where refund.told_minor is not null
  union all
  select 'refund ' || told.refund_id, null, 'its booking''s past says', told.kind
  from event as told
  where told.refund_id is not null
    and not exists (select from refund where refund.id = told.refund_id::uuid)
  union all
  select 'dispute ' || told.dispute_id, null, 'its booking''s past says', told.kind
  from event as told
  where told.kind = 'disputeOpened'
    and not exists (select from public.disputes where disputes.id = told.dispute_id::uuid)
  union all
  -- As long as it has not gone on, only Stripe says where it stands.
  select 'dispute ' || stripe_dispute_id, status::text, 'its booking''s past says',
         case when is_told then
           coalesce(told_status,
                    case when closed_at is null then status::text else 'not closed' end)
         end
  from dispute
), expected as (
  -- What has to be booked, by what is stored of payments, refunds and disputes.
  select id as payment_id, id::text as fact, 'capture' as kind, amount_minor, currency, booking_id,
         'stripe_balance' as debit,
         case when disposition = 'surplus' or was_kept
           then 'customer_surplus' else 'customer_payments' end as credit
  from payment
  union all
  select id, id::text, 'acceptance', amount_minor, currency, booking_id,
         'customer_surplus', 'customer_payments'
  from payment
  where disposition = 'applied' and was_kept
  union all
  select refund.payment_id, refund.id::text, 'refund', refund.amount_minor, refund.currency,
         refund.booking_id, null, 'stripe_balance'
  from refund
  where status in ('pending', 'succeeded')
    or status <> 'requested'
      and exists (select from public.ledger_transfers as gone
                  where gone.refund_id = refund.id and gone.kind = 'refund')
  union all
  select refund.payment_id, refund.id::text, 'refund_reversal', refund.amount_minor,
         refund.currency, refund.booking_id, 'stripe_balance', null
  from refund
  where status in ('failed', 'canceled')
    and exists (select from public.ledger_transfers as gone
                where gone.refund_id = refund.id and gone.kind = 'refund')
  union all
  -- What a bank gives back may come in parts.
  select dispute.payment_id, dispute.id::text, moved.kind, sum(told.amount_minor), dispute.currency,
         dispute.booking_id, moved.debit, moved.credit
  from dispute
  join event as told on told.dispute_id = dispute.id::text
  join (values ('disputeFundsWithdrawn', 'dispute_withdrawal', 'disputed_funds', 'stripe_balance'),
               ('disputeFundsReinstated', 'dispute_reinstatement', 'stripe_balance',
                'disputed_funds'))
    as moved (told_kind, kind, debit, credit) on moved.told_kind = told.kind
  group by dispute.payment_id, dispute.id, moved.kind, dispute.currency, dispute.booking_id,
           moved.debit, moved.credit
), transfer as (
  select payment_id, coalesce(dispute_id, refund_id, payment_id)::text as fact, kind, amount_minor,
         currency, booking_id,
         -- Which account of the buyer's a refund goes by depends on the time; the gauge says more.
         case kind when 'refund' then null else debit end as debit,
         case kind when 'refund_reversal' then null else credit end as credit
  from public.ledger_transfers
  where booking_id = any($1)
), booked as (
  select payment_id, fact, kind, sum(amount_minor) as amount_minor, currency, booking_id, debit,
         credit
  from transfer
  group by payment_id, fact, kind, currency, booking_id, debit, credit
), wrong as (
  select * from side_by_side where stored is distinct from said
  union all
  select 'the ''' || coalesce(booked.kind, expected.kind) || ''' of '
           || coalesce(booked.fact, expected.fact),
         case when booked.kind is not null then
           concat_ws(' ', booked.amount_minor, booked.currency, 'from', booked.credit, 'to',
                     booked.debit, 'of booking', booked.booking_id) end,
         'the facts say',
         case when expected.kind is not null then
           concat_ws(' ', expected.amount_minor, expected.currency, 'from', expected.credit, 'to',
                     expected.debit, 'of booking', expected.booking_id) end
  from booked
  full join expected
    on (expected.kind, expected.fact, expected.payment_id)
      = (booked.kind, booked.fact, booked.payment_id)
  where (booked.amount_minor, booked.currency, booked.booking_id, booked.debit, booked.credit)
    is distinct from (expected.amount_minor, expected.currency, expected.booking_id,
                      expected.debit, expected.credit)
  union all
  select 'payment ' || payment_id, captured_minor || ' ' || currency, 'the gauge says',
         unplaced_minor || ' ' || currency || ' are in none of its places, or in two'
  from public.money_places
  where booking_id = any($1) and unplaced_minor <> 0
)
select subject as "subject!", stored, witness as "witness!", said from wrong
