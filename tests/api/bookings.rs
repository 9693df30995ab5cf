//! A seat is booked, paid and confirmed; and why it may not be.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::TestApp;

#[tokio::test]
async fn a_seat_is_booked_paid_and_confirmed() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");

    let answer = dana.book(&show, &["A10", "A2", "B1"]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let held = answer.body;
    harness.pay(&held).await;
    let confirmed = dana.booking(&held).await;

    assert_eq!(
        answer.headers["location"],
        format!("/api/bookings/{}", held["id"].as_str().unwrap())
    );
    assert_eq!(held["status"], "pending");
    assert_eq!(held["paymentStatus"], "unpaid");
    assert_eq!(held["seats"], json!(["A2", "A10", "B1"]));
    assert_eq!(
        held["total"],
        json!({ "amountMinor": 4900, "currency": "eur" })
    );
    assert_eq!(held["holdExpiresAt"], "2026-11-21T12:10:00Z");
    assert_eq!(confirmed["status"], "confirmed");
    assert_eq!(confirmed["paymentStatus"], "paid");
    assert_eq!(confirmed["isPaid"], true);
    assert_eq!(confirmed["checkout"], Value::Null);
    assert_eq!(confirmed["holdExpiresAt"], Value::Null);
    assert_eq!(confirmed["balance"]["amountMinor"], 0);
    assert!(confirmed["version"].as_i64() > held["version"].as_i64());
    harness.reconcile().await;
}

#[tokio::test]
async fn a_booking_has_every_member_of_its_shape() {
    let harness = TestApp::new().await;
    let show = harness.show().await;

    let booking = harness.customer("dana").booked(&show, &["A2"]).await;

    let members: Vec<&str> = booking
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let shape = "balance cancelledAt checkout confirmedAt createdAt dueNow holdExpiresAt id isPaid \
                 kind paid paymentOption paymentStatus reference refunded seats service show slot \
                 status total version";
    assert_eq!(members, shape.split_whitespace().collect::<Vec<_>>());
    assert_eq!(booking["show"]["id"], show);
    assert_eq!(booking["show"]["startsAt"], "2026-12-24T19:30:00Z");
    assert_eq!(booking["show"]["timezone"], "Europe/Berlin");
    let reference = booking["reference"].as_str().unwrap();
    assert!(
        reference.starts_with("HF-") && reference.len() == 9,
        "{reference}"
    );
    assert_eq!(booking["checkout"]["expiresAt"], "2026-11-21T12:35:00Z");
}

#[tokio::test]
async fn the_film_of_the_show_comes_with_a_booking() {
    let harness = TestApp::new().await;
    let film = json!({
        "title": "Metropolis", "runtimeMinutes": 153, "posterUrl": "https://films.example/m.jpg",
    });
    let made = harness
        .admin()
        .post("/api/admin/movies", film.clone())
        .await;
    let film_id = made.body["id"].clone();
    let of_film = json!({ "movieId": film_id, "title": null });
    let shows = [harness.show_with(of_film).await, harness.show().await];
    let dana = harness.customer("dana");

    for (show, shown) in shows.iter().zip([true, false]) {
        let held = dana.booked(show, &["A2"]).await;
        let read = dana.booking(&held).await;

        let mut wanted = film.clone();
        wanted["id"] = film_id.clone();
        let wanted = if shown { wanted } else { Value::Null };
        assert_eq!(held["show"]["movie"], wanted);
        assert_eq!(read["show"], held["show"]);
    }
}

#[tokio::test]
async fn seats_that_are_gone_are_named() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.customer("emil").booked(&show, &["A10", "A3"]).await;

    let answer = harness
        .customer("dana")
        .book(&show, &["A2", "A10", "A1", "A3"])
        .await;

    answer.refused(409, "seat_unavailable");
    assert_eq!(answer.body["seats"], json!(["A1", "A3", "A10"]));
    assert!(answer.body.get("ownBooking").is_none());
    assert_eq!(
        answer.body["detail"],
        "Seats A1, A3, A10 are no longer free."
    );
}

#[tokio::test]
async fn ones_own_pending_booking_is_named() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let held = dana.booked(&show, &["A2"]).await;

    let pending = dana.book(&show, &["A2", "A3"]).await;
    harness.pay(&held).await;
    let confirmed = dana.book(&show, &["A2"]).await;

    pending.refused(409, "seat_unavailable");
    assert_eq!(pending.body["ownBooking"], held["id"]);
    confirmed.refused(409, "seat_unavailable");
    assert!(confirmed.body.get("ownBooking").is_none());
}

#[tokio::test]
async fn what_cannot_be_booked_is_refused_and_nothing_is_held() {
    let harness = TestApp::new().await;
    let show = harness.show_with(json!({ "maxSeatsPerBooking": 3 })).await;
    let dana = harness.customer("dana");
    let body = |changes: Value| {
        let mut body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };

    for (changes, status, code) in [
        (json!({ "seats": ["A1"] }), 409, "seat_unavailable"),
        (json!({ "seats": ["Z9"] }), 422, "unknown_seat"),
        (json!({ "seats": ["a2"] }), 422, "unknown_seat"),
        (json!({ "seats": [""] }), 422, "validation_failed"),
        (
            json!({ "seats": ["A2", "A3", "A4", "A5"] }),
            422,
            "too_many_seats",
        ),
        (json!({ "seats": [] }), 422, "validation_failed"),
        (json!({ "seats": ["A2", "A2"] }), 422, "validation_failed"),
        (json!({ "seats": "A2" }), 422, "validation_failed"),
        (json!({ "kind": "service" }), 422, "validation_failed"),
        (json!({ "showId": "none" }), 422, "validation_failed"),
        (
            json!({ "showId": "01930000-0000-7000-8000-000000000000" }),
            404,
            "not_found",
        ),
        (json!({ "paymentOption": "half" }), 422, "validation_failed"),
        (json!({ "voucher": "ONE" }), 422, "voucher_invalid"),
        (json!({ "ui": "paper" }), 422, "validation_failed"),
        (
            json!({ "total": { "amountMinor": 1, "currency": "eur" } }),
            422,
            "validation_failed",
        ),
    ] {
        let answer = dana.post("/api/bookings", body(changes.clone())).await;

        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (status, Some(code)),
            "{changes}: {answer:?}"
        );
    }
    assert_eq!(harness.sql("select count(*) from bookings").await, "0");
    assert_eq!(harness.stripe_requests().await.len(), 0);
}

#[tokio::test]
async fn refusals_say_what_would_do() {
    let harness = TestApp::new().await;
    let cheap = json!([{ "name": "regular", "price": { "amountMinor": 49, "currency": "eur" } }]);
    let rows = json!([{ "row": "A", "seats": 9, "tier": "regular" }]);
    let show = harness
        .show_with(json!({ "tiers": cheap, "rows": rows, "maxSeatsPerBooking": 2 }))
        .await;
    let dana = harness.customer("dana");

    let small = dana.book(&show, &["A2"]).await;
    let many = dana.book(&show, &["A2", "A3", "A4"]).await;
    let unknown = dana.book(&show, &["B2", "A3"]).await;
    let enough = dana.book(&show, &["A2", "A3"]).await;

    small.refused(422, "amount_too_small");
    assert_eq!(
        small.body["minimum"],
        json!({ "amountMinor": 50, "currency": "eur" })
    );
    many.refused(422, "too_many_seats");
    assert_eq!(many.body["maximum"], 2);
    unknown.refused(422, "unknown_seat");
    assert_eq!(unknown.body["seats"], json!(["B2"]));
    assert_eq!(enough.status, 201);
}

#[tokio::test]
async fn a_show_that_has_begun_is_closed() {
    let harness = TestApp::new().await;
    let show = harness
        .show_with(json!({ "startsAt": "2026-11-21T13:00:00Z" }))
        .await;

    harness.advance(TimeDelta::minutes(59)).await;
    let before = harness.customer("dana").book(&show, &["A2"]).await;
    harness.advance(TimeDelta::minutes(1)).await;
    let after = harness.customer("dana").book(&show, &["A3"]).await;

    assert_eq!(before.status, 201);
    after.refused(409, "show_closed");
}

#[tokio::test]
async fn a_show_that_is_off_sale_is_closed() {
    let harness = TestApp::new().await;
    for status in ["closed", "cancelled"] {
        let show = harness.show().await;
        let update =
            format!("update shows set status = '{status}' where id = '{show}' returning 1");
        sqlx::query(sqlx::AssertSqlSafe(update))
            .execute(harness.db())
            .await
            .unwrap();

        harness
            .customer("dana")
            .book(&show, &["A2"])
            .await
            .refused(409, "show_closed");
    }
}

#[tokio::test]
async fn what_costs_nothing_is_confirmed_at_once() {
    let harness = TestApp::new().await;
    let free = json!([{ "name": "regular", "price": { "amountMinor": 0, "currency": "eur" } }]);
    let rows = json!([{ "row": "A", "seats": 9, "tier": "regular" }]);
    let show = harness
        .show_with(json!({ "tiers": free, "rows": rows }))
        .await;

    let booking = harness.customer("dana").booked(&show, &["A2"]).await;

    assert_eq!(booking["status"], "confirmed");
    assert_eq!(booking["paymentStatus"], "paid");
    assert_eq!(booking["isPaid"], true);
    assert_eq!(booking["checkout"], Value::Null);
    assert_eq!(booking["confirmedAt"], "2026-11-21T12:00:00Z");
    assert_eq!(harness.stripe_requests().await.len(), 0);
    harness.reconcile().await;
}

#[tokio::test]
async fn a_user_sees_their_own_bookings_newest_first() {
    let harness = TestApp::holding_freely().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let mut made = Vec::new();
    for seat in ["A2", "A3", "A4"] {
        made.push(dana.booked(&show, &[seat]).await);
    }
    harness.customer("emil").booked(&show, &["A5"]).await;
    harness.pay(&made[1]).await;

    let first = dana.get("/api/bookings?limit=2").await.body;
    let cursor = first["nextCursor"].as_str().unwrap();
    let last = dana
        .get(&format!("/api/bookings?limit=2&cursor={cursor}"))
        .await
        .body;
    let confirmed = dana.get("/api/bookings?status=confirmed").await.body;

    let ids = |page: &Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), [made[2]["id"].clone(), made[1]["id"].clone()]);
    assert_eq!(ids(&last), [made[0]["id"].clone()]);
    assert_eq!(last["nextCursor"], Value::Null);
    assert_eq!(ids(&confirmed), [made[1]["id"].clone()]);
}
