//! What belongs to a booking, and leads nowhere; and what cannot be replayed.

use super::tampered::past_all_guards;
use crate::harness::TestApp;

#[tokio::test]
async fn whatever_a_deleted_booking_has_left_behind_is_found() {
    let harness = TestApp::new().await.without_gauge();
    harness.live_through_much().await;
    past_all_guards(&harness, "delete from bookings").await;

    let found = harness.verify().await;

    for table in [
        "booking_events",
        "checkout_attempts",
        "disputes",
        "failed_payments",
        "ledger_transfers",
        "payment_events",
        "payments",
        "refunds",
        "seat_claims",
        "slot_claims",
        "voucher_redemptions",
    ] {
        let left = format!(" in {table}: stored ");
        let is_left =
            |line: &&String| line.contains(&left) && line.contains("bookings has nothing");
        assert!(
            found.iter().any(|line| is_left(&line)),
            "{table}: {found:#?}"
        );
    }
}

#[tokio::test]
async fn whatever_leads_nowhere_is_found() {
    for (tamper, said) in [
        (
            "update refunds set payment_id = gen_random_uuid() where source = 'admin'",
            "in refunds: stored once, payments has nothing",
        ),
        (
            "update bookings set show_id = gen_random_uuid() where seats = '{A2}'",
            "in bookings: stored once, shows has nothing",
        ),
        (
            "update bookings set user_id = 'user_nobody' where seats = '{A2}'",
            "user_id user_nobody in bookings: stored once, users has nothing",
        ),
        (
            "update bookings set service_id = gen_random_uuid() where kind = 'service'",
            "in bookings: stored once, services has nothing",
        ),
        (
            "update ledger_transfers set payment_event_id = 'evt_nobody'
             where payment_event_id = (select max(payment_event_id) from ledger_transfers)",
            "payment_event_id evt_nobody in ledger_transfers: stored once, payment_events has \
             nothing",
        ),
        (
            "update failed_payments set attempt_id = gen_random_uuid()",
            "in failed_payments: stored once, checkout_attempts has nothing",
        ),
        (
            "delete from vouchers",
            "in voucher_redemptions: stored once, vouchers has nothing",
        ),
        (
            "update ledger_transfers set amount_minor = amount_minor - 100 where kind = 'capture'
               and payment_id in (select id from payments where settled_by = 'verify')",
            "all payments in eur: stored 1 of them oddly, the gauge says 100 eur are in none of \
             its places, or in two",
        ),
    ] {
        let harness = TestApp::new().await.without_gauge();
        harness.live_through_much().await;
        past_all_guards(&harness, tamper).await;

        let found = harness.verify().await;

        let is_found = found.iter().any(|line| line.contains(said));
        assert!(is_found, "{tamper}\n  {said:?} is not in {found:#?}");
    }
}

#[tokio::test]
async fn what_cannot_be_replayed_is_named_and_holds_up_no_other() {
    let harness = TestApp::new().await.without_gauge();
    harness.live_through_much().await;
    let odd = "update booking_events set payload = '{\"kind\": \"confirmed\", \"paymentId\": 7}'
               where kind = 'confirmed' and booking_id = (
                 select id from bookings where seats = '{A2}'
               );
               update payments set amount_minor = 1201 where booking_id = (
                 select id from bookings where seats = '{A6}'
               )";
    past_all_guards(&harness, odd).await;

    let found = harness.verify().await;

    for said in [
        ": stored what cannot be replayed, the database says ",
        ": stored 1201 eur",
    ] {
        assert!(
            found.iter().any(|line| line.contains(said)),
            "{said}: {found:#?}"
        );
    }
}
