//! A buyer has come back: has their payment arrived?

mod questions;

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{Answer, Caller, TestApp};

/// Sooner than a call to Stripe is given up, or a long wait ends.
const SOON: Duration = Duration::from_secs(15);

async fn verify(caller: &Caller<'_>, booking: &Value, wait: u64) -> Answer {
    let body = json!({ "sessionId": booking["checkout"]["sessionId"] });
    caller
        .post(&format!("/api/payments/verify?wait={wait}"), body)
        .await
}

/// How often Stripe was asked how the session of a booking stands.
async fn asked(harness: &TestApp, booking: &Value) -> usize {
    let path = format!(
        "/v1/checkout/sessions/{}",
        booking["checkout"]["sessionId"].as_str().unwrap()
    );
    let requests = harness.stripe_requests().await;
    requests
        .iter()
        .filter(|asked| asked["method"] == "GET" && asked["path"] == path)
        .count()
}

/// Waits until Stripe is asked how a session stands.
async fn until_asked(harness: &TestApp) {
    while !harness
        .stripe_requests()
        .await
        .iter()
        .any(|asked| asked["method"] == "GET" && asked["status"].is_null())
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn stripe_is_asked_when_our_record_lags() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;

    let verified = verify(&dana, &booking, 0).await;
    let again = verify(&dana, &booking, 0).await;

    assert_eq!(
        (verified.status, &verified.body["status"]),
        (200, &json!("confirmed")),
        "{verified:?}"
    );
    assert_eq!(verified.body["booking"]["isPaid"], true);
    assert_eq!(again.body, verified.body);
    for body in events.values() {
        assert_eq!(harness.deliver(body).await.status, 200);
    }
    assert_eq!(harness.sql("select count(*) from payments").await, "1");
    assert_eq!(
        harness.sql("select count(*) from ledger_transfers").await,
        "1"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn whoever_waits_is_told_when_the_webhook_arrives() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    // Stripe itself is of no help, so that only the webhook can end the wait.
    harness
        .knob(
            "faults",
            json!({ "route": "GET /v1/checkout/sessions", "kind": "hang", "times": 9 }),
        )
        .await;

    let delivered = async {
        until_asked(&harness).await;
        harness.deliver(&events["checkout.session.completed"]).await
    };
    let both = async { tokio::join!(verify(&dana, &booking, 25), delivered) };
    let (verified, delivered) = timeout(SOON, both).await.unwrap();

    assert_eq!(delivered.body["outcome"], "processed");
    assert_eq!(verified.body["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn nobody_waits_for_stripe_much_longer_than_they_want_to() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    harness
        .knob(
            "faults",
            json!({ "route": "GET /v1/checkout/sessions", "kind": "hang", "times": 9 }),
        )
        .await;

    let verified = timeout(SOON, verify(&dana, &booking, 0)).await.unwrap();

    assert_eq!(
        (verified.status, &verified.body["status"]),
        (200, &json!("pending"))
    );
}

#[tokio::test]
async fn what_stripe_says_counts_although_the_buyer_has_hung_up() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    harness
        .knob(
            "faults",
            json!({ "route": "GET /v1/checkout/sessions", "kind": "delay", "seconds": 1 }),
        )
        .await;

    tokio::select! {
        answer = verify(&dana, &booking, 25) => panic!("they were to hang up: {answer:?}"),
        () = until_asked(&harness) => {}
    }
    let settled = async {
        while dana.booking(&booking).await["status"] != "confirmed" {
            tokio::task::yield_now().await;
        }
    };

    timeout(SOON, settled).await.unwrap();
    harness.reconcile().await;
}

#[tokio::test]
async fn a_buyer_with_five_tabs_asks_stripe_once() {
    let harness = TestApp::holding_freely().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let other = dana.booked(&show, &["A3"]).await;
    harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    let delay =
        json!({ "route": "GET /v1/checkout/sessions", "kind": "delay", "seconds": 1, "times": 2 });
    harness.knob("faults", delay).await;

    let tabs = join_all((0..5).map(|_| verify(&dana, &booking, 0)));
    let (verified, of_other) = tokio::join!(tabs, verify(&dana, &other, 0));
    harness.advance(TimeDelta::seconds(5)).await;
    let again = verify(&dana, &other, 0).await;

    assert!(
        verified
            .iter()
            .all(|answer| answer.body["status"] == "confirmed"),
        "{verified:?}"
    );
    assert_eq!(
        (&of_other.body["status"], &again.body["status"]),
        (&json!("pending"), &json!("pending"))
    );
    assert_eq!(
        (
            asked(&harness, &booking).await,
            asked(&harness, &other).await
        ),
        (1, 2)
    );
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_five_times_a_poll_and_the_payment_itself_are_one_payment() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;

    let completed = (0..5).map(|_| harness.deliver(&events["checkout.session.completed"]));
    let succeeded = [harness.deliver(&events["payment_intent.succeeded"])];
    let deliveries = join_all(completed.chain(succeeded));
    let polls = join_all((0..3).map(|_| verify(&dana, &booking, 0)));
    let (delivered, polled) = tokio::join!(deliveries, polls);

    assert!(
        delivered
            .iter()
            .chain(&polled)
            .all(|answer| answer.status == 200),
        "{delivered:?} {polled:?}"
    );
    assert_eq!(harness.sql("select count(*) from payments").await, "1");
    assert_eq!(
        harness.sql("select count(*) from ledger_transfers").await,
        "1"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_session_that_is_still_open_is_pending_and_a_strangers_is_not_there() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;

    let open = verify(&dana, &booking, 0).await;

    assert_eq!(open.body["status"], "pending");
    verify(&harness.customer("emil"), &booking, 0)
        .await
        .refused(404, "not_found");
    let unknown = json!({ "sessionId": "cs_test_unknown" });
    dana.post("/api/payments/verify", unknown)
        .await
        .refused(404, "not_found");
    verify(&dana, &booking, 26)
        .await
        .refused(422, "validation_failed");
}

#[tokio::test]
async fn when_stripe_does_not_answer_the_buyer_sees_what_we_know() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    harness
        .knob(
            "faults",
            json!({ "route": "GET /v1/checkout/sessions", "kind": "status", "status": 400 }),
        )
        .await;

    let verified = verify(&dana, &booking, 0).await;

    assert_eq!(
        (verified.status, &verified.body["status"]),
        (200, &json!("pending"))
    );
}
