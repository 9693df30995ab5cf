//! A seat is booked, paid and confirmed.

use serde_json::{Value, json};

use crate::stage::TestApp;

#[tokio::test]
async fn a_seat_is_booked_paid_and_confirmed() {
    let stage = TestApp::new().await;
    let show = stage.show().await;
    let dana = stage.customer("dana");

    let answer = dana.book(&show, &["A10", "A2", "B1"]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let held = answer.body;
    assert_eq!(answer.headers["location"], format!("/api/bookings/{}", held["id"].as_str().unwrap()));
    assert_eq!(held["status"], "pending");
    assert_eq!(held["seats"], json!(["A2", "A10", "B1"]));
    assert_eq!(held["total"], json!({ "amountMinor": 4900, "currency": "eur" }));
    stage.pay(&held).await;

    let confirmed = dana.booking(&held).await;
    assert_eq!(confirmed["status"], "confirmed");
    assert_eq!(confirmed["paymentStatus"], "paid");
    assert_eq!(confirmed["isPaid"], true);
    assert_eq!(confirmed["checkout"], Value::Null);
    assert_eq!(confirmed["balance"]["amountMinor"], 0);
    stage.check_books().await;
}
