//! What Stripe has is compared with our records, and what we have not heard of is put right.

mod again;
mod captures;
mod dismissed;
mod refused;
mod runs;
mod withheld;

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, TestApp, send};

const RECONCILIATIONS: &str = "/api/admin/reconciliations";

/// Begins one and lets the background end it.
async fn reconcile(harness: &TestApp, body: Value) -> Value {
    let admin = harness.admin();
    let begun = admin.post(RECONCILIATIONS, body).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    assert_eq!(begun.body["state"], "running");
    harness.run_jobs().await;
    let found = admin.get(begun.headers["location"].to_str().unwrap()).await;
    assert_eq!(found.body["state"], "done", "{found:?}");
    found.body
}

/// The bookings that were put right, each once.
fn healed(reconciliation: &Value) -> Vec<&str> {
    let healed = reconciliation["healed"].as_array().unwrap();
    let mut bookings: Vec<_> = healed
        .iter()
        .map(|healed| healed["bookingId"].as_str().unwrap())
        .collect();
    bookings.sort_unstable();
    bookings
}

/// The kinds of its discrepancies, in order.
fn kinds(reconciliation: &Value) -> Vec<&str> {
    let discrepancies = reconciliation["discrepancies"].as_array().unwrap();
    let mut kinds: Vec<_> = discrepancies
        .iter()
        .map(|discrepancy| discrepancy["kind"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    kinds
}

/// The next answer on a route is an empty list.
async fn hide(harness: &TestApp, route: &str) {
    let empty = json!({ "has_more": false, "data": [] });
    let fault = json!({ "route": route, "kind": "altered", "members": empty });
    harness.knob("faults", fault).await;
}

async fn paid_unheard(harness: &TestApp, booking: &Value) {
    let session = json!({ "session": booking["checkout"]["sessionId"] });
    harness.pay_unheard(session).await;
}

async fn ask_stripe_to(harness: &TestApp, path: &str, form: &str) -> Answer {
    let url = format!("{}/v1/{path}", harness.simulator.url());
    let request = harness.http.post(url).bearer_auth("sk_test_stage");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    send(request.body(form.to_owned())).await
}

#[tokio::test]
async fn what_was_paid_and_never_heard_of_is_confirmed() {
    let harness = TestApp::holding_freely().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let mut lost = Vec::new();
    for seat in ["A2", "A3"] {
        let booking = dana.booked(&show, &[seat]).await;
        paid_unheard(&harness, &booking).await;
        lost.push(booking);
    }
    let heard = dana.booked(&show, &["A4"]).await;
    harness.pay(&heard).await;
    let open = dana.booked(&show, &["A5"]).await;

    let first = reconcile(&harness, json!({})).await;
    let second = reconcile(&harness, json!({})).await;

    for booking in &lost {
        assert_eq!(dana.booking(booking).await["status"], "confirmed");
    }
    assert_eq!(dana.booking(&open).await["status"], "pending");
    let mut expected: Vec<_> = lost
        .iter()
        .map(|lost| lost["id"].as_str().unwrap())
        .collect();
    expected.sort_unstable();
    assert_eq!(healed(&first), expected);
    assert_eq!(healed(&second), Vec::<&str>::new());
    let sums = json!([{
        "currency": "eur",
        "captured": { "amountMinor": 3_600, "currency": "eur" },
        "refunded": { "amountMinor": 0, "currency": "eur" },
        "disputed": { "amountMinor": 0, "currency": "eur" },
        "stripeCaptured": { "amountMinor": 3_600, "currency": "eur" },
        "stripeRefunded": { "amountMinor": 0, "currency": "eur" },
    }]);
    assert_eq!(first["sums"], sums);
    assert_eq!(second["sums"], sums);
    assert_eq!(second["discrepancies"], json!([]));
    let settled_by = "select string_agg(settled_by, ' ' order by settled_by) from payments";
    let expected = "reconciliation reconciliation webhook";
    assert_eq!(harness.sql(settled_by).await, expected);
    harness.reconcile().await;
}

#[tokio::test]
async fn what_was_lost_is_found_by_whatever_stripe_still_knows() {
    // Withheld: the events, the sessions, or both lists before the PaymentIntents.
    for hidden in [
        vec!["GET /v1/events"],
        vec!["GET /v1/events", "GET /v1/checkout/sessions"],
        vec!["GET /v1/checkout/sessions", "GET /v1/payment_intents"],
    ] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let dana = harness.customer("dana");
        let booking = dana.booked(&show, &["A2"]).await;
        paid_unheard(&harness, &booking).await;
        for route in &hidden {
            hide(&harness, route).await;
        }

        let found = reconcile(&harness, json!({})).await;

        assert_eq!(
            dana.booking(&booking).await["status"],
            "confirmed",
            "{hidden:?}"
        );
        assert_eq!(
            healed(&found),
            [booking["id"].as_str().unwrap()],
            "{hidden:?}"
        );
        harness.reconcile().await;
    }
}

/// The endpoint is away for four days, in which nobody does jobs either.
#[tokio::test]
async fn an_endpoint_that_was_away_for_four_days_costs_no_payment() {
    let harness = TestApp::holding_freely().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let mut lost = Vec::new();
    for seat in ["A2", "A3", "A4"] {
        let booking = dana.booked(&show, &[seat]).await;
        paid_unheard(&harness, &booking).await;
        lost.push(booking);
    }
    sqlx::query("delete from jobs")
        .execute(harness.db())
        .await
        .unwrap();
    harness.advance(TimeDelta::days(4)).await;

    let found = reconcile(&harness, json!({})).await;

    let dana = harness.customer("dana");
    for booking in &lost {
        assert_eq!(dana.booking(booking).await["status"], "confirmed");
    }
    assert_eq!(healed(&found).len(), 3);
    harness.reconcile().await;
}

#[tokio::test]
async fn a_session_that_has_ended_frees_its_seats() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let session = booking["checkout"]["sessionId"].as_str().unwrap();
    harness.knob("deliveries", json!({ "drop": true })).await;
    let expired = format!("checkout/sessions/{session}/expire");
    assert_eq!(ask_stripe_to(&harness, &expired, "").await.status, 200);

    let found = reconcile(&harness, json!({})).await;

    assert_eq!(dana.booking(&booking).await["status"], "expired");
    assert_eq!(healed(&found), [booking["id"].as_str().unwrap()]);
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
}

/// A booking that is paid, its PaymentIntent, and nothing more to be heard of it.
async fn paid_and_deaf(harness: &TestApp) -> (Value, String) {
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    harness.pay(&booking).await;
    let intent = harness
        .sql("select stripe_payment_intent_id from payments")
        .await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    (booking, intent)
}

#[tokio::test]
async fn money_that_went_back_behind_our_back_is_recorded() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid_and_deaf(&harness).await;
    let refund = format!("payment_intent={intent}&amount=500");
    let made = ask_stripe_to(&harness, "refunds", &refund).await;
    assert_eq!(made.status, 200);

    let found = reconcile(&harness, json!({})).await;

    assert_eq!(healed(&found), [booking["id"].as_str().unwrap()]);
    assert_eq!(found["discrepancies"], json!([]));
    assert_eq!(found["sums"][0]["refunded"]["amountMinor"], 500);
    assert_eq!(found["sums"][0]["stripeRefunded"]["amountMinor"], 500);
    let refunds = "select concat_ws(' ', source, status, amount_minor) from refunds";
    assert_eq!(harness.sql(refunds).await, "dashboard succeeded 500");
}

#[tokio::test]
async fn money_that_has_not_gone_back_at_stripe_is_left_to_a_person() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid_and_deaf(&harness).await;
    let unknown = json!({
        "id": "evt_unknown", "object": "event", "type": "refund.created", "livemode": false,
        "api_version": "2026-09-30.endive", "created": harness.now().timestamp(),
        "data": { "object": {
            "id": "re_unknown", "object": "refund", "status": "succeeded", "amount": 500,
            "currency": "eur", "payment_intent": intent,
        } },
    });
    harness.deliver(&unknown.to_string()).await;

    let first = reconcile(&harness, json!({})).await;
    let second = reconcile(&harness, json!({})).await;

    let discrepancy = &first["discrepancies"][0];
    assert_eq!(discrepancy["kind"], "capture_refunds_differ");
    assert_eq!(discrepancy["subject"], intent);
    assert_eq!(discrepancy["bookingId"], booking["id"]);
    assert_eq!(discrepancy["ours"]["refunded"], 500);
    assert_eq!(discrepancy["theirs"]["refunded"], 0);
    assert_eq!(second["discrepancies"], json!([]), "it is opened once");
}

#[tokio::test]
async fn a_session_of_ours_that_nobody_here_knows_is_left_to_a_person_once_it_is_paid() {
    let harness = TestApp::new().await;
    let form = "mode=payment&success_url=https%3A%2F%2Fshop.example%2F\
                &line_items[0][quantity]=1&line_items[0][price_data][currency]=eur\
                &line_items[0][price_data][unit_amount]=900\
                &line_items[0][price_data][product_data][name]=A\
                &metadata[app]=holdfast&payment_intent_data[metadata][app]=holdfast";
    let session = ask_stripe_to(&harness, "checkout/sessions", form).await;
    assert_eq!(session.status, 200, "{session:?}");
    let unpaid = reconcile(&harness, json!({})).await;
    assert_eq!(unpaid["discrepancies"], json!([]));

    harness
        .pay_unheard(json!({ "session": session.body["id"] }))
        .await;
    let paid = reconcile(&harness, json!({})).await;

    assert_eq!(kinds(&paid), ["capture_unrecorded", "session_unmatched"]);
    assert_eq!(paid["sums"][0]["captured"]["amountMinor"], 0);
    assert_eq!(paid["sums"][0]["stripeCaptured"]["amountMinor"], 900);
}

#[tokio::test]
async fn more_than_a_page_is_compared_and_a_run_that_breaks_off_goes_on() {
    let harness = TestApp::holding_freely().await;
    let show = harness
        .show_with(json!({ "rows": [{ "row": "A", "seats": 110, "tier": "regular" }] }))
        .await;
    let dana = harness.customer("dana");
    for seat in 2..=106 {
        let booking = dana.booked(&show, &[&format!("A{seat}")]).await;
        paid_unheard(&harness, &booking).await;
    }
    let admin = harness.admin();
    let begun = admin.post(RECONCILIATIONS, json!({})).await;
    let fault = json!({
        "route": "GET /v1/payment_intents", "kind": "status", "status": 503, "should_retry": false,
    });
    harness.knob("faults", fault).await;

    harness.run_jobs().await;
    let path = begun.headers["location"].to_str().unwrap();
    let broken_off = admin.get(path).await.body;
    harness.run_jobs().await;

    assert_eq!(broken_off["state"], "running");
    let over = admin.get(path).await.body;
    assert_eq!(over["state"], "done");
    assert_eq!(healed(&over).len(), 105);
    assert_eq!(
        over["sums"][0]["captured"],
        over["sums"][0]["stripeCaptured"]
    );
    assert_eq!(over["sums"][0]["captured"]["amountMinor"], 105 * 1_200);
}

#[tokio::test]
async fn what_is_asked_for_is_bounded_and_made_once() {
    let harness = TestApp::new().await;
    let admin = harness.admin();

    for since in [
        json!("2020-01-01T00:00:00Z"),
        json!("2090-01-01T00:00:00Z"),
        json!("wibble"),
    ] {
        let refused = admin.post(RECONCILIATIONS, json!({ "since": since })).await;
        refused.refused(422, "validation_failed");
    }
    let first = admin.post_keyed(RECONCILIATIONS, json!({}), "once").await;
    let again = admin.post_keyed(RECONCILIATIONS, json!({}), "once").await;

    assert_eq!(first.body["id"], again.body["id"]);
    assert_eq!(
        harness.sql("select count(*) from reconciliations").await,
        "1"
    );
    let unknown = format!("{RECONCILIATIONS}/0193a000-0000-7000-8000-000000000000");
    admin.get(&unknown).await.refused(404, "not_found");
    let anonymous = harness.request(Method::POST, RECONCILIATIONS);
    send(anonymous).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn one_is_begun_every_few_minutes_and_old_ones_are_forgotten() {
    let harness = TestApp::new().await;
    let begin = async || {
        jobs::perform(&harness.app, &Job::BeginReconciliation)
            .await
            .unwrap();
        harness.run_jobs().await;
        harness
            .sql("select count(*) from reconciliations where state = 'done'")
            .await
    };

    assert_eq!(begin().await, "1");
    harness.advance(TimeDelta::minutes(1)).await;
    assert_eq!(
        begin().await,
        "1",
        "another process has begun one a moment ago"
    );
    harness.advance(TimeDelta::minutes(4)).await;
    assert_eq!(begin().await, "2");
    harness.advance(TimeDelta::days(31)).await;
    assert_eq!(begin().await, "1");
}

#[tokio::test]
async fn one_that_cannot_end_is_given_up() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let begun = admin.post(RECONCILIATIONS, json!({})).await;
    let fault = json!({
        "route": "GET /v1/events", "kind": "status", "status": 503, "should_retry": false,
        "times": 99,
    });
    harness.knob("faults", fault).await;
    harness.run_jobs().await;

    harness
        .advance(TimeDelta::hours(6) + TimeDelta::seconds(1))
        .await;
    harness.run_jobs().await;

    let path = begun.headers["location"].to_str().unwrap();
    let admin = harness.admin();
    assert_eq!(admin.get(path).await.body["state"], "failed");
    let waiting = "select count(*) from jobs where kind = 'reconcile'";
    assert_eq!(harness.sql(waiting).await, "0");
}
