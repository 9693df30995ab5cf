//! Money that does not match leaves a booking to a person, with all that it reserves and every word
//! of Stripe's.

mod resolved;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::TestApp;

/// The body of an event, with some members of its object changed, under an id of its own.
fn changed(body: &str, id: &str, object: &Value) -> String {
    let mut event: Value = serde_json::from_str(body).unwrap();
    event["id"] = json!(id);
    for (name, value) in object.as_object().unwrap() {
        event["data"]["object"][name] = value.clone();
    }
    event.to_string()
}

/// What has happened to the one booking there is, in order.
const HAPPENED: &str = "select string_agg(kind, ' ' order by id) from booking_events";

#[tokio::test]
async fn a_booking_under_review_keeps_its_seats() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    let body = &events["checkout.session.completed"];

    let less = changed(body, "evt_less", &json!({ "amount_total": 1_199 }));
    harness.deliver(&less).await;
    let refused = harness.customer("emil").book(&show, &["A2"]).await;
    harness.advance(TimeDelta::minutes(11)).await;
    harness.run_jobs().await;

    assert_eq!(dana.booking(&booking).await["status"], "review");
    refused.refused(409, "seat_unavailable");
    let seats = harness.get(&format!("/api/shows/{show}/seats")).await.body;
    assert_eq!(seats["seats"][1]["label"], "A2");
    assert_eq!(seats["seats"][1]["state"], "held");
    let claimed = "select string_agg(label, ',') from seat_claims";
    assert_eq!(harness.sql(claimed).await, "A2");
    assert_eq!(
        harness.sql(HAPPENED).await,
        "held attemptOpened surplusKept review"
    );
}

#[tokio::test]
async fn late_money_that_does_not_match_claims_the_seats_again_for_a_person_to_decide() {
    for (is_resold, status, last_event) in [
        (false, "review", "review"),
        (true, "expired", "paymentDiffers"),
    ] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let dana = harness.customer("dana");
        let booking = dana.booked(&show, &["A2"]).await;
        let events = harness
            .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
            .await;
        harness.hear_of_expiry(&booking).await;
        if is_resold {
            harness.customer("emil").booked(&show, &["A2"]).await;
        }

        let body = &events["checkout.session.completed"];
        let less = changed(body, "evt_less", &json!({ "amount_total": 1_199 }));
        harness.deliver(&less).await;

        assert_eq!(dana.booking(&booking).await["status"], status);
        let id = booking["id"].as_str().unwrap();
        let last = format!(
            "select kind from booking_events where booking_id = '{id}' order by id desc limit 1"
        );
        assert_eq!(harness.sql(&last).await, last_event);
        let open = "select count(*) from discrepancies where status = 'open'";
        assert_eq!(harness.sql(open).await, "1");
        let kept = "select disposition || ' ' || surplus_reason from payments";
        assert_eq!(harness.sql(kept).await, "surplus mismatch");
    }
}

/// Before 2025-03-31 a session whose price was shown in the buyer's currency had its total in that
/// one, and the price that was asked for beside it.
#[tokio::test]
async fn a_person_is_told_what_stripe_said_of_a_converted_total() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    let conversion = json!({
        "amount_subtotal": 1_200, "amount_total": 1_200,
        "fx_rate": "1.0853", "source_currency": "eur",
    });
    let object = json!({
        "amount_total": 1_302, "currency": "usd", "currency_conversion": conversion,
    });
    let body = &events["checkout.session.completed"];
    let mut old: Value = serde_json::from_str(&changed(body, "evt_old", &object)).unwrap();
    old["api_version"] = json!("2024-06-20");

    harness.deliver(&old.to_string()).await;

    assert_eq!(dana.booking(&booking).await["status"], "review");
    for theirs in [
        "select theirs from discrepancies where kind = 'currency_mismatch'",
        "select payload -> 'theirs' from booking_events where kind = 'review'",
    ] {
        let theirs: Value = serde_json::from_str(&harness.sql(theirs).await).unwrap();
        assert_eq!(
            theirs["captured"],
            json!({ "amountMinor": 1_302, "currency": "usd" })
        );
        assert_eq!(theirs["remarks"]["apiVersion"], "2024-06-20");
        assert_eq!(theirs["remarks"]["currencyConversion"], conversion);
    }
}

#[tokio::test]
async fn a_second_payment_of_a_paid_attempt_is_kept_apart_and_refunded_once() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    harness.deliver(&events["checkout.session.completed"]).await;
    let body = &events["payment_intent.succeeded"];

    let second = changed(body, "evt_second", &json!({ "id": "pi_second" }));
    let again = changed(body, "evt_again", &json!({ "id": "pi_second" }));
    for event in [&second, &again, body] {
        let answer = harness.deliver(event).await;
        assert_eq!(answer.body["outcome"], "processed", "{answer:?}");
    }

    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    let payments = "select string_agg(disposition || ' ' || coalesce(surplus_reason, 'owed'), ', '
                                      order by disposition)
                    from payments";
    assert_eq!(
        harness.sql(payments).await,
        "applied owed, surplus already_paid"
    );
    let refunds = "select count(*) || ' ' || min(amount_minor) from refunds";
    assert_eq!(harness.sql(refunds).await, "1 1200");
    assert_eq!(
        harness.sql(HAPPENED).await,
        "held attemptOpened confirmed surplusKept refundRequested"
    );
}

#[tokio::test]
async fn a_signed_event_whose_object_is_none_is_stored_and_ignored() {
    let harness = TestApp::new().await;
    let event = |id: &str, data: Value| {
        json!({
            "id": id, "object": "event", "api_version": "2026-09-30.endive", "livemode": false,
            "created": harness.now().timestamp(),
            "type": "checkout.session.completed", "data": data,
        })
    };
    let payment_intent = json!({ "id": "pi_1", "object": "payment_intent", "status": "succeeded" });

    for (number, data) in [
        json!({ "object": null }),
        json!({ "object": "cs_test_1" }),
        json!({ "object": 7 }),
        json!({ "object": [1, { "a": 2 }] }),
        json!({ "object": payment_intent }),
        json!({ "object": { "object": 1, "id": [], "metadata": "x" } }),
        json!(null),
        json!("nothing"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = harness
            .deliver(&event(&format!("evt_{number}"), data).to_string())
            .await;
        assert_eq!(
            (answer.status, &answer.body["outcome"]),
            (200, &json!("ignored")),
            "{answer:?}"
        );
    }
    let without = event("evt_without", json!({})).to_string();
    assert_eq!(harness.deliver(&without).await.body["outcome"], "ignored");
    let twice = event("evt_twice", json!({ "object": null })).to_string();
    let twice = twice.replace(
        "\"object\":null",
        "\"object\":null,\"object\":{\"id\":\"a\",\"id\":\"b\"}",
    );
    assert_eq!(harness.deliver(&twice).await.body["outcome"], "ignored");

    let stored = "select count(*) from payment_events where status = 'ignored'";
    assert_eq!(harness.sql(stored).await, "10");
    let no_event = json!({ "id": "evt_x", "object": "charge", "data": { "object": null } });
    harness
        .deliver(&no_event.to_string())
        .await
        .refused(400, "malformed_request");
}
