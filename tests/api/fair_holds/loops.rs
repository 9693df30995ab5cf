//! Who calls a hold off and takes it again keeps it no longer than who lets it lapse.

use chrono::TimeDelta;
use serde_json::json;

use super::cancel;
use crate::harness::TestApp;

/// Who cancels each hold a second before it would lapse, and takes the seats again.
#[tokio::test]
async fn who_calls_off_just_before_each_end_waits_as_who_lets_it_lapse() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let mut is_held = Vec::new();
    for _ in 0..6 {
        let dana = harness.customer("dana");
        let answer = dana.book(&show, &["A2", "A3"]).await;
        is_held.push(answer.status == 201);
        if answer.status == 201 {
            harness.advance(TimeDelta::seconds(599)).await;
            cancel(&dana, &answer.body).await;
        } else {
            answer.refused(429, "rate_limited");
            harness.advance(TimeDelta::minutes(10)).await;
        }
    }

    // Two of them are a second or two short of two holds; from then on, every other one is.
    assert_eq!(is_held, [true, true, true, false, true, false]);
}

#[tokio::test]
async fn who_lets_two_slots_of_a_service_lapse_waits_too() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({ "resources": ["One"] })).await;
    for _ in 0..2 {
        let dana = harness.customer("dana");
        let held = dana.book_slot(&service, super::NOON, 1, "full").await;
        assert_eq!(held.status, 201);
        harness.lapse().await;
    }

    let dana = harness.customer("dana");
    let third = dana.book_slot(&service, super::NOON, 1, "full").await;

    third.refused(429, "rate_limited");
}

/// What costs nothing is confirmed at once, and is never a hold.
#[tokio::test]
async fn one_account_does_not_take_all_of_a_free_show() {
    let harness = TestApp::new().await;
    let free = json!([{ "name": "regular", "price": { "amountMinor": 0, "currency": "eur" } }]);
    let show = harness
        .long_row(json!({ "tiers": free, "maxSeatsPerBooking": 10 }))
        .await;
    let dana = harness.customer("dana");

    let at_first = dana
        .book(&show, &["A1", "A2", "A3", "A4", "A5", "A6"])
        .await;
    let too_many = dana.book(&show, &["A7", "A8", "A9", "A10", "A11"]).await;
    let as_many_as_one_booking = dana.book(&show, &["A7", "A8", "A9", "A10"]).await;

    assert_eq!(at_first.status, 201);
    too_many.refused(422, "too_many_seats");
    assert_eq!(too_many.body["maximum"], 10);
    assert_eq!(as_many_as_one_booking.status, 201);
}
