//! What becomes of the money of a cancelled show: whatever comes, and whenever, goes back once, and
//! what does not is a failure with a reason.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    REFUNDS, STAND, cancel, cancelled, failure, goes_on, over, paid, refuse_refunds, run, show,
};
use crate::delayed::SEPA;
use crate::harness::TestApp;
use crate::refunds::refund_by_hand;

#[tokio::test]
async fn who_pays_before_their_page_is_closed_gets_it_back() {
    for is_heard in [true, false] {
        let harness = TestApp::new().await;
        let show = show(&harness).await;
        let booking = harness.customer("dana").booked(&show, &["A2"]).await;

        let path = cancelled(&harness, &show).await;
        if is_heard {
            harness.pay(&booking).await;
        } else {
            let session = json!({ "session": booking["checkout"]["sessionId"] });
            harness.pay_unheard(session).await;
        }
        let end = over(&harness, &path).await;

        assert_eq!(end["done"], 1, "{end}");
        assert_eq!(harness.sql(STAND).await, "cancelled");
        assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn what_a_bank_has_to_decide_is_cancelled_at_once_and_its_money_goes_back_if_it_comes() {
    for (outcome, back) in [("succeeded", "surplus pending 1200"), ("failed", "")] {
        let harness = TestApp::new().await;
        let show = show(&harness).await;
        let booking = harness.customer("dana").booked(&show, &["A2"]).await;
        let session = &booking["checkout"]["sessionId"];
        let delayed = json!({ "session": session, "card": SEPA });
        harness.knob("pay", delayed).await;
        harness.simulator.settled().await;
        assert_eq!(harness.sql(STAND).await, "processing");

        let path = cancelled(&harness, &show).await;
        harness.run_jobs().await;
        assert_eq!(harness.sql(STAND).await, "cancelled");
        assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
        let settled = json!({ "session": session, "outcome": outcome });
        harness.knob("settle", settled).await;
        harness.simulator.settled().await;
        harness.advance(TimeDelta::hours(6)).await;
        harness.run_jobs().await;
        let end = over(&harness, &path).await;

        assert_eq!(end["done"], 1, "{end}");
        assert_eq!(harness.sql(REFUNDS).await, back);
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn what_waits_for_a_person_is_decided() {
    let harness = TestApp::new().await;
    let show = show(&harness).await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let less = json!({ "session": booking["checkout"]["sessionId"], "amount": 1_100 });
    harness.knob("pay", less).await;
    harness.simulator.settled().await;
    assert_eq!(harness.sql(STAND).await, "review");

    let path = cancelled(&harness, &show).await;
    let end = over(&harness, &path).await;

    assert_eq!(end["done"], 1, "{end}");
    assert_eq!(harness.sql(STAND).await, "cancelled");
    assert_eq!(harness.sql(REFUNDS).await, "admin succeeded 1100");
    let seen_to = "select status || ' ' || dismiss_reason from discrepancies";
    assert_eq!(harness.sql(seen_to).await, "dismissed the film has torn");
    harness.reconcile().await;
}

#[tokio::test]
async fn what_was_given_back_before_is_not_given_back_again() {
    let harness = TestApp::new().await;
    let (show, booking, _) = paid(&harness).await;
    let id = booking["id"].as_str().unwrap();
    let some = json!({ "amount": { "amountMinor": 500, "currency": "eur" }, "reason": "late" });
    let refunds = format!("/api/admin/bookings/{id}/refunds");
    let asked = harness.admin().post(&refunds, some).await;
    assert_eq!(asked.status, 202, "{asked:?}");

    let path = cancelled(&harness, &show).await;
    let end = over(&harness, &path).await;

    assert_eq!(end["done"], 1, "{end}");
    let back = "admin succeeded 500, policy succeeded 700";
    assert_eq!(harness.sql(REFUNDS).await, back);
    harness.reconcile().await;
}

/// The buyer has cancelled by a policy that gives half, in a transaction that had seen the show on
/// sale.
#[tokio::test]
async fn who_cancels_at_the_same_moment_gets_the_rest_back_too() {
    let harness = TestApp::new().await;
    let policy = json!([{ "hoursBefore": 0, "refundPercent": 50 }]);
    let show = harness
        .show_with(json!({ "cancellationPolicy": policy }))
        .await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    harness.pay(&booking).await;

    let path = cancelled(&harness, &show).await;
    let unseen = "begin;
                  set local session_replication_role = replica;
                  update shows set status = 'on_sale';
                  commit";
    sqlx::raw_sql(unseen).execute(harness.db()).await.unwrap();
    let id = booking["id"].as_str().unwrap();
    let half = dana
        .post(&format!("/api/bookings/{id}/cancel"), json!({}))
        .await;
    assert_eq!(half.body["status"], "cancelled", "{half:?}");
    assert_eq!(harness.sql(REFUNDS).await, "policy requested 600");
    let seen = "update shows set status = 'cancelled'";
    sqlx::query(seen).execute(harness.db()).await.unwrap();
    let end = over(&harness, &path).await;

    assert_eq!(end["done"], 1, "{end}");
    let back = "policy succeeded 600, policy succeeded 600";
    assert_eq!(harness.sql(REFUNDS).await, back);
    harness.reconcile().await;
}

/// An admin has freed the seats of a booking that was paid when it was to be closed, and has given
/// a part of it back.
#[tokio::test]
async fn what_somebody_else_ends_meanwhile_gets_the_rest_back_too() {
    let harness = TestApp::new().await;
    let show = show(&harness).await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let session = json!({ "session": booking["checkout"]["sessionId"] });
    let path = cancelled(&harness, &show).await;
    harness.pay_unheard(session).await;
    harness.run_jobs().await;
    assert_eq!(harness.sql(STAND).await, "confirmed");

    let id = booking["id"].as_str().unwrap();
    let some = json!({
        "amount": { "amountMinor": 500, "currency": "eur" }, "reason": "late",
        "releaseSeats": true,
    });
    let refunds = format!("/api/admin/bookings/{id}/refunds");
    let asked = harness.admin().post(&refunds, some).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let end = over(&harness, &path).await;

    assert_eq!(end["done"], 1, "{end}");
    let back = "admin succeeded 500, policy succeeded 700";
    assert_eq!(harness.sql(REFUNDS).await, back);
    harness.reconcile().await;
}

#[tokio::test]
async fn a_refund_that_stripe_puts_off_is_waited_for() {
    let harness = TestApp::new().await;
    let (show, _, _) = paid(&harness).await;
    let path = cancelled(&harness, &show).await;
    refuse_refunds(&harness, "balance_insufficient", 2).await;

    for _ in 0..40 {
        assert!(goes_on(&harness).await);
    }
    let waiting = run(&harness, &path).await;
    harness.advance(TimeDelta::hours(12)).await;
    for _ in 0..2 {
        let sweep = holdfast::domain::job::Job::Sweep;
        holdfast::jobs::perform(&harness.app, &sweep).await.unwrap();
        harness.run_jobs().await;
        harness.advance(TimeDelta::hours(12)).await;
    }
    let end = over(&harness, &path).await;

    assert_eq!(waiting["state"], "running", "{waiting}");
    assert_eq!(
        (&waiting["done"], &waiting["failed"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(end["done"], 1, "{end}");
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_refund_that_stripe_refuses_is_a_failure_that_can_be_tried_again() {
    let harness = TestApp::new().await;
    let (show, booking, _) = paid(&harness).await;
    let emil = harness.customer("emil").booked(&show, &["A3"]).await;
    let path = cancelled(&harness, &show).await;
    refuse_refunds(&harness, "charge_already_refunded", 1).await;

    let first = over(&harness, &path).await;
    let again = cancel(&harness.admin(), &show, "once more").await;
    let last = over(&harness, &path).await;

    assert_eq!((&first["done"], &first["failed"]), (&json!(1), &json!(1)));
    assert_eq!(first["failures"][0]["bookingId"], booking["id"]);
    let error = first["failures"][0]["error"].as_str().unwrap();
    assert!(
        error.starts_with("A refund of 12.00 EUR has failed: "),
        "{error}"
    );
    assert!(error.contains("charge_already_refunded"), "{error}");
    let running = json!({
        "id": first["id"], "state": "running", "total": 2, "done": 1, "failed": 0, "failures": [],
    });
    assert_eq!((again.status, again.body), (202, running));
    assert_eq!((&last["done"], &last["failed"]), (&json!(2), &json!(0)));
    let back = "policy failed 1200, policy succeeded 1200";
    assert_eq!(harness.sql(REFUNDS).await, back);
    let ended = harness.customer("emil").booking(&emil).await;
    assert_eq!(ended["status"], "cancelled");
    harness.reconcile().await;
}

/// Banks send refunds back days later, when the run is over, and again when it was tried again.
#[tokio::test]
async fn a_refund_that_a_bank_sends_back_is_a_failure_whenever_the_run_is_read() {
    for before in ["pending", "succeeded"] {
        let harness = TestApp::new().await;
        let show = show(&harness).await;
        let booking = harness.customer("dana").booked(&show, &["A2"]).await;
        pay_slowly_refunded(&harness, &booking).await;
        let path = cancelled(&harness, &show).await;
        let first = over(&harness, &path).await;
        assert_eq!(first["done"], 1, "{first}");

        for refunds in ["", "policy failed 1200, "] {
            refund_becomes(&harness, before).await;
            assert_eq!(run(&harness, &path).await, first);
            let stand = format!("{refunds}policy {before} 1200");
            assert_eq!(harness.sql(REFUNDS).await, stand);
            refund_becomes(&harness, "failed").await;
            let failed = run(&harness, &path).await;
            let again = cancel(&harness.admin(), &show, "once more").await;
            let last = over(&harness, &path).await;

            assert_eq!(failed["state"], "done", "{failed}");
            let error = failure(&failed, &booking);
            assert!(
                error.starts_with("A refund of 12.00 EUR has failed: "),
                "{error}"
            );
            let running = json!({
                "id": first["id"], "state": "running", "total": 1, "done": 0, "failed": 0,
                "failures": [],
            });
            assert_eq!((again.status, again.body), (202, running));
            assert_eq!(last, first);
        }

        let refunds = "policy failed 1200, policy failed 1200, policy pending 1200";
        assert_eq!(harness.sql(REFUNDS).await, refunds);
        let told = "select count(*) from booking_events where kind = 'showCancelled'";
        assert_eq!(harness.sql(told).await, "1");
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn what_has_come_back_and_was_given_back_by_hand_is_no_failure() {
    let harness = TestApp::new().await;
    let show = show(&harness).await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let paid = pay_slowly_refunded(&harness, &booking).await;
    let path = cancelled(&harness, &show).await;
    let first = over(&harness, &path).await;
    refund_becomes(&harness, "failed").await;
    assert_eq!(run(&harness, &path).await["failed"], 1);

    let intent = paid["paymentIntent"].as_str().unwrap();
    refund_by_hand(&harness, intent, 1_200).await;
    let given = run(&harness, &path).await;
    let again = cancel(&harness.admin(), &show, "once more").await;

    assert_eq!(given, first);
    assert_eq!(again.body, first);
    let refunds = "policy failed 1200, dashboard pending 1200";
    assert_eq!(harness.sql(REFUNDS).await, refunds);
    harness.run_jobs().await;
    harness.reconcile().await;
}

/// Paid with a card to which refunds take days.
async fn pay_slowly_refunded(harness: &TestApp, booking: &Value) -> Value {
    let session = &booking["checkout"]["sessionId"];
    let slowly = json!({ "session": session, "card": "4000000000007726" });
    let paid = harness.knob("pay", slowly).await;
    harness.simulator.settled().await;
    paid
}

/// The last refund becomes so at Stripe.
async fn refund_becomes(harness: &TestApp, status: &str) {
    let last = "select stripe_refund_id from refunds order by id desc limit 1";
    let refund = harness.sql(last).await;
    let becomes = json!({ "status": status });
    if status != "pending" {
        harness.knob(&format!("refunds/{refund}"), becomes).await;
        harness.simulator.settled().await;
    }
}

/// A second session of the booking is paid with another amount than it asked for.
#[tokio::test]
async fn money_that_fits_nothing_is_left_to_a_person() {
    let harness = TestApp::new().await;
    let show = show(&harness).await;
    let (booking, other) = harness.booked_twice(&show, "A2").await;
    harness.pay(&booking).await;
    let odd = json!({ "session": other, "amount": 1_100 });
    harness.knob("pay", odd).await;
    harness.simulator.settled().await;

    let path = cancelled(&harness, &show).await;
    let end = over(&harness, &path).await;

    let sentence = "11.00 EUR came beside the price, and waits for somebody to decide.";
    assert_eq!(failure(&end, &booking), sentence);
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
    harness.reconcile().await;
}
