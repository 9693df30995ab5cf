//! The events of many payments come at once while their buyers wait.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use serde_json::{Value, json};

use crate::harness::{Answer, TestApp};

const BUYERS: usize = 200;
const WEBHOOKS: usize = 500;
/// Deliveries under way at once.
const AT_ONCE: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_webhook_is_refused_while_two_hundred_buyers_poll_under_the_default_limit() {
    let harness = TestApp::with(&[("RATE_LIMIT_PER_MINUTE", "")]).await;
    let bookings = pay_for_all(&harness).await;
    let all_delivered = AtomicBool::new(false);

    let webhooks = async {
        let deliveries = iter(events(&harness).await)
            .map(async |event| harness.deliver(&event.to_string()).await);
        let answers: Vec<Answer> = deliveries.buffer_unordered(AT_ONCE).collect().await;
        all_delivered.store(true, Ordering::Release);
        answers
    };
    // From the address that the webhooks come from as well.
    let stranger = async {
        let mut answers = Vec::new();
        while !all_delivered.load(Ordering::Acquire) || answers.len() < 400 {
            answers.push(harness.get("/api/bookings").await.status);
        }
        answers
    };
    let buyers = join_all(
        bookings
            .iter()
            .enumerate()
            .map(|(number, booking)| poll(&harness, number, booking, &all_delivered)),
    );
    let (delivered, seen, _) = tokio::join!(webhooks, stranger, buyers);

    assert_eq!(delivered.len(), WEBHOOKS);
    let outcome = |name: &str| {
        delivered
            .iter()
            .filter(|answer| answer.body["outcome"] == name)
            .count()
    };
    assert!(
        delivered.iter().all(|answer| answer.status == 200),
        "{delivered:?}"
    );
    assert_eq!(
        (outcome("processed"), outcome("duplicate")),
        (2 * BUYERS, WEBHOOKS - 2 * BUYERS)
    );
    assert!(
        seen.contains(&401) && seen.contains(&429),
        "the limit is not in force: {seen:?}"
    );
    assert_eq!(
        harness
            .sql("select count(*) from bookings where status = 'confirmed'")
            .await,
        BUYERS.to_string()
    );
    harness.reconcile().await;
}

/// Each buyer books a seat and pays; no event has come yet.
async fn pay_for_all(harness: &TestApp) -> Vec<Value> {
    let rows =
        ["A", "B", "C", "D"].map(|row| json!({ "row": row, "seats": 50, "tier": "regular" }));
    let show = harness
        .show_with(json!({ "rows": rows, "blocked": [] }))
        .await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    let paid = iter(0..BUYERS).map(async |number| {
        let seat = format!("{}{}", ["A", "B", "C", "D"][number / 50], number % 50 + 1);
        let booking = harness
            .customer(&number.to_string())
            .booked(&show, &[&seat])
            .await;
        harness
            .knob(
                "pay",
                json!({ "session": booking["checkout"]["sessionId"] }),
            )
            .await;
        booking
    });
    paid.buffered(8).collect().await
}

/// The events of the payments, some of them twice.
async fn events(harness: &TestApp) -> Vec<Value> {
    let mut events = harness.all_at_stripe("events").await;
    let kinds = ["checkout.session.completed", "payment_intent.succeeded"];
    events.retain(|event| kinds.iter().any(|kind| event["type"] == *kind));
    assert_eq!(events.len(), 2 * BUYERS);
    events.extend_from_within(..WEBHOOKS - 2 * BUYERS);
    events
}

/// A buyer has come back and looks at their booking, by either way, until it is confirmed or nobody
/// has more to say.
async fn poll(harness: &TestApp, number: usize, booking: &Value, all_delivered: &AtomicBool) {
    let buyer = harness.customer(&number.to_string());
    let session = json!({ "sessionId": booking["checkout"]["sessionId"] });
    while !all_delivered.load(Ordering::Acquire)
        && buyer.booking(booking).await["status"] != "confirmed"
    {
        let verified = buyer
            .post("/api/payments/verify?wait=5", session.clone())
            .await;
        assert!(matches!(verified.status, 200 | 429), "{verified:?}");
    }
}
