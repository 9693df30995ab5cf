//! Differences between what Stripe reports and our records: listed and dismissed.

use serde_json::{Value, json};

use super::paid_unheard;
use crate::harness::TestApp;

const DISCREPANCIES: &str = "/api/admin/discrepancies";

/// A booking that is under review, because Stripe reports a cent less than was asked for.
async fn differing(harness: &TestApp) -> Value {
    let (booking, body) = paid_unheard(harness).await;
    let mut event: Value = serde_json::from_str(&body).unwrap();
    event["data"]["object"]["amount_total"] = json!(1_199);
    harness.deliver(&event.to_string()).await;
    booking
}

#[tokio::test]
async fn a_discrepancy_says_what_differs_until_it_is_dismissed() {
    let harness = TestApp::new().await;
    let booking = differing(&harness).await;
    let admin = harness.admin();

    let listed = admin
        .get(&format!("{DISCREPANCIES}?status=open"))
        .await
        .body;

    let found = &listed["items"][0];
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(found["kind"], "amount_mismatch");
    assert_eq!(found["bookingId"], booking["id"]);
    assert_eq!(found["ours"]["asked"], booking["total"]);
    assert_eq!(found["theirs"]["captured"]["amountMinor"], 1_199);
    assert_eq!(found["dismissReason"], Value::Null);

    let path = format!("{DISCREPANCIES}/{}/dismiss", found["id"].as_str().unwrap());
    let dismissed = admin
        .post(&path, json!({ "reason": "a rounding of theirs" }))
        .await;
    let again = admin.post(&path, json!({ "reason": "another" })).await;

    assert_eq!(dismissed.status, 200, "{dismissed:?}");
    assert_eq!(dismissed.body["status"], "dismissed");
    assert_eq!(dismissed.body["dismissReason"], "a rounding of theirs");
    assert_eq!(again.body, dismissed.body);
    let open = admin
        .get(&format!("{DISCREPANCIES}?status=open"))
        .await
        .body;
    assert_eq!(open["items"], json!([]));
    let all = admin.get(DISCREPANCIES).await.body;
    assert_eq!(all["items"], json!([dismissed.body]));
}

#[tokio::test]
async fn a_discrepancy_is_dismissed_without_a_reason() {
    let harness = TestApp::new().await;
    differing(&harness).await;
    let admin = harness.admin();
    let listed = admin.get(DISCREPANCIES).await.body;
    let id = listed["items"][0]["id"].as_str().unwrap();

    let path = format!("{DISCREPANCIES}/{id}/dismiss");
    let dismissed = admin.post(&path, json!({})).await;
    let again = admin.post(&path, json!({ "reason": "too late" })).await;

    assert_eq!(dismissed.status, 200, "{dismissed:?}");
    assert_eq!(dismissed.body["status"], "dismissed");
    assert_eq!(dismissed.body["dismissReason"], Value::Null);
    assert_eq!(again.body, dismissed.body);
    for body in [json!({ "reason": 1 }), json!({ "wibble": 1 })] {
        let refused = admin.post(&path, body).await;
        refused.refused(422, "validation_failed");
    }
}

#[tokio::test]
async fn what_is_no_discrepancy_is_not_found_and_no_query_is_guessed() {
    let harness = TestApp::new().await;
    let admin = harness.admin();

    for id in ["0193a000-0000-7000-8000-000000000000", "no-uuid"] {
        let answer = admin
            .post(&format!("{DISCREPANCIES}/{id}/dismiss"), json!({}))
            .await;
        answer.refused(404, "not_found");
    }
    for query in [
        "status=wibble",
        "limit=101",
        "cursor=wibble",
        "kind=amount_mismatch",
    ] {
        let answer = admin.get(&format!("{DISCREPANCIES}?{query}")).await;
        answer.refused(422, "validation_failed");
    }
}
