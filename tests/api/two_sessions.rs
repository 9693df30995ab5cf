//! Two sessions of one booking: the one behind a failure that Stripe had stored, and the one that
//! took its place.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::delayed::SEPA;
use crate::harness::{TestApp, send};

impl TestApp {
    /// A pending booking of Dana's with a session that nobody was told of: Stripe made it and
    /// answered with a failure, so that it was asked for again under a new key. Returns the
    /// booking, whose page is the new one, and the other session.
    pub(crate) async fn booked_twice(&self, show: &str, seat: &str) -> (Value, Value) {
        let dana = self.customer("dana");
        let failure = json!({
            "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 500, "stored": true,
            "should_retry": false,
        });
        self.knob("faults", failure).await;
        dana.book(show, &[seat])
            .await
            .refused(503, "payment_provider_unavailable");
        let id = dana.get("/api/bookings?limit=1").await.body["items"][0]["id"].clone();
        let reopened = dana
            .post(
                &format!("/api/bookings/{}/checkout", id.as_str().unwrap()),
                json!({}),
            )
            .await;
        assert_eq!(reopened.status, 200, "{reopened:?}");

        // The simulator stores the failure without making the session: it is made now, of what
        // Stripe had been sent.
        let parameters = format!(
            "select parameters from checkout_attempts
             where booking_id = '{}' and status = 'failed'",
            id.as_str().unwrap()
        );
        let parameters = self.sql(&parameters).await;
        let create = self
            .http
            .post(format!("{}/v1/checkout/sessions", self.simulator.url()))
            .bearer_auth("sk_test_stage");
        let made = send(
            create
                .header("content-type", "application/x-www-form-urlencoded")
                .body(parameters),
        )
        .await;
        assert_eq!(made.status, 200, "{made:?}");
        assert_ne!(made.body["id"], reopened.body["checkout"]["sessionId"]);
        (reopened.body, made.body["id"].clone())
    }

    /// Ends a session at Stripe.
    pub(crate) async fn expire(&self, session: &Value) {
        let url = format!(
            "{}/v1/checkout/sessions/{}/expire",
            self.simulator.url(),
            session.as_str().unwrap()
        );
        let expired = send(self.http.post(url).bearer_auth("sk_test_stage")).await;
        assert_eq!(expired.body["status"], "expired", "{expired:?}");
    }
}

#[tokio::test]
async fn of_two_sessions_that_are_paid_the_first_counts_and_the_second_goes_back_once() {
    for hidden_first in [false, true] {
        let harness = TestApp::new().await;
        let (booking, hidden) = harness.booked_twice(&harness.show().await, "A2").await;
        let open = booking["checkout"]["sessionId"].clone();
        let [first, second] = if hidden_first {
            [hidden, open]
        } else {
            [open, hidden]
        };

        let applied = harness.pay_unheard(json!({ "session": first })).await;
        let surplus = harness.pay_unheard(json!({ "session": second })).await;
        for _ in 0..2 {
            for body in applied.values().chain(surplus.values()) {
                assert_eq!(harness.deliver(body).await.status, 200);
            }
            harness.run_jobs().await;
        }

        let dana = harness.customer("dana");
        let after = dana.booking(&booking).await;
        assert_eq!(
            (&after["status"], &after["isPaid"]),
            (&json!("confirmed"), &json!(true)),
            "{after}"
        );
        assert_eq!(after["paid"], booking["total"]);
        let intents = [&first, &second].map(async |session| {
            let session = harness
                .ask_stripe(&format!(
                    "/v1/checkout/sessions/{}",
                    session.as_str().unwrap()
                ))
                .await;
            session["payment_intent"].as_str().unwrap().to_owned()
        });
        let intents = join_all(intents).await;
        for (intent, became) in intents
            .iter()
            .zip(["applied", "surplus already_paid succeeded"])
        {
            let payment = "select concat_ws(' ', disposition, surplus_reason,
                                            (select status from refunds where payment_id = p.id))
                           from payments p where stripe_payment_intent_id";
            assert_eq!(
                harness.sql(&format!("{payment} = '{intent}'")).await,
                became
            );
        }
        let refunds = harness.all_at_stripe("refunds").await;
        assert_eq!(refunds.len(), 1, "{refunds:?}");
        assert_eq!(refunds[0]["payment_intent"], intents[1]);
        harness.reconcile().await;
    }
}

/// A booking that was paid through the session that nobody was told of; its own is still open.
async fn paid_by_the_other(harness: &TestApp) -> Value {
    let (booking, hidden) = harness.booked_twice(&harness.show().await, "A2").await;
    harness.knob("pay", json!({ "session": hidden })).await;
    harness.simulator.settled().await;
    booking
}

#[tokio::test]
async fn what_is_open_beside_a_paid_session_is_closed_when_the_hold_ends() {
    let harness = TestApp::new().await;
    let booking = paid_by_the_other(&harness).await;

    harness.advance(TimeDelta::minutes(10)).await;
    harness.run_jobs().await;

    assert_eq!(
        harness.customer("dana").booking(&booking).await["status"],
        "confirmed"
    );
    assert_eq!(
        harness
            .ask_stripe("/v1/checkout/sessions?status=open")
            .await["data"],
        json!([])
    );
    assert_eq!(
        harness
            .sql("select string_agg(status::text, ',' order by id) from checkout_attempts")
            .await,
        "paid,expired"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_second_payment_of_which_nothing_is_heard_is_found_when_the_hold_ends_and_goes_back() {
    let harness = TestApp::new().await;
    let booking = paid_by_the_other(&harness).await;
    harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;

    harness.advance(TimeDelta::minutes(10)).await;
    harness.run_jobs().await;

    assert_eq!(
        harness.customer("dana").booking(&booking).await["status"],
        "confirmed"
    );
    assert_eq!(
        harness
            .sql(
                "select string_agg(concat_ws(' ', disposition, surplus_reason), ',' order by id)
                 from payments",
            )
            .await,
        "applied,surplus already_paid"
    );
    assert_eq!(
        harness
            .sql("select string_agg(status::text, ',') from refunds")
            .await,
        "succeeded"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_second_payment_whose_bank_is_undecided_is_asked_about_until_it_decides() {
    let harness = TestApp::new().await;
    let booking = paid_by_the_other(&harness).await;
    let open = &booking["checkout"]["sessionId"];
    harness
        .pay_unheard(json!({ "session": open, "card": SEPA }))
        .await;

    harness.advance(TimeDelta::minutes(10)).await;
    harness.run_jobs().await;
    let undecided = harness.sql("select count(*) from payments").await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    harness
        .knob("settle", json!({ "session": open, "outcome": "succeeded" }))
        .await;
    harness.advance(TimeDelta::hours(6)).await;
    harness.run_jobs().await;

    assert_eq!(undecided, "1");
    assert_eq!(
        harness
            .sql("select count(stripe_refund_id) from refunds")
            .await,
        "1"
    );
    assert_eq!(harness.sql("select count(*) from jobs").await, "0");
    harness.reconcile().await;
}
