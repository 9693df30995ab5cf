//! What was compared before costs little, and is not written again.

use chrono::{DateTime, TimeDelta, Utc};
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::{Value, json};

use super::runs::{refuse, refuse_no_more};
use super::{RECONCILIATIONS, hide, kinds, paid_unheard, reconcile};
use crate::harness::TestApp;

/// The versions of all rows that a dispute has to do with, who has locked them last, and all that
/// has happened.
const ROWS: &str = "select concat_ws('; ',
    (select concat_ws(' ', xmin, xmax, ctid, version) from bookings),
    (select concat_ws(' ', xmin, xmax, ctid) from payments),
    (select concat_ws(' ', xmin, xmax, ctid) from disputes),
    (select count(*) from booking_events), (select count(*) from ledger_transfers))";

/// A reconciliation as the timer begins it, done; how often it has asked for a page of a list.
async fn asked_in_next(harness: &TestApp, path: &str) -> usize {
    let asked = async || {
        let requests = harness.stripe_requests().await;
        let of_list = requests.iter().filter(|asked| asked["path"] == path);
        of_list.count()
    };
    let before = asked().await;
    harness.advance(TimeDelta::minutes(5)).await;
    jobs::perform(&harness.app, &Job::BeginReconciliation)
        .await
        .unwrap();
    harness.run_jobs().await;
    let running = "select count(*) from reconciliations where state <> 'done'";
    assert_eq!(harness.sql(running).await, "0");
    asked().await - before
}

/// Stripe has an event that nobody was told of, and that is about nothing of ours.
async fn untold(harness: &TestApp, id: &str, created: DateTime<Utc>) {
    let event = json!({
        "id": id, "type": "checkout.session.expired", "created": created.timestamp(),
        "object": { "id": "cs_other", "object": "checkout.session", "metadata": { "app": "x" } },
    });
    harness.knob("events", event).await;
}

async fn is_recorded(harness: &TestApp, event_id: &str) -> bool {
    let recorded = format!("select count(*) from payment_events where id = '{event_id}'");
    harness.sql(&recorded).await == "1"
}

#[tokio::test]
async fn a_dispute_that_stands_as_it_is_recorded_is_left_alone() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let intent = harness.pay(&booking).await["paymentIntent"].clone();
    let wanted = json!({ "paymentIntent": intent });
    let dispute = harness.knob("disputes", wanted).await;
    harness.simulator.settled().await;
    // The first notes that it has seen the payment.
    reconcile(&harness, json!({})).await;
    let before = harness.sql(ROWS).await;

    let found = reconcile(&harness, json!({})).await;

    assert_eq!(harness.sql(ROWS).await, before);
    assert_eq!(found["healed"], json!([]));
    // One that has gone on unheard is settled all the same.
    harness.knob("deliveries", json!({ "drop": true })).await;
    let knob = format!("disputes/{}", dispute["id"].as_str().unwrap());
    harness.knob(&knob, json!({ "status": "lost" })).await;
    hide(&harness, "GET /v1/events").await;
    reconcile(&harness, json!({})).await;
    assert_eq!(harness.sql("select status from disputes").await, "lost");
    let before = harness.sql(ROWS).await;
    hide(&harness, "GET /v1/events").await;
    reconcile(&harness, json!({})).await;
    assert_eq!(harness.sql(ROWS).await, before);
}

#[tokio::test]
async fn events_that_are_decided_are_not_listed_for_thirty_days() {
    let harness = TestApp::new().await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    let newest = harness.now();
    for number in (0..500).rev() {
        let created = newest - TimeDelta::minutes(60 * number);
        untold(&harness, &format!("evt_untold{number}"), created).await;
    }

    let first = asked_in_next(&harness, "/v1/events").await;
    let second = asked_in_next(&harness, "/v1/events").await;

    assert_eq!((first, second), (5, 1));
    assert_eq!(
        harness.sql("select count(*) from payment_events").await,
        "500"
    );
    // What appears late is found within the hour that is listed again …
    untold(&harness, "evt_late", newest - TimeDelta::minutes(50)).await;
    asked_in_next(&harness, "/v1/events").await;
    assert!(is_recorded(&harness, "evt_late").await);
    // … and else when an admin has all of them listed.
    untold(&harness, "evt_too_late", newest - TimeDelta::days(2)).await;
    asked_in_next(&harness, "/v1/events").await;
    assert!(!is_recorded(&harness, "evt_too_late").await);
    reconcile(&harness, json!({})).await;
    assert!(is_recorded(&harness, "evt_too_late").await);
}

#[tokio::test]
async fn an_event_is_listed_until_it_is_decided_whatever_comes_after_it() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    paid_unheard(&harness, &booking).await;
    refuse(&harness, "payments", "true").await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    sqlx::query("delete from jobs")
        .execute(harness.db())
        .await
        .unwrap();
    let next = async || {
        for route in ["GET /v1/checkout/sessions", "GET /v1/payment_intents$"] {
            hide(&harness, route).await;
        }
        asked_in_next(&harness, "/v1/events").await
    };
    for _ in 0..2 {
        harness.advance(TimeDelta::hours(5)).await;
        let id = format!("evt_{}", harness.now().timestamp());
        untold(&harness, &id, harness.now()).await;
        next().await;
    }
    let dana = harness.customer("dana");
    assert_eq!(dana.booking(&booking).await["status"], "pending");

    refuse_no_more(&harness, "payments").await;
    next().await;

    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
}

/// A refusal of a page says nothing of the events on it.
#[tokio::test]
async fn a_list_of_events_that_broke_off_is_begun_anew() {
    let harness = TestApp::new().await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    for number in (0..101).rev() {
        let created = harness.now() - TimeDelta::hours(number);
        untold(&harness, &format!("evt_{number}"), created).await;
    }
    let after = json!({ "route": "GET /v1/events$", "kind": "delay" });
    harness.knob("faults", after).await;
    let refused = json!({ "route": "GET /v1/events$", "kind": "status", "status": 403 });
    harness.knob("faults", refused).await;

    asked_in_next(&harness, "/v1/events").await;
    assert!(!is_recorded(&harness, "evt_100").await);
    asked_in_next(&harness, "/v1/events").await;

    assert!(is_recorded(&harness, "evt_100").await);
}

/// More than one page of payments is on no page of Stripe's list.
#[tokio::test]
async fn all_payments_that_were_not_listed_are_asked_about_page_by_page() {
    const PAID: usize = 105;
    let harness = TestApp::new().await;
    let show = harness
        .show_with(json!({ "rows": [{ "row": "A", "seats": 110, "tier": "regular" }] }))
        .await;
    let dana = harness.customer("dana");
    for seat in 2..PAID + 2 {
        let booking = dana.booked(&show, &[&format!("A{seat}")]).await;
        harness.pay(&booking).await;
    }

    hide(&harness, "GET /v1/payment_intents$").await;
    let unlisted = reconcile(&harness, json!({})).await;

    assert_eq!(unlisted["discrepancies"], json!([]));
    let sums = &unlisted["sums"][0];
    assert_eq!(sums["captured"]["amountMinor"], 105 * 1_200);
    assert_eq!(sums["captured"], sums["stripeCaptured"]);

    // None of them is known there; and later, when they are older than what is listed, all are.
    harness.advance(TimeDelta::minutes(5)).await;
    hide(&harness, "GET /v1/payment_intents$").await;
    let unknown = json!({
        "route": "GET /v1/payment_intents", "kind": "status", "status": 404,
        "code": "resource_missing", "times": PAID,
    });
    harness.knob("faults", unknown).await;
    let unknown = reconcile(&harness, json!({})).await;
    assert_eq!(kinds(&unknown), ["capture_unknown_to_stripe"; PAID]);
    harness.advance(TimeDelta::days(3)).await;
    reconcile(&harness, json!({})).await;

    let healed = "select string_agg(distinct status, ' ') from discrepancies";
    assert_eq!(harness.sql(healed).await, "healed");
}

/// One that finds no event knows no position: that of an earlier one counts.
#[tokio::test]
async fn the_position_in_the_events_outlives_those_that_were_found() {
    let harness = TestApp::new().await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    let newest = harness.now();
    untold(&harness, "evt_first", newest).await;
    asked_in_next(&harness, "/v1/events").await;
    hide(&harness, "GET /v1/events$").await;
    asked_in_next(&harness, "/v1/events").await;
    let since = "select max(events_since) from reconciliations";
    let first: DateTime<Utc> = timestamp(&harness.sql(since).await);

    asked_in_next(&harness, "/v1/events").await;

    assert_eq!(first, newest - TimeDelta::hours(1));
    assert_eq!(timestamp(&harness.sql(since).await), first);
    let begun = harness.admin().post(RECONCILIATIONS, json!({})).await;
    let id: Value = begun.body["id"].clone();
    let all = format!(
        "select events_since is null from reconciliations where id = '{}'",
        id.as_str().unwrap()
    );
    assert_eq!(harness.sql(&all).await, "true");
    harness.run_jobs().await;
}

fn timestamp(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%#z")
        .unwrap()
        .to_utc()
}
