//! How a payment was paid, and which tries have failed, whatever comes first.

use serde_json::{Value, json};

use crate::harness::TestApp;

const METHOD: &str = "select concat_ws(' ', method_type, method_brand, method_last4,
                                       left(receipt_url, 31))
                      from charges c
                      join payments p using (stripe_payment_intent_id)";
const FAILED: &str = "select string_agg(concat_ws(' ', code, decline_code, method_type,
                                                  method_brand, method_last4), ', '
                                        order by method_last4)
                      from failed_payments f join bookings b on b.id = f.booking_id";
const VISA: &str = "card visa 4242 https://pay.stripe.com/receipts";

/// The event with some members of its object changed, some seconds later.
fn later(body: &str, id: &str, seconds: i64, object: &Value) -> String {
    let mut event: Value = serde_json::from_str(body).unwrap();
    event["id"] = json!(id);
    event["created"] = json!(event["created"].as_i64().unwrap() + seconds);
    for (name, value) in object.as_object().unwrap() {
        event["data"]["object"][name] = value.clone();
    }
    event.to_string()
}

#[tokio::test]
async fn a_payment_has_its_method_whichever_event_came_first() {
    let orders = [
        ["charge.succeeded", "checkout.session.completed"],
        ["checkout.session.completed", "charge.succeeded"],
    ];
    for order in orders {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let booking = harness.customer("dana").booked(&show, &["A2"]).await;
        let wanted = json!({ "session": booking["checkout"]["sessionId"] });
        let events = harness.pay_unheard(wanted).await;

        for kind in order {
            let answer = harness.deliver(&events[kind]).await;
            assert_eq!(answer.body["outcome"], "processed", "{answer:?}");
        }

        assert_eq!(harness.sql(METHOD).await, VISA, "{order:?}");
    }
}

#[tokio::test]
async fn the_newest_word_on_a_charge_counts_and_others_are_none_of_our_business() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let wanted = json!({ "session": booking["checkout"]["sessionId"] });
    let events = harness.pay_unheard(wanted).await;
    harness.deliver(&events["checkout.session.completed"]).await;
    let body = &events["charge.succeeded"];
    let other = json!({
        "payment_method_details": { "type": "sepa_debit", "sepa_debit": { "last4": "3000" } },
        "receipt_url": null,
    });

    let newer = later(body, "evt_newer", 5, &other);
    for event in [&newer, body] {
        let answer = harness.deliver(event).await;
        assert_eq!(answer.body["outcome"], "processed");
    }
    assert_eq!(harness.sql(METHOD).await, "sepa_debit 3000");
    let odd = json!({ "payment_method_details": 7, "receipt_url": "\0", "payment_intent": "pi_y" });
    let foreign = json!({ "payment_intent": "pi_x", "metadata": { "app": "another" } });
    for (id, object, outcome) in [
        ("evt_odd", odd, "processed"),
        ("evt_foreign", foreign, "ignored"),
        ("evt_unnamed", json!({ "payment_intent": null }), "ignored"),
        ("evt_failed", json!({ "status": "failed" }), "ignored"),
    ] {
        let answer = harness.deliver(&later(body, id, 9, &object)).await;
        assert_eq!(answer.body["outcome"], outcome, "{id}: {answer:?}");
    }
    assert_eq!(harness.sql("select count(*) from charges").await, "2");
}

#[tokio::test]
async fn each_failed_try_is_kept_once_and_changes_no_booking() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let session = &booking["checkout"]["sessionId"];

    for card in ["4000000000009995", "4000000000000069"] {
        let wanted = json!({ "session": session, "card": card });
        let events = harness.pay_unheard(wanted).await;
        let body = &events["payment_intent.payment_failed"];
        let again = later(body, &format!("evt_again_{card}"), 1, &json!({}));
        for event in [body, body, &again] {
            assert_eq!(harness.deliver(event).await.status, 200);
        }
    }

    let failed = "expired_card card visa 0069, card_declined insufficient_funds card visa 9995";
    assert_eq!(harness.sql(FAILED).await, failed);
    let now = dana.booking(&booking).await;
    assert_eq!(
        (&now["status"], &now["version"]),
        (&booking["status"], &booking["version"])
    );
    harness.pay(&booking).await;
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    assert_eq!(harness.sql(METHOD).await, VISA);
}

#[tokio::test]
async fn a_failed_try_without_a_charge_is_kept_by_its_event_and_a_foreign_one_is_not() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let session = &booking["checkout"]["sessionId"];
    let wanted = json!({ "session": session, "card": "4000000000000002" });
    let events = harness.pay_unheard(wanted).await;
    let body = &events["payment_intent.payment_failed"];

    let bare = json!({ "last_payment_error": null });
    let foreign = json!({ "id": "pi_x", "metadata": { "app": "another" } });
    for (id, object, outcome) in [
        ("evt_bare", bare, "processed"),
        ("evt_foreign", foreign, "ignored"),
    ] {
        let event = later(body, id, 0, &object);
        assert_eq!(harness.deliver(&event).await.body["outcome"], outcome);
    }

    let kept = "select string_agg(stripe_id, ' ') from failed_payments";
    assert_eq!(harness.sql(kept).await, "evt_bare");
    for change in [
        "update failed_payments set code = 'x'",
        "delete from failed_payments",
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(change))
            .execute(harness.db())
            .await;
        let refused = refused.unwrap_err().into_database_error().unwrap();
        assert_eq!(refused.constraint(), Some("failed_payments_append_only"));
    }
}
