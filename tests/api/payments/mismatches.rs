//! Money that is not what was asked for goes to a person.

use serde_json::{Value, json};

use super::held;
use crate::harness::TestApp;

#[tokio::test]
async fn another_amount_goes_to_a_person() {
    different_money_goes_to_a_person(json!({ "amount": 1199 }), "amount_mismatch").await;
}

#[tokio::test]
async fn another_currency_goes_to_a_person() {
    different_money_goes_to_a_person(json!({ "currency": "usd" }), "currency_mismatch").await;
}

#[tokio::test]
async fn metadata_that_names_another_booking_goes_to_a_person() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;
    let other = json!({ "bookingId": "01930000-0000-7000-8000-000000000000" });
    let pay = json!({ "session": booking["checkout"]["sessionId"], "metadata": other });
    let events = harness.pay_unheard(pay).await;

    harness.deliver(&events["checkout.session.completed"]).await;

    assert_eq!(dana.booking(&booking).await["status"], "review");
    assert_eq!(
        harness
            .sql("select string_agg(kind, ',') from discrepancies")
            .await,
        "booking_mismatch"
    );
    assert_eq!(
        harness
            .sql("select disposition || ' ' || surplus_reason from payments")
            .await,
        "surplus mismatch"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_later_word_that_differs_is_flagged_and_moves_no_money() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;
    let other = json!({ "bookingId": "01930000-0000-7000-8000-000000000000" });
    let pay = json!({ "session": booking["checkout"]["sessionId"], "metadata": other });
    let events = harness.pay_unheard(pay).await;

    harness.deliver(&events["payment_intent.succeeded"]).await;
    harness.deliver(&events["checkout.session.completed"]).await;

    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    assert_eq!(
        harness
            .sql("select string_agg(kind, ',') from discrepancies")
            .await,
        "booking_mismatch"
    );
    assert_eq!(harness.sql("select count(*) from payments").await, "1");
    harness.reconcile().await;
}

async fn different_money_goes_to_a_person(change: Value, kind: &str) {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;
    let mut knob = change;
    knob["session"] = booking["checkout"]["sessionId"].clone();

    harness.knob("pay", knob).await;
    harness.simulator.settled().await;

    let after = dana.booking(&booking).await;
    assert_eq!(after["status"], "review");
    assert_eq!(after["isPaid"], false);
    assert_eq!(after["confirmedAt"], Value::Null);
    assert_eq!(
        harness
            .sql("select string_agg(kind, ',') from discrepancies where status = 'open'")
            .await,
        kind
    );
    assert_eq!(
        harness
            .sql("select disposition || ' ' || surplus_reason from payments")
            .await,
        "surplus mismatch"
    );
    assert_eq!(
        harness
            .sql("select debit || '>' || credit from ledger_transfers")
            .await,
        "stripe_balance>customer_surplus"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn an_amount_that_cannot_be_read_is_never_taken_for_the_right_one() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    let mut completed: Value = serde_json::from_str(&events["checkout.session.completed"]).unwrap();

    for (number, amount) in [json!("1200"), json!(1200.5), json!(null), json!([1200])]
        .into_iter()
        .enumerate()
    {
        completed["id"] = json!(format!("evt_garbled{number}"));
        completed["data"]["object"]["amount_total"] = amount;
        assert_eq!(
            harness.deliver(&completed.to_string()).await.body["outcome"],
            "processed"
        );
    }

    assert_eq!(dana.booking(&booking).await["status"], "review");
    harness.deliver(&events["payment_intent.succeeded"]).await;
    assert_eq!(
        harness
            .sql("select disposition || ' ' || surplus_reason from payments")
            .await,
        "surplus under_review"
    );
    harness.reconcile().await;
}
