//! What is changed by hand, past all that refuses it, is found, whatever it is.

use sqlx::{AssertSqlSafe, Executor};

use crate::harness::TestApp;

/// What is changed, how, and what is said of it.
pub(super) type Case = (&'static str, &'static str, &'static str);

const PAID: &str = "(select id from payments where disposition = 'applied' and part = 'full'
                     and settled_by = 'webhook' and exists (
                       select from bookings b where b.id = booking_id and b.seats = '{A2}'))";

const MONEY: [Case; 17] = [
    (
        "payments",
        "update payments set amount_minor = 2400 where id = $paid",
        "stored 2400 eur full captured at",
    ),
    (
        "payments",
        "update payments set captured_at = captured_at - interval '1 day' where id = $paid",
        "the replay says 1200 eur full captured at",
    ),
    (
        "payments",
        "update payments set stripe_payment_intent_id = 'pi_other' where id = $paid",
        "a payment by pi_",
    ),
    (
        "payments",
        "update payments set disposition = 'surplus', surplus_reason = 'late_payment'
         where id = $paid",
        "not returned",
    ),
    (
        "payments",
        "update payments set disposition = 'applied', surplus_reason = null
         where surplus_reason = 'late_payment'",
        "what is paid of booking",
    ),
    (
        "payments",
        "delete from payments where id = $paid",
        "stored nothing, the replay says 1200 eur",
    ),
    (
        "ledger_transfers",
        "update ledger_transfers set amount_minor = 1100 where payment_id = $paid
         and kind = 'capture'",
        "the gauge says",
    ),
    (
        "ledger_transfers",
        "update ledger_transfers set payment_event_id = null where payment_id = $paid",
        "the ledger says that no event has brought it",
    ),
    (
        "ledger_transfers",
        "delete from ledger_transfers where kind = 'refund'",
        "are in none of its places, or in two",
    ),
    (
        "ledger_transfers",
        "delete from ledger_transfers where kind = 'acceptance'",
        "the 'acceptance' of",
    ),
    (
        "ledger_transfers",
        "delete from ledger_transfers where kind = 'dispute_withdrawal'",
        "dispute du_",
    ),
    (
        "refunds",
        "update refunds set status = 'failed' where source = 'admin'",
        "its booking's past says 500 eur succeeded",
    ),
    (
        "refunds",
        "update refunds set amount_minor = 400 where source = 'policy'",
        "stored 400 eur",
    ),
    (
        "refunds",
        "delete from refunds where source = 'surplus'",
        "not returned",
    ),
    (
        "disputes",
        "update disputes set status = 'won', closed_at = reported_at",
        "the replay says 1200 eur needs_response",
    ),
    (
        "disputes",
        "update disputes set amount_minor = 1",
        "stored 1 eur needs_response",
    ),
    (
        "disputes",
        "delete from disputes",
        "stored nothing, the replay says 1200 eur",
    ),
];

const BOOKINGS: [Case; 13] = [
    (
        "bookings",
        "update bookings set paid_minor = 1199, conceded_minor = 1 where seats = '{A2}'",
        "stored 1199 eur, its payments say 1200 eur",
    ),
    (
        "bookings",
        "update bookings set status = 'cancelled', cancelled_at = now() where seats = '{A6}'",
        "its past says Confirmed",
    ),
    (
        "bookings",
        "update bookings set total_minor = 600, due_minor = 600, paid_minor = 600
         where seats = '{A2}'",
        "its booking says 600 eur",
    ),
    (
        "bookings",
        "update bookings set conceded_minor = -1 where kind = 'service'",
        "2001 usd met, its past says Confirmed, 2002 usd met",
    ),
    (
        "seat_claims",
        "delete from seat_claims where label = 'A2'",
        "its claims say none",
    ),
    (
        "seat_claims",
        "update seat_claims set booking_id = (select id from bookings where status = 'cancelled')
         where label = 'A2'",
        "that says that it has ended",
    ),
    (
        "slot_claims",
        "delete from slot_claims",
        "stored no slot, it has a right to",
    ),
    (
        "slot_claims",
        "update slot_claims set during = tstzrange(lower(during) + interval '1 hour',
                                                   upper(during) + interval '1 hour')",
        "it has a right to that of resource",
    ),
    (
        "checkout_attempts",
        "update checkout_attempts set amount_minor = 1100
         where booking_id = (select id from bookings where seats = '{A2}')",
        "its booking says 1200 eur",
    ),
    (
        "checkout_attempts",
        "update checkout_attempts set status = 'expired'
         where booking_id = (select id from bookings where seats = '{A2}')",
        "stored expired, its payments say paid",
    ),
    (
        "voucher_redemptions",
        "update voucher_redemptions set discount_minor = 1",
        "stored 1, counts, the booking says 1250, counts",
    ),
    (
        "voucher_redemptions",
        "update voucher_redemptions set live = false",
        "does not count, the booking says",
    ),
    (
        "booking_events",
        "delete from booking_events
         where kind = 'confirmed' and payload ->> 'paymentId' = $paid::text",
        "its booking's past says nothing",
    ),
];

const RECORDS: [Case; 13] = [
    (
        "vouchers",
        "insert into voucher_redemptions (booking_id, voucher_id, discount_minor, redeemed_at)
         select b.id, v.id, 1, now() from bookings b, vouchers v
         where b.status = 'confirmed' and b.seats <> '{B1}';
         update vouchers set max_uses = 1",
        "uses at most, its uses say",
    ),
    (
        "charges",
        "update charges set method_last4 = '0000'",
        "the charge of pi_",
    ),
    (
        "charges",
        "delete from charges",
        "stored nothing, the replay says ChargeReport",
    ),
    (
        "charges",
        "insert into charges (stripe_payment_intent_id, stripe_charge_id, reported_at)
         select stripe_payment_intent_id, 'ch_x', now() from payments where settled_by = 'verify'",
        "the replay says nothing",
    ),
    (
        "failed_payments",
        "update failed_payments set decline_code = 'stolen_card'",
        "the failed try",
    ),
    (
        "failed_payments",
        "delete from failed_payments",
        "the failed try",
    ),
    (
        "payment_events",
        "update payment_events set payload = replace(payload, '1200', '1300')
         where id = (select payment_event_id from ledger_transfers
                     where payment_id = $paid and kind = 'capture')",
        "the replay says 1300 eur full captured at",
    ),
    (
        "payment_events",
        "update payment_events set payload = replace(payload, '1200', '1300')
         where type in ('payment_intent.succeeded', 'checkout.session.completed')
           and booking_id = (select id from bookings where seats = '{A2}')
           and id <> (select payment_event_id from ledger_transfers
                      where payment_id = $paid and kind = 'capture')",
        "but this report differs from what was asked for",
    ),
    (
        "payment_events",
        "update payment_events set outcome = 'all is well' where type = 'charge.dispute.created'",
        "all is well, the replay says",
    ),
    (
        "payment_events",
        "update payment_events set outcome = 'ignored: it is of nobody', status = 'ignored'
         where type = 'checkout.session.completed'
           and booking_id = (select id from bookings where seats = '{A2}')",
        "Ignored, ignored: it is of nobody, the replay says Processed",
    ),
    (
        "payment_events",
        "update payment_events set stripe_payment_intent_id = 'pi_other'
         where type = 'checkout.session.completed'",
        "its body says",
    ),
    (
        "payment_events",
        "update payment_events set payload = 'torn' where type = 'charge.succeeded'",
        "that it cannot be read",
    ),
    (
        "payment_events",
        "delete from payment_events where id = (select payment_event_id from ledger_transfers
                                                where payment_id = $paid and kind = 'capture')",
        "the replay says nothing",
    ),
];

#[tokio::test]
async fn money_that_was_changed_by_hand_is_found() {
    each_is_found(&MONEY).await;
}

#[tokio::test]
async fn a_booking_that_was_changed_by_hand_is_found() {
    each_is_found(&BOOKINGS).await;
}

#[tokio::test]
async fn a_record_that_was_changed_by_hand_is_found() {
    each_is_found(&RECORDS).await;
}

/// One after the other, each undone before the next.
pub(super) async fn each_is_found(cases: &[Case]) {
    let harness = TestApp::new().await;
    harness.live_through_much().await;
    let mut missed = Vec::new();
    for (table, tamper, said) in cases {
        keep(&harness, table).await;
        let tamper = tamper.replace("$paid", PAID);
        past_all_guards(&harness, &tamper).await;

        let found = harness.verify().await;

        if !found.iter().any(|line| line.contains(said)) {
            missed.push(format!("{tamper}\n  {said:?} is not in {found:#?}"));
        }
        undo(&harness, table).await;
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

pub(super) async fn past_all_guards(harness: &TestApp, statement: &str) {
    let changed =
        format!("begin; set local session_replication_role = replica; {statement}; commit");
    harness.db().execute(AssertSqlSafe(changed)).await.unwrap();
}

/// Puts the rows of all tables that the cases change aside.
async fn keep(harness: &TestApp, table: &str) {
    for table in changed_with(table) {
        let kept = format!(
            "create schema if not exists kept; drop table if exists kept.{table};
             create table kept.{table} as table {table}"
        );
        harness.db().execute(AssertSqlSafe(kept)).await.unwrap();
    }
}

async fn undo(harness: &TestApp, table: &str) {
    for table in changed_with(table) {
        let columns = format!(
            "select string_agg(attname, ', ') from pg_attribute
             where attrelid = '{table}'::regclass and attnum > 0 and attgenerated = ''"
        );
        let columns = harness.sql(&columns).await;
        let undone = format!(
            "delete from {table};
             insert into {table} ({columns}) overriding system value
             select {columns} from kept.{table}"
        );
        past_all_guards(harness, &undone).await;
    }
}

/// A voucher is used too often by its uses.
fn changed_with(table: &str) -> Vec<&str> {
    let also = (table == "vouchers").then_some("voucher_redemptions");
    [table].into_iter().chain(also).collect()
}
