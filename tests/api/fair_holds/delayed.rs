//! Methods that take days are offered only where a show allows them, and early enough.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::delayed::SEPA;
use crate::harness::{TestApp, send};

/// The methods that Stripe was told to leave out, in the last request for a session.
async fn excluded(harness: &TestApp) -> Vec<String> {
    let asked = harness.stripe_requests().await;
    let body = asked.last().unwrap()["raw"].as_str().unwrap().to_owned();
    form_urlencoded::parse(body.as_bytes())
        .filter(|(name, _)| name.starts_with("excluded_payment_method_types["))
        .map(|(_, method)| method.into_owned())
        .collect()
}

const DELAYED: [&str; 13] = [
    "acss_debit",
    "au_becs_debit",
    "bacs_debit",
    "boleto",
    "customer_balance",
    "konbini",
    "multibanco",
    "nz_bank_account",
    "oxxo",
    "payto",
    "sepa_debit",
    "sofort",
    "us_bank_account",
];

/// A show of these members, and no other that is not needed.
async fn bare_show(harness: &TestApp, own: Value) -> String {
    let mut show = json!({
        "title": "Metropolis", "timezone": "Europe/Berlin",
        "tiers": [{ "name": "a", "price": { "amountMinor": 1200, "currency": "eur" } }],
        "rows": [{ "row": "A", "seats": 9, "tier": "a" }],
    });
    for (name, value) in own.as_object().unwrap() {
        show[name] = value.clone();
    }
    let made = harness.admin().post("/api/admin/shows", show).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_leaves_delayed_methods_out_unless_the_show_allows_them_and_is_far_away() {
    let harness = TestApp::new().await;
    let in_days = |days| harness.now() + TimeDelta::days(days);
    let just_after = in_days(14) + TimeDelta::seconds(1);
    for (buyer, own, is_offered) in [
        ("a", json!({ "startsAt": in_days(60) }), false),
        (
            "b",
            json!({ "startsAt": in_days(60), "delayedMethods": false }),
            false,
        ),
        (
            "c",
            json!({ "startsAt": in_days(15), "delayedMethods": true }),
            true,
        ),
        (
            "d",
            json!({ "startsAt": just_after, "delayedMethods": true }),
            true,
        ),
        (
            "e",
            json!({ "startsAt": in_days(14), "delayedMethods": true }),
            false,
        ),
        (
            "f",
            json!({ "startsAt": in_days(13), "delayedMethods": true }),
            false,
        ),
    ] {
        let show = bare_show(&harness, own.clone()).await;

        harness.customer(buyer).booked(&show, &["A2"]).await;

        let left_out: &[&str] = if is_offered { &[] } else { &DELAYED };
        assert_eq!(excluded(&harness).await, left_out, "{own}");
    }
}

#[tokio::test]
async fn a_service_and_its_balance_leave_them_out() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");

    let booked = dana.book_slot(&service, super::NOON, 1, "half").await.body;
    let of_deposit = excluded(&harness).await;
    harness.pay(&booked).await;
    let path = format!("/api/bookings/{}/checkout", booked["id"].as_str().unwrap());
    let opened = dana.post(&path, json!({})).await;

    assert_eq!(opened.status, 200, "{opened:?}");
    assert_eq!(of_deposit, DELAYED);
    assert_eq!(excluded(&harness).await, DELAYED);
}

#[tokio::test]
async fn the_payment_page_follows_what_was_left_out() {
    let harness = TestApp::new().await;
    for (buyer, delayed_methods, status) in [("dana", true, 303), ("emil", false, 402)] {
        let own = json!({ "startsAt": "2027-03-01T19:30:00Z", "delayedMethods": delayed_methods });
        let show = bare_show(&harness, own).await;
        let booking = harness.customer(buyer).booked(&show, &["A2"]).await;
        let page = booking["checkout"]["url"].as_str().unwrap();

        let seen = send(harness.http.get(page)).await;
        let paid = harness.http.post(page).body(format!("number={SEPA}"));
        let paid = send(paid).await;

        let offered = seen.body.as_str().unwrap().contains("card or bank debit");
        assert_eq!((offered, paid.status), (delayed_methods, status));
    }
    let statuses = "select string_agg(status::text, ',' order by user_id) from bookings";
    assert_eq!(harness.sql(statuses).await, "processing,pending");
}
