//! Services: their slots, and bookings of them.

mod balances;
mod bookings;
mod delayed_balances;
mod holds;
mod odd_balances;
mod rush;
mod views;

use serde_json::{Value, json};

use crate::harness::{Answer, Caller, TestApp};

impl TestApp {
    /// Baby care in Dhaka by two carers for 10.01 dollars an hour, with some members of its own.
    pub(crate) async fn service_with(&self, own: Value) -> Value {
        let made = self.admin().post("/api/admin/services", body(&own)).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body
    }

    /// The starts of the free slots of an hour, with how many have them free.
    async fn slots(&self, from: &str, to: &str) -> Vec<(String, i64)> {
        let path = format!("/api/services/baby-care/slots?from={from}&to={to}&hours=1");
        let answer = self.get(&path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let items = answer.body["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|slot| {
                let starts_at = slot["startsAt"].as_str().unwrap().to_owned();
                (starts_at, slot["free"].as_i64().unwrap())
            })
            .collect()
    }
}

impl Caller<'_> {
    /// Books a slot.
    pub(crate) async fn book_slot(
        &self,
        service: &Value,
        starts_at: &str,
        hours: u32,
        option: &str,
    ) -> Answer {
        let body = json!({
            "kind": "service", "serviceId": service["id"], "startsAt": starts_at, "hours": hours,
            "paymentOption": option, "details": { "child": "Ada" },
        });
        self.post("/api/bookings", body).await
    }
}

fn body(own: &Value) -> Value {
    let mut service = json!({
        "slug": "baby-care", "title": "Baby care", "timezone": "Asia/Dhaka",
        "pricePerHour": { "amountMinor": 1001, "currency": "usd" }, "depositPercent": 50,
        "minHours": 1, "maxHours": 8, "opensAt": "09:00", "closesAt": "21:00",
        "resources": ["Carer 1", "Carer 2"],
    });
    for (name, value) in own.as_object().unwrap() {
        service[name] = value.clone();
    }
    service
}

#[tokio::test]
async fn a_service_is_shown_as_it_was_made() {
    let harness = TestApp::new().await;

    let made = harness.service_with(json!({})).await;

    assert_eq!(made["horizonDays"], 365);
    assert_eq!(made["opensAt"], "09:00");
    assert_eq!(made["resources"], json!(["Carer 1", "Carer 2"]));
    assert_eq!(harness.get("/api/services/baby-care").await.body, made);
    let list = harness.get("/api/services").await.body;
    assert_eq!(list["items"], json!([made]));
    harness
        .get("/api/services/none")
        .await
        .refused(404, "not_found");
    let again = harness
        .admin()
        .post("/api/admin/services", body(&json!({})))
        .await;
    again.refused(422, "validation_failed");
    assert_eq!(again.body["errors"][0]["field"], "slug");
}

#[tokio::test]
async fn what_is_wrong_with_a_service_is_named() {
    let harness = TestApp::new().await;

    for (own, field) in [
        (json!({ "slug": "Baby Care" }), "slug"),
        (json!({ "timezone": "Dhaka" }), "timezone"),
        (json!({ "opensAt": "9 am" }), "opensAt"),
        (json!({ "closesAt": "09:00" }), "closesAt"),
        (json!({ "depositPercent": 101 }), "depositPercent"),
        (json!({ "minHours": 9 }), "maxHours"),
        (json!({ "resources": [] }), "resources"),
        (json!({ "resources": ["A", "A"] }), "resources"),
        (json!({ "horizonDays": 0 }), "horizonDays"),
    ] {
        let answer = harness
            .admin()
            .post("/api/admin/services", body(&own))
            .await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.body["errors"][0]["field"], field, "{own}");
    }
    let dana = harness
        .customer("dana")
        .post("/api/admin/services", body(&json!({})))
        .await;
    dana.refused(403, "forbidden");
}

#[tokio::test]
async fn slots_keep_to_the_clock_on_the_wall_across_its_changes() {
    let harness = TestApp::new().await;
    let own = json!({ "timezone": "Europe/Berlin", "closesAt": "10:00" });
    harness.service_with(own).await;

    let spring = harness
        .slots("2027-03-27T00:00:00Z", "2027-03-29T00:00:00Z")
        .await;
    let autumn = harness
        .slots("2027-10-30T00:00:00Z", "2027-11-01T00:00:00Z")
        .await;

    let starts =
        |slots: Vec<(String, i64)>| slots.into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    assert_eq!(
        starts(spring),
        ["2027-03-27T08:00:00Z", "2027-03-28T07:00:00Z"]
    );
    assert_eq!(
        starts(autumn),
        ["2027-10-30T07:00:00Z", "2027-10-31T08:00:00Z"]
    );
}
