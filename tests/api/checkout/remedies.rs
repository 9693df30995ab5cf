//! What Stripe refuses that is not worth a sale, and what it refuses because it was away.

use chrono::TimeDelta;
use serde_json::json;

use super::form;
use crate::harness::TestApp;

#[tokio::test]
async fn a_buyer_whose_address_stripe_refuses_buys_without_it() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let claims = harness.claims("user_aring", "test+å@example.com");
    let buyer = harness.bearer(harness.issuer.token(&claims));

    let booking = buyer.booked(&show, &["A2"]).await;

    let asked = harness.stripe_requests().await;
    let addresses = asked.iter().map(|request| {
        let form = form(request);
        form.iter().any(|(name, _)| name == "customer_email")
    });
    assert_eq!(addresses.collect::<Vec<_>>(), [true, false]);
    assert_ne!(asked[0]["idempotencyKey"], asked[1]["idempotencyKey"]);
    harness.pay(&booking).await;
    assert_eq!(buyer.booking(&booking).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn names_are_cut_to_what_stripe_takes() {
    let harness = TestApp::new().await;
    let title = "Ä".repeat(200);
    let tier = "regular ".repeat(12);
    let show = harness
        .show_with(json!({
            "title": title,
            "tiers": [
                { "name": tier, "price": { "amountMinor": 1200, "currency": "eur" } },
                { "name": "box", "price": { "amountMinor": 2500, "currency": "eur" } },
            ],
            "rows": [{ "row": "A", "seats": 10, "tier": tier }],
        }))
        .await;

    harness.customer("dana").booked(&show, &["A2"]).await;

    let asked = form(&harness.stripe_requests().await[0]);
    let is_name = |name: &str| name == "line_items[0][price_data][product_data][name]";
    let (_, name) = asked.iter().find(|(name, _)| is_name(name)).unwrap();
    assert!(name.chars().count() <= 250, "{name}");
}

/// The session that was asked for first would live less than Stripe's minimum by now.
#[tokio::test]
async fn stripe_may_be_away_for_longer_than_its_minimum_leaves() {
    let harness = TestApp::with(&[("HOLD_SECONDS", "1200")]).await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let away = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 503,
        "should_retry": false,
    });
    harness.knob("faults", away).await;
    let answer = dana.book(&show, &["A2"]).await;
    answer.refused(503, "payment_provider_unavailable");

    harness.advance(TimeDelta::minutes(9)).await;
    harness.run_jobs().await;

    let bookings = dana.get("/api/bookings").await.body;
    let booking = &bookings["items"][0];
    assert_eq!(booking["status"], "pending");
    harness.pay(booking).await;
    assert_eq!(dana.booking(booking).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_sum_that_only_stripe_knows_to_be_too_small_is_refused_in_its_words() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let refused = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 400,
        "code": "amount_too_small",
    });
    harness.knob("faults", refused).await;
    let dana = harness.customer("dana");

    let answer = dana.book(&show, &["A2"]).await;

    let problem = &answer.refused(422, "amount_too_small").body;
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("Stripe says: The request was refused"),
        "{problem}"
    );
    dana.booked(&show, &["A2"]).await;
    harness.reconcile().await;
}
