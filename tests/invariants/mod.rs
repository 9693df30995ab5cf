//! What must be true of the database whenever nothing is under way.

/// Each counts what must not be.
pub(crate) const INVARIANTS: [(&str, &str); 13] = [
    (
        "bookings whose paid sum is not that of their applied payments",
        "select count(*) from bookings b
         where paid_minor <> (select coalesce(sum(amount_minor), 0) from payments p
                              where p.booking_id = b.id and disposition = 'applied')",
    ),
    (
        "refunds whose money the ledger has not where their status says",
        "select count(*) from refunds r
         where (case when status in ('pending', 'succeeded') then amount_minor else 0 end)
               <> (select coalesce(sum(case kind when 'refund' then amount_minor
                                       else -amount_minor end), 0)
                   from ledger_transfers l where l.refund_id = r.id)",
    ),
    (
        "payments without exactly one transfer of the same amount",
        "select count(*) from payments p
         where 1 <> (select count(*) from ledger_transfers l
                     where l.payment_id = p.id and l.kind = 'capture'
                       and l.amount_minor = p.amount_minor and l.currency = p.currency)",
    ),
    (
        "captured money that is not in exactly one place",
        "select coalesce(sum(unplaced_minor), 0) from money_unplaced",
    ),
    (
        "confirmed bookings that have not been paid",
        "select count(*) from bookings
         where status = 'confirmed' and paid_minor + conceded_minor < due_minor",
    ),
    (
        "live bookings without all their seats",
        "select count(*) from bookings b
         where live and cardinality(seats) <> (select count(*) from seat_claims c
                                               where c.booking_id = b.id)",
    ),
    (
        "seats of bookings that have ended",
        "select count(*) from seat_claims c join bookings b on b.id = c.booking_id
         where not b.live",
    ),
    (
        "bookings that do not hold exactly the slot that they have a right to",
        "select count(*) from bookings b full join slot_claims c on c.booking_id = b.id
         where (b.live and b.kind = 'service') <> (c.booking_id is not null)
           or c.resource_id <> b.resource_id or lower(c.during) <> b.slot_starts_at",
    ),
    (
        "uses of vouchers that do not count exactly as long as their bookings are live",
        "select count(*) from voucher_redemptions r join bookings b on b.id = r.booking_id
         where r.live <> b.live",
    ),
    (
        "vouchers that are used more often than they may be",
        "select count(*) from vouchers v
         where max_uses < (select count(*) from voucher_redemptions r
                           where r.voucher_id = v.id and live and not beyond_limit)",
    ),
    (
        "bookings that the run of a cancelled show has ended, and that are live",
        "select count(*) from run_bookings r join bookings b on b.id = r.booking_id
         where r.state = 'done' and b.live",
    ),
    (
        // A refund that has failed was asked for, too, and a bank may have taken the money.
        "payments that the run of a cancelled show has not asked back",
        "select count(*) from run_bookings r join payments p on p.booking_id = r.booking_id
         where r.state = 'done' and p.disposition = 'applied'
           and not exists (select from disputes d where d.payment_id = p.id)
           and p.amount_minor > (select coalesce(sum(amount_minor), 0) from refunds
                                 where payment_id = p.id)",
    ),
    (
        "events that nobody has decided",
        "select count(*) from payment_events where status in ('received', 'failed')",
    ),
];
