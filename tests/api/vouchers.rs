//! Vouchers: what they take off, and who can use them.

mod admin;
mod given_back;
mod late;
mod rush;
mod services;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{Answer, Caller, TestApp};

const VOUCHERS: &str = "/api/admin/vouchers";

impl TestApp {
    /// A voucher that is called ONE and takes off half, once, with some members of its own.
    pub(crate) async fn voucher_with(&self, own: Value) -> Value {
        let mut voucher = json!({ "code": "ONE", "percentOff": 50, "maxUses": 1 });
        for (name, value) in own.as_object().unwrap() {
            voucher[name] = value.clone();
        }
        voucher.as_object_mut().unwrap().retain(|_, v| !v.is_null());
        let made = self.admin().post(VOUCHERS, voucher).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body
    }

    /// How often the voucher is used, by the word of the API.
    pub(crate) async fn used(&self, voucher: &Value) -> i64 {
        let path = format!("{VOUCHERS}/{}", voucher["id"].as_str().unwrap());
        let answer = self.admin().get(&path).await;
        answer.body["used"].as_i64().unwrap()
    }

    /// Nothing of a booking is stored.
    async fn holds_nothing(&self) {
        for table in [
            "bookings",
            "seat_claims",
            "slot_claims",
            "checkout_attempts",
            "voucher_redemptions",
            "booking_events",
            "jobs",
        ] {
            let count = format!("select count(*) from {table}");
            assert_eq!(self.sql(&count).await, "0", "{table}");
        }
    }
}

impl Caller<'_> {
    /// Holds seats of a show with a voucher.
    pub(crate) async fn book_with(&self, show_id: &str, seats: &[&str], voucher: &str) -> Answer {
        self.post("/api/bookings", order(show_id, seats, voucher))
            .await
    }
}

fn order(show_id: &str, seats: &[&str], voucher: &str) -> Value {
    json!({ "kind": "show", "showId": show_id, "seats": seats, "voucher": voucher })
}

/// What has happened to the one booking there is, in order.
const HAPPENED: &str = "select string_agg(kind, ' ' order by id) from booking_events";

#[tokio::test]
async fn the_buyer_pays_the_rest_and_the_page_shows_it_item_by_item() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let voucher = harness.voucher_with(json!({ "percentOff": 15 })).await;
    let dana = harness.customer("dana");

    let booked = dana.book_with(&show, &["A2", "A3", "B1"], "one").await;
    let paid = harness.pay(&booked.body).await;

    assert_eq!(booked.status, 201, "{booked:?}");
    let rest = json!({ "amountMinor": 4_165, "currency": "eur" });
    assert_eq!(booked.body["total"], rest);
    assert_eq!(booked.body["dueNow"], rest);
    let session = booked.body["checkout"]["sessionId"].as_str().unwrap();
    let items = format!("/v1/checkout/sessions/{session}/line_items");
    let items = harness.ask_stripe(&items).await;
    let items = items["data"].as_array().unwrap().iter();
    let amounts: Vec<_> = items.map(|item| item["amount_total"].clone()).collect();
    assert_eq!(amounts, [json!(2_040), json!(2_125)], "{paid}");
    let booking = dana.booking(&booked.body).await;
    assert_eq!(booking["status"], "confirmed");
    assert_eq!(booking["paid"], rest);
    assert_eq!(harness.used(&voucher).await, 1);
    assert_eq!(
        harness.sql(HAPPENED).await,
        "held voucherRedeemed attemptOpened confirmed"
    );
    let id = booking["id"].as_str().unwrap();
    let timeline = format!("/api/admin/bookings/{id}/timeline");
    let timeline = harness.admin().get(&timeline).await.body;
    let sentence = "The voucher ONE takes 7.35 EUR off the price.";
    let mut items = timeline["items"].as_array().unwrap().iter();
    assert!(items.any(|item| item["text"] == sentence), "{timeline}");
    harness.reconcile().await;
}

#[tokio::test]
async fn what_costs_nothing_then_is_confirmed_at_once_without_stripe() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let voucher = harness.voucher_with(json!({ "percentOff": 100 })).await;

    let booked = harness
        .customer("dana")
        .book_with(&show, &["A2", "B1"], "ONE")
        .await;
    harness.run_jobs().await;

    assert_eq!(booked.status, 201, "{booked:?}");
    assert_eq!(booked.body["status"], "confirmed");
    assert_eq!(booked.body["paymentStatus"], "paid");
    assert_eq!(booked.body["isPaid"], true);
    assert_eq!(booked.body["checkout"], Value::Null);
    assert_eq!(booked.body["holdExpiresAt"], Value::Null);
    assert_eq!(booked.body["total"]["amountMinor"], 0);
    assert_eq!(booked.body["confirmedAt"], "2026-11-21T12:00:00Z");
    assert_eq!(harness.stripe_requests().await, Vec::<Value>::new());
    for table in ["payments", "checkout_attempts", "ledger_transfers", "jobs"] {
        let count = format!("select count(*) from {table}");
        assert_eq!(harness.sql(&count).await, "0", "{table}");
    }
    assert_eq!(harness.sql(HAPPENED).await, "confirmed voucherRedeemed");
    let seats = harness.get(&format!("/api/shows/{show}/seats")).await.body;
    assert_eq!(seats["seats"][1]["state"], "sold");
    assert_eq!(harness.used(&voucher).await, 1);
    harness.reconcile().await;
}

#[tokio::test]
async fn a_rest_that_cannot_be_charged_is_refused_before_anything_is_held() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let off = |minor: i64| json!({ "amountMinor": minor, "currency": "eur" });
    for (code, minor) in [("LESS", 1_151), ("LEAST", 1_150), ("MORE", 9_999)] {
        let own = json!({ "code": code, "percentOff": null, "amountOff": off(minor) });
        harness.voucher_with(own).await;
    }
    let dana = harness.customer("dana");

    let too_small = dana.book_with(&show, &["A2"], "LESS").await;
    too_small.refused(422, "amount_too_small");
    assert_eq!(too_small.body["minimum"], off(50));
    harness.holds_nothing().await;
    let least = dana.book_with(&show, &["A2"], "LEAST").await;
    let free = dana.book_with(&show, &["A3"], "MORE").await;

    assert_eq!(least.body["total"]["amountMinor"], 50, "{least:?}");
    assert_eq!(free.body["total"]["amountMinor"], 0, "{free:?}");
    assert_eq!(free.body["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_voucher_that_cannot_be_used_holds_nothing() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dollars = json!({ "amountMinor": 100, "currency": "usd" });
    let now = harness.now();
    let later = now + TimeDelta::seconds(1);
    for own in [
        json!({ "code": "USD", "percentOff": null, "amountOff": dollars }),
        json!({ "code": "OFF", "active": false }),
        json!({ "code": "EARLY", "validFrom": later }),
        json!({ "code": "LATE", "validUntil": now }),
    ] {
        harness.voucher_with(own).await;
    }
    let dana = harness.customer("dana");

    for code in ["USD", "OFF", "EARLY", "LATE", "NONE", "", "\u{1f3ab}"] {
        let refused = dana.book_with(&show, &["A2"], code).await;
        refused.refused(422, "voucher_invalid");
        harness.holds_nothing().await;
    }
    harness.advance(TimeDelta::seconds(1)).await;
    let early = dana.book_with(&show, &["A2"], "EARLY").await;
    assert_eq!(early.status, 201, "{early:?}");
}

#[tokio::test]
async fn a_voucher_that_takes_nothing_off_is_not_used() {
    let harness = TestApp::new().await;
    let free = json!([{ "name": "regular", "price": { "amountMinor": 0, "currency": "eur" } }]);
    let rows = json!([{ "row": "A", "seats": 2, "tier": "regular" }]);
    let show = harness
        .show_with(json!({ "tiers": free, "rows": rows }))
        .await;
    let voucher = harness.voucher_with(json!({})).await;

    let booked = harness
        .customer("dana")
        .book_with(&show, &["A2"], "ONE")
        .await;

    assert_eq!(booked.body["status"], "confirmed", "{booked:?}");
    assert_eq!(harness.used(&voucher).await, 0);
}

#[tokio::test]
async fn a_repeated_request_uses_a_voucher_once() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    for percent in [50, 100] {
        let code = format!("P{percent}");
        let own = json!({ "code": code, "percentOff": percent });
        let voucher = harness.voucher_with(own).await;
        let dana = harness.customer("dana");
        let seat = format!("A{percent}").replace("50", "2").replace("100", "3");
        let order = order(&show, &[&seat], &code);

        let first = dana.post_keyed("/api/bookings", order.clone(), &code).await;
        let again = dana.post_keyed("/api/bookings", order, &code).await;

        assert_eq!((first.status, again.status), (201, 201), "{again:?}");
        assert_eq!(first.body, again.body);
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(harness.used(&voucher).await, 1);
    }
    assert_eq!(harness.sql("select count(*) from bookings").await, "2");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_request_that_was_cut_short_goes_on_with_the_voucher_that_it_has() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let voucher = harness.voucher_with(json!({})).await;
    let down = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 503, "times": 7,
    });
    harness.knob("faults", down).await;
    let dana = harness.customer("dana");
    let order = order(&show, &["A2"], "ONE");

    let broken = dana.post_keyed("/api/bookings", order.clone(), "k").await;
    let again = dana.post_keyed("/api/bookings", order, "k").await;

    broken.refused(503, "payment_provider_unavailable");
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.body["total"]["amountMinor"], 600);
    assert_eq!(harness.used(&voucher).await, 1);
    harness.pay(&again.body).await;
    assert_eq!(dana.booking(&again.body).await["status"], "confirmed");
    harness.reconcile().await;
}
