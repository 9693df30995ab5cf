//! A buyer's own payments: each is listed, with how we learned of it.

use serde_json::{Value, json};

use crate::harness::{Caller, TestApp};

/// The payments of a caller, newest first.
async fn payments(caller: &Caller<'_>) -> Vec<Value> {
    let answer = caller.get("/api/payments").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["nextCursor"], Value::Null);
    answer.body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_payment_is_listed_with_its_booking_for_its_buyer_alone() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    assert_eq!(payments(&dana).await, Vec::<Value>::new());

    harness.pay(&booking).await;

    let listed = payments(&dana).await;
    let payment = &listed[0];
    assert_eq!(listed.len(), 1, "{listed:?}");
    let expected = json!({
        "id": harness.sql("select id from payments").await,
        "bookingId": booking["id"],
        "booking": {
            "id": booking["id"],
            "reference": booking["reference"],
            "title": booking["show"]["title"],
        },
        "part": "full",
        "amount": booking["total"],
        "refunded": { "amountMinor": 0, "currency": "eur" },
        "disposition": "applied",
        "reason": null,
        "method": { "type": "card", "brand": "visa", "last4": "4242" },
        "receiptUrl": payment["receiptUrl"],
        "paymentIntentId": harness.sql("select stripe_payment_intent_id from payments").await,
        "settledBy": "webhook",
        "capturedAt": payment["capturedAt"],
    });
    assert_eq!(*payment, expected);
    assert_eq!(
        payments(&harness.customer("eve")).await,
        Vec::<Value>::new()
    );
}

#[tokio::test]
async fn surplus_is_listed_with_its_reason_and_what_is_back() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    harness.deliver(&events["checkout.session.completed"]).await;
    let mut second: Value = serde_json::from_str(&events["payment_intent.succeeded"]).unwrap();
    second["id"] = json!("evt_second");
    second["data"]["object"]["id"] = json!("pi_second");
    harness.deliver(&second.to_string()).await;

    let listed = payments(&dana).await;
    let newest = |name: &str| listed[0][name].clone();
    assert_eq!(listed.len(), 2);
    assert_eq!(newest("disposition"), "surplus");
    assert_eq!(newest("reason"), "already_paid");
    assert_eq!(newest("refunded")["amountMinor"], 0);
    assert_eq!(listed[1]["disposition"], "applied");

    let made = json!({
        "id": "evt_refund", "object": "event", "type": "refund.created", "livemode": false,
        "api_version": "2026-09-30.endive", "created": harness.now().timestamp(),
        "data": { "object": {
            "id": "re_1", "object": "refund", "status": "pending", "payment_intent": "pi_second",
            "amount": 1_200, "currency": "eur",
            "metadata": { "refundId": harness.sql("select id from refunds").await },
        } },
    });
    harness.deliver(&made.to_string()).await;

    assert_eq!(payments(&dana).await[0]["refunded"], booking["total"]);
}

#[tokio::test]
async fn whatever_settles_a_payment_is_named_on_it() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let settled_by = async |booking: &Value| {
        let listed = payments(&dana).await;
        let payment = listed
            .iter()
            .find(|payment| payment["bookingId"] == booking["id"]);
        payment.unwrap()["settledBy"].clone()
    };

    let verified = dana.booked(&show, &["A2"]).await;
    harness
        .pay_unheard(json!({ "session": verified["checkout"]["sessionId"] }))
        .await;
    let session = json!({ "sessionId": verified["checkout"]["sessionId"] });
    let answer = dana.post("/api/payments/verify?wait=3", session).await;
    assert_eq!(answer.body["status"], "confirmed", "{answer:?}");
    assert_eq!(settled_by(&verified).await, "verify");

    let cancelled = dana.booked(&show, &["A3"]).await;
    harness
        .pay_unheard(json!({ "session": cancelled["checkout"]["sessionId"] }))
        .await;
    let path = format!("/api/bookings/{}/cancel", cancelled["id"].as_str().unwrap());
    dana.post(&path, json!({}))
        .await
        .refused(409, "already_paid");
    assert_eq!(settled_by(&cancelled).await, "release");
}

#[tokio::test]
async fn payments_come_page_by_page() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let mut booked = Vec::new();
    for seat in ["A2", "A3", "A4"] {
        let booking = dana.booked(&show, &[seat]).await;
        harness.pay(&booking).await;
        booked.push(booking["id"].clone());
    }

    let mut seen = Vec::new();
    let mut path = "/api/payments?limit=2".to_owned();
    loop {
        let page = dana.get(&path).await;
        let items = page.body["items"].as_array().unwrap();
        seen.extend(items.iter().map(|payment| payment["bookingId"].clone()));
        let Some(cursor) = page.body["nextCursor"].as_str() else {
            break;
        };
        path = format!("/api/payments?limit=2&cursor={cursor}");
    }

    booked.reverse();
    assert_eq!(seen, booked);
    for query in ["limit=0", "limit=101", "cursor=nonsense", "status=paid"] {
        dana.get(&format!("/api/payments?{query}"))
            .await
            .refused(422, "validation_failed");
    }
}
