//! Vouchers for slots, paid in full or in two parts.

use serde_json::{Value, json};

use super::VOUCHERS;
use crate::harness::{Answer, Caller, TestApp};

const AFTERNOON: &str = "2026-12-01T09:00:00Z";

/// Books an hour for 10.01 dollars with the voucher ONE.
async fn book(caller: &Caller<'_>, service: &Value, starts_at: &str, option: &str) -> Answer {
    let body = json!({
        "kind": "service", "serviceId": service["id"], "startsAt": starts_at, "hours": 1,
        "paymentOption": option, "voucher": "ONE",
    });
    caller.post("/api/bookings", body).await
}

#[tokio::test]
async fn a_slot_is_sold_for_less_in_one_part_or_two() {
    // A percentage is rounded half up, a deposit up.
    for (option, due, balance, status) in [
        ("full", 901, 901, "paid"),
        ("half", 451, 901, "depositPaid"),
    ] {
        let harness = TestApp::new().await;
        let service = harness.service_with(json!({})).await;
        let voucher = harness.voucher_with(json!({ "percentOff": 10 })).await;
        let dana = harness.customer("dana");

        let booked = book(&dana, &service, AFTERNOON, option).await;
        harness.pay(&booked.body).await;

        assert_eq!(booked.status, 201, "{booked:?}");
        assert_eq!(booked.body["total"]["amountMinor"], 901);
        assert_eq!(booked.body["dueNow"]["amountMinor"], due);
        assert_eq!(booked.body["balance"]["amountMinor"], balance);
        let paid = dana.booking(&booked.body).await;
        assert_eq!(paid["paymentStatus"], status);
        assert_eq!(paid["balance"]["amountMinor"], 901 - due);
        assert_eq!(harness.used(&voucher).await, 1);
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn the_balance_is_the_rest_of_what_the_voucher_has_left() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    harness.voucher_with(json!({ "percentOff": 10 })).await;
    let dana = harness.customer("dana");
    let booked = book(&dana, &service, AFTERNOON, "half").await.body;
    harness.pay(&booked).await;

    let path = format!("/api/bookings/{}/checkout", booked["id"].as_str().unwrap());
    let open = dana.post(&path, json!({ "part": "balance" })).await;
    harness.pay(&open.body).await;

    let paid = dana.booking(&booked).await;
    assert_eq!(paid["paymentStatus"], "paid", "{open:?}");
    let amounts = "select string_agg(amount_minor::text, ' ' order by id) from payments";
    assert_eq!(harness.sql(amounts).await, "451 450");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_slot_that_costs_nothing_then_is_confirmed_at_once() {
    for option in ["full", "half"] {
        let harness = TestApp::new().await;
        let service = harness.service_with(json!({})).await;
        harness.voucher_with(json!({ "percentOff": 100 })).await;

        let booked = book(&harness.customer("dana"), &service, AFTERNOON, option).await;

        assert_eq!(booked.status, 201, "{booked:?}");
        assert_eq!(booked.body["status"], "confirmed");
        assert_eq!(booked.body["checkout"], Value::Null);
        assert_eq!(booked.body["balance"]["amountMinor"], 0);
        assert_eq!(harness.stripe_requests().await, Vec::<Value>::new());
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_deposit_that_a_voucher_makes_too_small_is_refused_and_holds_nothing() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let voucher = harness.voucher_with(json!({ "percentOff": 92 })).await;
    let dana = harness.customer("dana");

    let half = book(&dana, &service, AFTERNOON, "half").await;
    half.refused(422, "amount_too_small");
    harness.holds_nothing().await;
    let full = book(&dana, &service, AFTERNOON, "full").await;
    let used_up = book(&dana, &service, "2026-12-01T11:00:00Z", "full").await;

    assert_eq!(full.body["total"]["amountMinor"], 80, "{full:?}");
    used_up.refused(422, "voucher_invalid");
    assert_eq!(harness.sql("select count(*) from slot_claims").await, "1");
    assert_eq!(harness.used(&voucher).await, 1);
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_want_a_slot_each_one_has_the_voucher() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    harness.voucher_with(json!({})).await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let starts = ["2026-12-01T04:00:00Z", "2026-12-01T06:00:00Z", AFTERNOON];

    let [one, two, three] = starts.map(|starts_at| book(&dana, &service, starts_at, "full"));
    let seats = dana.book_with(&show, &["A2"], "ONE");
    let (one, two, three, four) = tokio::join!(one, two, three, seats);

    let answers = [one, two, three, four];
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.refused(422, "voucher_invalid");
    }
    let listed = harness.admin().get(VOUCHERS).await.body;
    assert_eq!(listed["items"][0]["used"], 1);
    assert_eq!(harness.sql("select count(*) from bookings").await, "1");
    harness.reconcile().await;
}
