//! Stripe fails at every call of everything once, in every way that there is.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use holdfast::routes;
use serde_json::{Value, json};

use super::scenario::{Flow, Scenario};
use super::{bookings, ends_well, money, shows, slots};
use crate::harness::{TestApp, send};

#[tokio::test]
async fn a_booking_is_made_once() {
    survives::<bookings::Book>().await;
}

#[tokio::test]
async fn a_booking_under_a_key_is_made_once_and_answered_alike() {
    survives::<bookings::BookUnderKey>().await;
}

#[tokio::test]
async fn an_unanswered_booking_is_resumed() {
    survives::<bookings::Reopen>().await;
}

#[tokio::test]
async fn an_unanswered_booking_is_finished_in_the_background() {
    survives::<bookings::FinishCheckout>().await;
}

#[tokio::test]
async fn a_cancellation_frees_the_seats_once() {
    survives::<bookings::CallOff>().await;
}

#[tokio::test]
async fn the_end_of_a_hold_frees_the_seats_once() {
    survives::<bookings::EndHold>().await;
}

#[tokio::test]
async fn the_end_of_an_unanswered_hold_frees_the_seats_once() {
    survives::<bookings::EndUnansweredHold>().await;
}

#[tokio::test]
async fn the_end_of_a_hold_that_was_paid_confirms_it() {
    survives::<money::EndPaidHold>().await;
}

#[tokio::test]
async fn a_buyer_who_asks_is_confirmed_once() {
    survives::<money::Verify>().await;
}

#[tokio::test]
async fn a_refund_is_made_once() {
    survives::<money::Refund>().await;
}

#[tokio::test]
async fn the_bookings_of_a_cancelled_show_end_once() {
    survives::<shows::EndAllSeats>().await;
}

#[tokio::test]
async fn a_slot_is_booked_once() {
    survives::<slots::BookSlot>().await;
}

#[tokio::test]
async fn a_balance_is_paid_once() {
    survives::<slots::OpenBalance>().await;
}

/// What Stripe does to a call and, where the client would try again at once, to the next.
fn faults() -> Vec<Vec<Value>> {
    let down = json!({ "kind": "status", "status": 503, "should_retry": false });
    let answer =
        |status: u16| vec![json!({ "kind": "status", "status": status, "should_retry": false })];
    let then_down = |kind: &str| vec![json!({ "kind": kind }), down.clone()];
    let stored = json!({ "kind": "status", "status": 500, "stored": true, "should_retry": false });
    vec![
        answer(401),
        answer(409),
        answer(429),
        answer(500),
        answer(503),
        vec![stored],
        then_down("reset"),
        then_down("lost_answer"),
        then_down("garbage"),
        vec![json!({ "kind": "hang" })],
        vec![json!({ "kind": "hang", "after": true })],
    ]
}

/// Spoils each call of the flow in each way.
async fn survives<F: Flow>() {
    let harness = TestApp::new().await;
    let router = routes::router(harness.app.clone());
    let mut called = BTreeSet::new();
    let unspoilt = Scenario::new(&harness, &router).await;
    let flow = F::begin(&unspoilt).await;
    let before = harness.stripe_requests().await.len();
    assert!(flow.is_done(&flow.run(&unspoilt).await));
    called.extend(harness.stripe_requests().await[before..].iter().map(route));
    ends_well(&unspoilt, &flow).await;
    assert!(!called.is_empty(), "a flow without calls");

    for route in &called {
        for faults in faults() {
            let case =
                async { spoil::<F>(&Scenario::new(&harness, &router).await, route, &faults).await };
            assert!(
                AssertUnwindSafe(case).catch_unwind().await.is_ok(),
                "{route}: {faults:?}"
            );
        }
    }
    harness.reconcile().await;
}

async fn spoil<F: Flow>(scenario: &Scenario<'_>, route: &str, faults: &[Value]) {
    let flow = F::begin(scenario).await;
    for fault in faults {
        scenario.inject(route, fault.clone()).await;
    }
    let unanswered = unanswered(scenario).await;
    let outcome = tokio::select! {
        outcome = flow.run(scenario) => Some(outcome),
        () = silence(scenario, unanswered), if faults[0]["kind"] == "hang" => None,
    };
    assert!(
        outcome
            .as_ref()
            .is_none_or(|outcome| flow.is_done(outcome) || outcome.is_clean()),
        "{outcome:?}"
    );
    spend(scenario, route).await;
    ends_well(scenario, &flow).await;
}

/// Takes a fault away that the flow did not come to, by a call that Stripe refuses anyway.
async fn spend(scenario: &Scenario<'_>, route: &str) {
    let (method, path) = route.trim_end_matches('$').split_once(' ').unwrap();
    let url = format!(
        "{}{}",
        scenario.harness.simulator.url(),
        path.replace('*', "cs_none")
    );
    let refused = send(
        scenario
            .harness
            .http
            .request(method.parse().unwrap(), url)
            .bearer_auth("sk_test_stage"),
    )
    .await;
    assert!(refused.status >= 400, "{refused:?}");
}

/// Waits until Stripe has been asked what it will not answer. Whoever asks loses their patience
/// then.
async fn silence(scenario: &Scenario<'_>, before: usize) {
    while unanswered(scenario).await == before {
        tokio::task::yield_now().await;
    }
}

async fn unanswered(scenario: &Scenario<'_>) -> usize {
    let asked = scenario.harness.stripe_requests().await;
    asked
        .iter()
        .filter(|asked| asked["fault"] == "Hang")
        .count()
}

/// The route of a call, for any session.
fn route(asked: &Value) -> String {
    let path = asked["path"].as_str().unwrap();
    let names = path
        .split('/')
        .map(|name| if name.starts_with("cs_") { "*" } else { name });
    format!(
        "{} {}$",
        asked["method"].as_str().unwrap(),
        names.collect::<Vec<_>>().join("/")
    )
}
