//! NUL characters, which Postgres cannot keep: refused from callers, kept as they came from Stripe.

use serde_json::{Value, json};

use super::{BOOKINGS, MOVIES, SHOWS, post};
use crate::harness::TestApp;

/// The smallest show that there is, with one member of its own.
fn show_with(name: &str, value: Value) -> Value {
    let mut body = json!({
        "title": "Metropolis", "startsAt": "2026-12-24T19:30:00Z", "timezone": "Europe/Berlin",
        "tiers": [{ "name": "a", "price": { "amountMinor": 1200, "currency": "eur" } }],
        "rows": [{ "row": "A", "seats": 1, "tier": "a" }],
    });
    body[name] = value;
    body
}

#[tokio::test]
async fn a_nul_character_is_refused_wherever_a_string_may_be() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let price = json!({ "amountMinor": 1200, "currency": "eur" });
    let cases = [
        (MOVIES, json!({ "title": "a\0" }), "title"),
        (
            MOVIES,
            json!({ "title": "a", "overview": "\0" }),
            "overview",
        ),
        (
            MOVIES,
            json!({ "title": "a", "genres": ["b", "\0"] }),
            "genres[1]",
        ),
        (
            MOVIES,
            json!({ "title": "a", "posterUrl": "https://a/\0" }),
            "posterUrl",
        ),
        (SHOWS, show_with("title", json!("\0")), "title"),
        (SHOWS, show_with("timezone", json!("\0")), "timezone"),
        (
            SHOWS,
            show_with("blocked", json!(["A\u{0}1"])),
            "blocked[0]",
        ),
        (
            SHOWS,
            show_with("tiers", json!([{ "name": "a\0", "price": price }])),
            "tiers[0].name",
        ),
        (
            SHOWS,
            show_with("rows", json!([{ "row": "\0", "seats": 1, "tier": "a" }])),
            "rows[0].row",
        ),
        (
            BOOKINGS,
            json!({ "kind": "show", "showId": show, "seats": ["A\u{0}2"] }),
            "seats[0]",
        ),
        (
            BOOKINGS,
            json!({ "kind": "show", "showId": show, "seats": ["A2"], "voucher": "\0" }),
            "voucher",
        ),
    ];

    for (path, body, field) in cases {
        let answer = harness.admin().post(path, body).await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), [field], "{path}");
    }
    harness.reconcile().await;
}

#[tokio::test]
async fn a_nul_character_in_a_path_or_a_query_is_refused() {
    let harness = TestApp::new().await;

    for path in [
        "/api/shows/%00",
        "/api/movies/%00",
        "/api/shows/%00/seats",
        "/%00",
    ] {
        harness.get(path).await.refused(404, "not_found");
    }
    harness
        .get("/api/shows?cursor=%00")
        .await
        .refused(422, "validation_failed");
}

#[tokio::test]
async fn nul_characters_of_stripes_are_kept_as_they_came() {
    let harness = TestApp::new().await;
    let object = json!({
        "id": "cs_\0", "object": "checkout.session", "client_reference_id": "\0",
        "payment_intent": "pi_\0",
        "currency": "\0", "amount_total": 1, "payment_status": "paid", "status": "complete",
        "metadata": { "app": "holdfast", "bookingId": "\0", "attemptId": "\0", "\0": "\0" },
    });
    let mut event = json!({
        "id": "evt_1", "object": "event", "type": "checkout.session.completed", "api_version": "\0",
        "created": 1, "livemode": false, "data": { "object": object },
    });

    let taken = harness.deliver(&event.to_string()).await;
    event["id"] = json!("evt_\0");
    let nameless = harness.deliver(&event.to_string()).await;

    assert_eq!(taken.status, 200, "{taken:?}");
    assert!(
        harness
            .sql("select payload from payment_events")
            .await
            .contains(r"\u0000")
    );
    nameless.refused(400, "malformed_request");
}

#[tokio::test]
async fn a_backslash_before_the_letters_of_a_nul_is_text() {
    let harness = TestApp::new().await;

    let answer = post(&harness, MOVIES, r#"{"title":"\\u0000"}"#).await;

    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["title"], r"\u0000");
}
