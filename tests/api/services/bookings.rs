//! Slots that are booked, and those that cannot be.

use chrono::TimeDelta;
use serde_json::json;

use crate::harness::TestApp;

/// Three in the afternoon in Dhaka.
const AFTERNOON: &str = "2026-12-01T09:00:00Z";

#[tokio::test]
async fn a_slot_is_booked_paid_and_shown() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");

    let booked = dana.book_slot(&service, AFTERNOON, 2, "full").await;
    harness.pay(&booked.body).await;

    assert_eq!(booked.status, 201, "{booked:?}");
    let booking = dana.booking(&booked.body).await;
    assert_eq!(booking["kind"], "service");
    assert_eq!(booking["status"], "confirmed");
    assert_eq!(booking["seats"], json!([]));
    assert_eq!(booking["service"]["slug"], "baby-care");
    let slot = json!({
        "startsAt": AFTERNOON, "endsAt": "2026-12-01T11:00:00Z", "hours": 2,
        "resource": "Carer 1",
    });
    assert_eq!(booking["slot"], slot);
    assert_eq!(booking["total"]["amountMinor"], 2_002);
    let path = format!("/api/admin/bookings/{}", booking["id"].as_str().unwrap());
    let overview = harness.admin().get(&path).await.body;
    assert_eq!(overview["details"], json!({ "child": "Ada" }));
    harness.reconcile().await;
}

#[tokio::test]
async fn what_lies_around_a_slot_is_taken_with_it() {
    let harness = TestApp::new().await;
    let own = json!({ "bufferMinutes": 30, "resources": ["Carer 1"] });
    let service = harness.service_with(own).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "full").await;
    assert_eq!(booked.status, 201, "{booked:?}");

    for (starts_at, hours) in [
        ("2026-12-01T08:00:00Z", 1),
        ("2026-12-01T10:00:00Z", 1),
        ("2026-12-01T07:00:00Z", 2),
        ("2026-12-01T07:00:00Z", 8),
    ] {
        let refused = dana.book_slot(&service, starts_at, hours, "full").await;
        refused.refused(409, "slot_unavailable");
    }
    for starts_at in ["2026-12-01T07:00:00Z", "2026-12-01T11:00:00Z"] {
        let booked = dana.book_slot(&service, starts_at, 1, "full").await;
        assert_eq!(booked.status, 201, "{booked:?}");
    }
    assert_eq!(harness.sql("select count(*) from slot_claims").await, "3");
}

#[tokio::test]
async fn what_cannot_be_booked_is_refused() {
    let harness = TestApp::new().await;
    let own = json!({ "leadMinutes": 120, "horizonDays": 30, "maxHours": 4 });
    let service = harness.service_with(own).await;
    let dana = harness.customer("dana");

    for (starts_at, why) in [
        ("2026-12-01T02:59:00Z", "before it opens"),
        ("2026-12-01T14:30:00Z", "until after it closes"),
        ("2026-12-01T09:00:30Z", "within a minute"),
        ("2026-12-01T09:30:00Z", "between two that are offered"),
        ("2027-01-15T09:00:00Z", "beyond the horizon"),
        ("2020-12-01T09:00:00Z", "in the past"),
        (
            &(harness.now() + TimeDelta::minutes(119)).to_rfc3339(),
            "too soon",
        ),
    ] {
        let refused = dana.book_slot(&service, starts_at, 1, "full").await;
        assert_eq!(refused.body["code"], "slot_unavailable", "{why}");
    }
    let long = dana.book_slot(&service, AFTERNOON, 5, "full").await;
    long.refused(422, "validation_failed");
    assert_eq!(long.body["errors"][0]["field"], "hours");
    let none = json!({ "id": "01930000-0000-7000-8000-000000000009" });
    let unknown = dana.book_slot(&none, AFTERNOON, 1, "full").await;
    unknown.refused(404, "not_found");
    assert_eq!(harness.sql("select count(*) from bookings").await, "0");
}

#[tokio::test]
async fn a_slot_whose_hold_ends_is_free_again_and_late_money_claims_it_or_goes_back() {
    let harness = TestApp::new().await;
    let service = harness
        .service_with(json!({ "resources": ["Carer 1"] }))
        .await;
    let (dana, eve) = (harness.customer("dana"), harness.customer("eve"));
    let first = dana.book_slot(&service, AFTERNOON, 1, "full").await.body;
    harness.hear_of_expiry(&first).await;
    assert_eq!(dana.booking(&first).await["status"], "expired");
    let second = eve.book_slot(&service, AFTERNOON, 1, "full").await;
    assert_eq!(second.status, 201, "{second:?}");
    harness.hear_of_expiry(&second.body).await;

    harness.pay(&first).await;
    harness.pay(&second.body).await;

    assert_eq!(dana.booking(&first).await["status"], "confirmed");
    assert_eq!(eve.booking(&second.body).await["status"], "expired");
    let surplus = "select surplus_reason from payments where disposition = 'surplus'";
    assert_eq!(harness.sql(surplus).await, "late_payment");
    harness.run_jobs().await;
    harness.reconcile().await;
}

/// Who gives their time is not for the buyer to choose: anybody who has it free does.
#[tokio::test]
async fn late_money_of_a_slot_finds_it_with_whoever_has_it_free() {
    let harness = TestApp::new().await;
    let own = json!({ "resources": ["Carer 1", "Carer 2"] });
    let service = harness.service_with(own).await;
    let (dana, eve) = (harness.customer("dana"), harness.customer("eve"));
    let late = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    assert_eq!(late["slot"]["resource"], "Carer 1");
    harness.hear_of_expiry(&late).await;
    let taken = eve.book_slot(&service, AFTERNOON, 1, "full").await.body;
    assert_eq!(taken["slot"]["resource"], "Carer 1");

    harness.pay(&late).await;

    let confirmed = dana.booking(&late).await;
    assert_eq!(confirmed["status"], "confirmed");
    assert_eq!(confirmed["slot"]["resource"], "Carer 2");
    let third = eve.book_slot(&service, AFTERNOON, 1, "full").await;
    third.refused(409, "slot_unavailable");
    let path = format!(
        "/api/admin/bookings/{}/timeline",
        late["id"].as_str().unwrap()
    );
    let told = harness.admin().get(&path).await.body.to_string();
    assert!(told.contains("It is with Carer 2 now."), "{told}");
    harness.run_jobs().await;
    harness.reconcile().await;
}

#[tokio::test]
async fn what_does_not_go_with_a_kind_of_booking_is_named() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let slot = json!({
        "kind": "service", "serviceId": service["id"], "startsAt": AFTERNOON, "hours": 1,
    });

    for (own, field) in [
        (json!({ "seats": ["A1"] }), "seats"),
        (json!({ "showId": service["id"] }), "showId"),
        (json!({ "serviceId": null }), "serviceId"),
        (json!({ "startsAt": null }), "startsAt"),
        (json!({ "startsAt": "+012000-01-01T00:00:00Z" }), "startsAt"),
        (json!({ "hours": null }), "hours"),
        (json!({ "hours": 0 }), "hours"),
        (json!({ "hours": u32::MAX }), "hours"),
        (json!({ "details": "a child" }), "details"),
        (
            json!({ "details": { "child": "A".repeat(4_000) } }),
            "details",
        ),
        (json!({ "kind": "show" }), "serviceId"),
    ] {
        let mut body = slot.clone();
        for (name, value) in own.as_object().unwrap() {
            body[name] = value.clone();
        }

        let refused = dana.post("/api/bookings", body).await;

        refused.refused(422, "validation_failed");
        assert_eq!(refused.fields(), [field], "{own}");
    }
    let mut priced = slot;
    priced["price"] = json!({ "amountMinor": 1, "currency": "usd" });
    let refused = dana.post("/api/bookings", priced).await;
    refused.refused(422, "validation_failed");
    assert_eq!(harness.sql("select count(*) from bookings").await, "0");
}
