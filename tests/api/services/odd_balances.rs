//! A deposit or a balance of another amount than was asked for.

use serde_json::{Value, json};

use super::balances::{AFTERNOON, checkout};
use crate::harness::TestApp;

#[tokio::test]
async fn what_is_more_than_the_deposit_makes_the_balance_smaller_and_what_is_less_is_let_off() {
    for (deposit, balance) in [(400, 500), (600, 401), (951, 50)] {
        let harness = TestApp::new().await;
        let service = harness.service_with(json!({})).await;
        let dana = harness.customer("dana");
        let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
        let session = &booked["checkout"]["sessionId"];
        let odd = json!({ "session": session, "amount": deposit });
        harness.knob("pay", odd).await;
        harness.simulator.settled().await;
        let path = format!(
            "/api/admin/bookings/{}/resolve",
            booked["id"].as_str().unwrap()
        );
        let decision = json!({ "action": "confirm", "reason": "close enough" });
        let resolved = harness.admin().post(&path, decision).await;
        assert_eq!(
            resolved.body["paymentStatus"], "depositPaid",
            "{resolved:?}"
        );
        harness.run_jobs().await;

        let opened = checkout(&dana, &booked, json!({ "part": "balance" })).await;
        harness.pay(&opened.body).await;

        let settled = dana.booking(&booked).await;
        assert_eq!(settled["paymentStatus"], "paid", "{opened:?}");
        assert_eq!(settled["paid"]["amountMinor"], deposit + balance);
        assert_eq!(settled["balance"]["amountMinor"], 0);
        assert_eq!(harness.verify().await, Vec::<String>::new());
    }
}

/// Stripe charges nothing below its minimum.
#[tokio::test]
async fn a_balance_that_is_too_small_to_be_charged_is_let_off() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    let odd = json!({ "session": booked["checkout"]["sessionId"], "amount": 952 });
    harness.knob("pay", odd).await;
    harness.simulator.settled().await;

    let resolved = resolve(&harness, &booked, "confirm").await;

    assert_eq!(resolved["paymentStatus"], "paid");
    assert_eq!(resolved["balance"]["amountMinor"], 0);
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

/// A booking whose deposit is paid, and whose balance comes with another amount.
async fn with_odd_balance(harness: &TestApp, amount: i64) -> Value {
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    harness.pay(&booked).await;
    let opened = checkout(&dana, &booked, json!({ "part": "balance" }))
        .await
        .body;
    let odd = json!({ "session": opened["checkout"]["sessionId"], "amount": amount });
    harness.knob("pay", odd).await;
    harness.simulator.settled().await;
    let reviewed = dana.booking(&booked).await;
    assert_eq!(reviewed["status"], "review");
    assert_eq!(reviewed["checkout"], Value::Null);
    let again = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    again.refused(409, "booking_not_payable");
    reviewed
}

async fn resolve(harness: &TestApp, booking: &Value, action: &str) -> Value {
    let id = booking["id"].as_str().unwrap();
    let path = format!("/api/admin/bookings/{id}/resolve");
    let decision = json!({ "action": action, "reason": "talked to them" });
    let resolved = harness.admin().post(&path, decision).await;
    assert_eq!(resolved.status, 200, "{resolved:?}");
    harness.run_jobs().await;
    let of_booking = "select count(*) from discrepancies where status = 'open'";
    assert_eq!(harness.sql(of_booking).await, "0");
    resolved.body
}

#[tokio::test]
async fn a_balance_of_another_amount_waits_for_a_person_who_accepts_it() {
    for amount in [499, 501] {
        let harness = TestApp::new().await;
        let booking = with_odd_balance(&harness, amount).await;

        let resolved = resolve(&harness, &booking, "confirm").await;

        assert_eq!(resolved["status"], "confirmed");
        assert_eq!(resolved["paymentStatus"], "paid");
        assert_eq!(resolved["paid"]["amountMinor"], 501 + amount);
        assert_eq!(resolved["balance"]["amountMinor"], 0);
        assert_eq!(resolved["confirmedAt"], booking["confirmedAt"]);
        let last = "select kind from booking_events order by id desc limit 1";
        assert_eq!(harness.sql(last).await, "balancePaid");
        let more = checkout(
            &harness.customer("dana"),
            &booking,
            json!({ "part": "balance" }),
        )
        .await;
        more.refused(409, "already_paid");
        assert_eq!(harness.verify().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_booking_whose_odd_balance_is_not_wanted_is_cancelled_and_all_goes_back() {
    let harness = TestApp::new().await;
    let booking = with_odd_balance(&harness, 300).await;

    let resolved = resolve(&harness, &booking, "cancel").await;

    assert_eq!(resolved["status"], "cancelled");
    let back = "select string_agg(concat_ws(' ', source, status, amount_minor), ', '
                                  order by amount_minor) from refunds";
    assert_eq!(
        harness.sql(back).await,
        "admin succeeded 300, admin succeeded 501"
    );
    assert_eq!(harness.sql("select count(*) from slot_claims").await, "0");
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

/// An admin has given the odd balance back before they decide.
#[tokio::test]
async fn a_booking_stays_confirmed_without_an_odd_balance_and_asks_for_it_again() {
    let harness = TestApp::new().await;
    let booking = with_odd_balance(&harness, 300).await;
    let id = booking["id"].as_str().unwrap();
    let body = json!({ "reason": "wrong amount" });
    let path = format!("/api/admin/bookings/{id}/refunds");
    assert_eq!(harness.admin().post(&path, body).await.status, 202);
    harness.run_jobs().await;

    let resolved = resolve(&harness, &booking, "confirm").await;
    let dana = harness.customer("dana");
    let opened = checkout(&dana, &booking, json!({ "part": "balance" })).await;
    harness.pay(&opened.body).await;

    assert_eq!(resolved["status"], "confirmed");
    assert_eq!(resolved["balance"]["amountMinor"], 500);
    let settled = dana.booking(&booking).await;
    assert_eq!(settled["paymentStatus"], "paid", "{settled}");
    assert_eq!(settled["balance"]["amountMinor"], 0);
    assert_eq!(harness.verify().await, Vec::<String>::new());
}
