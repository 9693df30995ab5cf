//! Where services and bookings of them are shown: slots, payments, timelines, the audit log.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::TestApp;

/// Three in the afternoon in Dhaka.
const AFTERNOON: &str = "2026-12-01T09:00:00Z";

#[tokio::test]
async fn slots_that_are_taken_are_not_free() {
    let harness = TestApp::new().await;
    let own = json!({ "bufferMinutes": 30, "opensAt": "14:00", "closesAt": "18:00" });
    let service = harness.service_with(own).await;
    let dana = harness.customer("dana");
    let day = ("2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z");

    let before = harness.slots(day.0, day.1).await;
    dana.book_slot(&service, AFTERNOON, 1, "full").await;
    harness.advance(TimeDelta::seconds(1)).await;
    let one_less = harness.slots(day.0, day.1).await;
    dana.book_slot(&service, AFTERNOON, 1, "full").await;
    harness.advance(TimeDelta::seconds(1)).await;
    let after = harness.slots(day.0, day.1).await;

    let free = |slots: &[(String, i64)]| -> Vec<(String, i64)> {
        let hour = |at: &str| at[11..16].to_owned();
        slots.iter().map(|(at, free)| (hour(at), *free)).collect()
    };
    let slots = |slots: &[(&str, i64)]| -> Vec<(String, i64)> {
        let owned = slots.iter().map(|(at, free)| ((*at).to_owned(), *free));
        owned.collect()
    };
    assert_eq!(
        free(&before),
        slots(&[("08:00", 2), ("09:00", 2), ("10:00", 2), ("11:00", 2)])
    );
    assert_eq!(
        free(&one_less),
        slots(&[("08:00", 1), ("09:00", 1), ("10:00", 1), ("11:00", 2)])
    );
    assert_eq!(free(&after), slots(&[("11:00", 2)]));
}

#[tokio::test]
async fn slots_too_soon_or_too_far_ahead_are_not_free() {
    let harness = TestApp::new().await;
    let own = json!({ "leadMinutes": 1440, "horizonDays": 2, "closesAt": "10:00" });
    harness.service_with(own).await;
    let now = harness.now();
    let until = (now + TimeDelta::days(9)).format("%Y-%m-%dT%H:%M:%SZ");

    let slots = harness
        .slots("2026-11-01T00:00:00Z", &until.to_string())
        .await;

    // It is noon of 21 November in UTC, and they open at three in the morning.
    let starts: Vec<_> = slots.into_iter().map(|(at, _)| at).collect();
    assert_eq!(starts, ["2026-11-23T03:00:00Z"]);
}

#[tokio::test]
async fn slots_that_cannot_be_listed_are_refused() {
    let harness = TestApp::new().await;
    harness.service_with(json!({ "minHours": 2 })).await;
    let path = "/api/services/baby-care/slots";

    for (query, field) in [
        ("hours=1", "hours"),
        ("hours=9", "hours"),
        ("from=2026-12-01T00:00:00Z&to=2027-01-02T00:00:00Z", "to"),
    ] {
        let refused = harness.get(&format!("{path}?{query}")).await;

        refused.refused(422, "validation_failed");
        assert_eq!(refused.fields(), [field], "{query}");
    }
    let backwards = "from=2026-12-20T00:00:00Z&to=2026-12-01T00:00:00Z";
    let none = harness.get(&format!("{path}?{backwards}")).await;
    assert_eq!((none.status, &none.body["items"]), (200, &json!([])));
    let unknown = harness.get("/api/services/none/slots").await;
    unknown.refused(404, "not_found");
}

#[tokio::test]
async fn a_payment_and_the_story_of_a_slot_name_its_service_and_its_time() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    harness.pay(&booked).await;

    let payments = dana.get("/api/payments").await.body;
    let path = format!(
        "/api/admin/bookings/{}/timeline",
        booked["id"].as_str().unwrap()
    );
    let timeline = harness.admin().get(&path).await.body;

    assert_eq!(payments["items"][0]["booking"]["title"], "Baby care");
    assert_eq!(payments["items"][0]["part"], "deposit");
    let items = timeline["items"].as_array().unwrap();
    let texts: Vec<&str> = items
        .iter()
        .filter_map(|item| item["text"].as_str())
        .collect();
    // Noon and ten minutes in UTC.
    let held = "Held for the buyer until 21 November 2026 18:10 +06.";
    assert!(texts.contains(&held), "{texts:?}");
}

#[tokio::test]
async fn who_has_added_a_service_is_logged() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;

    let log = harness.admin().get("/api/admin/audit").await.body;

    let entry: &Value = &log["items"][0];
    assert_eq!(entry["action"], "createService");
    assert_eq!(entry["subject"], service["id"]);
}
