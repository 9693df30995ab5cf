//! Events that were given up, and left to a person: what becomes of them after all.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::{Value, json};

use crate::harness::TestApp;
use crate::refunds::{refund_by_hand, told};

const EVENTS: &str = "select string_agg(status || ': ' || outcome, ', ') from payment_events
                      where type = 'refund.created'";
const DISCREPANCIES: &str =
    "select string_agg(concat_ws(' ', kind, subject, status), ', ') from discrepancies";

/// Lets so much time pass that an event which has waited since then is given up, and settles it.
async fn wait_for_days(harness: &TestApp, event: &Value) {
    let event_id = event["id"].as_str().unwrap().to_owned();
    let days = TimeDelta::days(3) + TimeDelta::seconds(1);
    harness.advance(days).await;
    let settle = Job::SettleEvent { event_id };
    jobs::perform(&harness.app, &settle).await.unwrap();
}

/// The event that told of the only refund there is.
async fn refund_created(harness: &TestApp) -> Value {
    let told = told(harness).await.into_iter();
    let mut told = told.filter(|event| event["type"] == "refund.created");
    told.next().unwrap()
}

/// A refund of ours is heard of, and nothing of its payment for days; then that comes. Returns the
/// event of the refund, which was given up.
async fn given_up(harness: &TestApp) -> Value {
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let wanted = json!({ "session": booking["checkout"]["sessionId"] });
    let payment = harness.pay_unheard(wanted).await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    let intent: Value = serde_json::from_str(&payment["payment_intent.succeeded"]).unwrap();
    refund_by_hand(
        harness,
        intent["data"]["object"]["id"].as_str().unwrap(),
        500,
    )
    .await;
    let mut refund = refund_created(harness).await;
    refund["data"]["object"]["metadata"] = json!({ "app": "holdfast" });
    let early = harness.deliver(&refund.to_string()).await;
    assert_eq!(early.body["outcome"], "deferred", "{early:?}");
    wait_for_days(harness, &refund).await;
    assert_eq!(
        harness.sql(EVENTS).await,
        "failed: failed: what it is about has never come"
    );
    let id = refund["id"].as_str().unwrap();
    let open = format!("event_unmatched {id} open");
    assert_eq!(harness.sql(DISCREPANCIES).await, open);
    harness
        .deliver(&payment["checkout.session.completed"])
        .await;
    refund
}

#[tokio::test]
async fn one_that_is_sent_or_replayed_after_its_payment_has_come_is_settled_and_healed() {
    for is_replayed in [false, true] {
        let harness = TestApp::new().await;
        let refund = given_up(&harness).await;
        let id = refund["id"].as_str().unwrap();

        if is_replayed {
            let path = format!("/api/admin/payment-events/{id}/replay");
            let replayed = harness.admin().post(&path, json!({})).await;
            assert_eq!(replayed.body["status"], "processed", "{replayed:?}");
        } else {
            let sent = harness.deliver(&refund.to_string()).await;
            assert_eq!(sent.body["outcome"], "processed", "{sent:?}");
        }

        let healed = format!("event_unmatched {id} healed");
        assert_eq!(harness.sql(DISCREPANCIES).await, healed);
        let refunds = "select string_agg(concat_ws(' ', source, status, amount_minor), ', ')
                       from refunds";
        assert_eq!(harness.sql(refunds).await, "dashboard succeeded 500");
        assert_eq!(harness.verify().await, Vec::<String>::new());
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn one_that_is_given_up_once_more_stays_with_its_person() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.customer("dana").booked(&show, &["A2"]).await;
    let mut event: Value = serde_json::from_str(UNKNOWN).unwrap();
    event["created"] = json!(harness.now().timestamp());
    harness.deliver(&event.to_string()).await;
    wait_for_days(&harness, &event).await;

    let sent = harness.deliver(&event.to_string()).await;

    assert_eq!(sent.body["outcome"], "deferred", "{sent:?}");
    assert_eq!(
        harness.sql(DISCREPANCIES).await,
        "event_unmatched evt_unknown open"
    );
}

const UNKNOWN: &str = r#"{
    "id": "evt_unknown", "object": "event", "type": "checkout.session.expired", "livemode": false,
    "created": 0, "data": { "object": {
        "id": "cs_unknown", "object": "checkout.session", "metadata": { "app": "holdfast" }
    } }
}"#;

/// Stripe has all of a payment back, and one event speaks of more: which of both is right, no
/// event says.
#[tokio::test]
async fn a_refund_of_more_than_came_in_is_left_to_a_person_by_its_own_name() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let paid = harness.pay(&booking).await;
    let intent = paid["paymentIntent"].as_str().unwrap();
    refund_by_hand(&harness, intent, 1_200).await;
    let mut more = refund_created(&harness).await;
    more["id"] = json!("evt_more");
    more["data"]["object"]["id"] = json!("re_more");
    let early = harness.deliver(&more.to_string()).await;
    assert_eq!(early.body["outcome"], "deferred", "{early:?}");

    wait_for_days(&harness, &more).await;

    let outcome = "select status || ': ' || outcome from payment_events where id = 'evt_more'";
    let left = "processed: the refund is of an amount that its payment cannot have; \
                a person decides";
    assert_eq!(harness.sql(outcome).await, left);
    assert_eq!(
        harness.sql(DISCREPANCIES).await,
        "refund_differs re_more open"
    );
    assert_eq!(harness.verify().await, Vec::<String>::new());
}
