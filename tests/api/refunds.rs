//! Money that goes back: whatever Stripe says of a refund, in whatever order, is settled once, and
//! the ledger says the same.

mod by_admin;
mod by_hand;
mod made_twice;
mod refused;
mod undecided;

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::{Value, json};

use crate::harness::{TestApp, send};

/// A card whose refunds are pending until its bank decides.
const REFUNDED_SLOWLY: &str = "4000000000007726";
const VISA: &str = "4242424242424242";

const REFUNDS: &str = "select string_agg(concat_ws(' ', source, status, amount_minor), ', '
                                         order by created_at, id) from refunds";
const LEDGER: &str = "select string_agg(concat_ws(' ', kind, debit, credit, amount_minor), ', '
                                        order by created_at, id)
                      from ledger_transfers where kind <> 'capture'";
const LEFT: &str = "refund customer_surplus stripe_balance 1200";
const BACK: &str = "refund_reversal stripe_balance customer_surplus 1200";
const HAPPENED: &str =
    "select string_agg(concat_ws(' ', kind, payload ->> 'status'), ', ' order by id)
                        from booking_events where kind like 'refund%'";
const OPEN: &str = "select string_agg(kind, ', ' order by kind) from discrepancies
                    where status = 'open'";

/// A booking whose payment has come too late: its seat is somebody else's.
struct Surplus {
    booking: Value,
    intent: String,
}

/// The refund of its payment has been asked for, and a job is about to ask Stripe.
async fn surplus(harness: &TestApp, card: &str) -> Surplus {
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let session = &booking["checkout"]["sessionId"];
    let events = harness
        .pay_unheard(json!({ "session": session, "card": card }))
        .await;
    harness.hear_of_expiry(&booking).await;
    harness.customer("emil").booked(&show, &["A2"]).await;
    harness.deliver(&events["checkout.session.completed"]).await;
    assert_eq!(harness.sql(REFUNDS).await, "surplus requested 1200");
    let event: Value = serde_json::from_str(&events["checkout.session.completed"]).unwrap();
    let intent = event["data"]["object"]["payment_intent"].as_str().unwrap();
    Surplus {
        booking,
        intent: intent.to_owned(),
    }
}

/// A booking that is paid and confirmed, and its PaymentIntent.
async fn paid(harness: &TestApp, card: &str) -> (Value, String) {
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let session = json!({ "session": booking["checkout"]["sessionId"], "card": card });
    let paid = harness.knob("pay", session).await;
    harness.simulator.settled().await;
    (booking, paid["paymentIntent"].as_str().unwrap().to_owned())
}

/// Somebody refunds a payment in Stripe's dashboard.
pub(crate) async fn refund_by_hand(harness: &TestApp, intent: &str, amount: i64) -> Value {
    let url = format!("{}/v1/refunds", harness.simulator.url());
    let form = format!("payment_intent={intent}&amount={amount}&reason=requested_by_customer");
    let request = harness.http.post(url).bearer_auth("sk_test_stage");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let made = send(request.body(form)).await;
    assert_eq!(made.status, 200, "{made:?}");
    harness.simulator.settled().await;
    made.body
}

/// What its bank says of Stripe's newest refund.
async fn decided(harness: &TestApp, status: &str) {
    let newest = harness.ask_stripe("/v1/refunds?limit=1").await;
    let knob = format!("refunds/{}", newest["data"][0]["id"].as_str().unwrap());
    harness.knob(&knob, json!({ "status": status })).await;
    harness.simulator.settled().await;
}

/// Nothing that Stripe sends comes any more.
async fn deafen(harness: &TestApp) {
    harness.knob("deliveries", json!({ "drop": true })).await;
}

/// Time passes, and the background looks for what there is to do.
async fn pass(harness: &TestApp, by: TimeDelta) {
    harness.advance(by).await;
    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
    harness.run_jobs().await;
}

/// Stripe's events about refunds and charges that gave money back, oldest first.
pub(crate) async fn told(harness: &TestApp) -> Vec<Value> {
    let newest = harness.ask_stripe("/v1/events?limit=50").await;
    let newest = newest["data"].as_array().unwrap().iter().rev();
    let meant = newest.filter(|event| {
        let kind = event["type"].as_str().unwrap();
        kind.starts_with("refund.") || kind == "charge.refunded"
    });
    meant.cloned().collect()
}

/// How often Stripe was asked to make a refund.
async fn asked(harness: &TestApp) -> Vec<Value> {
    let mut tries = harness.stripe_requests().await;
    tries.retain(|asked| asked["method"] == "POST" && asked["path"] == "/v1/refunds");
    tries
}

#[tokio::test]
async fn a_refund_that_fails_in_the_end_is_booked_back_and_shown() {
    for first in ["pending", "succeeded"] {
        let harness = TestApp::new().await;
        let surplus = surplus(&harness, REFUNDED_SLOWLY).await;
        harness.run_jobs().await;
        assert_eq!(harness.sql(LEDGER).await, LEFT);
        if first == "succeeded" {
            decided(&harness, first).await;
        }

        decided(&harness, "failed").await;

        assert_eq!(harness.sql(REFUNDS).await, "surplus failed 1200", "{first}");
        assert_eq!(harness.sql(LEDGER).await, format!("{LEFT}, {BACK}"));
        let unsettled = "select count(*) from payment_events
                         where type like 'refund.%' and status <> 'processed'";
        assert_eq!(harness.sql(unsettled).await, "0");
        let path = format!(
            "/api/admin/bookings/{}",
            surplus.booking["id"].as_str().unwrap()
        );
        let overview = harness.admin().get(&path).await.body;
        let refund = &overview["refunds"][0];
        assert_eq!(refund["status"], "failed", "{overview}");
        assert_eq!(refund["failureReason"], "expired_or_canceled_card");
        assert_eq!(harness.sql(OPEN).await, "refund_not_gone");
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn its_events_and_our_answer_come_in_any_order_and_each_twice() {
    for is_answered in [false, true] {
        for shift in 0..4 {
            for is_backward in [false, true] {
                let harness = TestApp::new().await;
                let _surplus = surplus(&harness, REFUNDED_SLOWLY).await;
                deafen(&harness).await;
                if !is_answered {
                    let lost = json!({ "route": "POST /v1/refunds", "kind": "lost_answer" });
                    harness.knob("faults", lost).await;
                    let unavailable = json!({
                        "route": "POST /v1/refunds", "kind": "status", "status": 503,
                        "should_retry": false,
                    });
                    harness.knob("faults", unavailable).await;
                }
                harness.run_jobs().await;
                decided(&harness, "succeeded").await;
                let mut events = told(&harness).await;
                assert_eq!(events.len(), 3, "{events:?}");
                let mut older = events[0].clone();
                older["id"] = json!("evt_older");
                older["type"] = json!("charge.refund.updated");
                events.push(older);
                events.rotate_left(shift);
                if is_backward {
                    events.reverse();
                }

                for event in events.iter().chain(&events) {
                    let answer = harness.deliver(&event.to_string()).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                }
                pass(&harness, TimeDelta::minutes(1)).await;

                let refunds = harness.sql(REFUNDS).await;
                assert_eq!(refunds, "surplus succeeded 1200", "{is_answered} {shift}");
                assert_eq!(harness.sql(LEDGER).await, LEFT);
                let happened = "refundRequested, refundSettled succeeded";
                assert_eq!(harness.sql(HAPPENED).await, happened);
                assert_eq!(harness.all_at_stripe("refunds").await.len(), 1);
                assert_eq!(
                    harness
                        .sql("select count(*) from jobs where key like 'refund%'")
                        .await,
                    "0"
                );
                harness.reconcile().await;
            }
        }
    }
}
