//! Lists that Stripe does not give: for good, or for now.

use serde_json::{Value, json};

use super::{RECONCILIATIONS, hide, kinds, paid_unheard, reconcile};
use crate::harness::TestApp;

const DISCREPANCIES: &str = "select string_agg(concat_ws(' ', subject, status), ', '
                                               order by subject, found_at) from discrepancies";
/// Each list, and what a restricted key must be allowed to read for it.
const LISTS: [(&str, &str); 5] = [
    ("/v1/events", "Events"),
    ("/v1/checkout/sessions", "Checkout Sessions"),
    ("/v1/payment_intents", "PaymentIntents"),
    ("/v1/refunds", "Charges and Refunds"),
    ("/v1/disputes", "Disputes"),
];

/// So is the next page of a list refused.
async fn refuse(harness: &TestApp, path: &str, status: u16) {
    let refused = json!({
        "route": format!("GET {path}$"), "kind": "status", "status": status,
        "code": "more_permissions_required",
    });
    harness.knob("faults", refused).await;
}

/// The discrepancy about a list.
fn refused<'a>(found: &'a Value, path: &str) -> &'a Value {
    assert_eq!(kinds(found), ["list_refused"], "{found}");
    assert_eq!(found["discrepancies"][0]["subject"], path);
    &found["discrepancies"][0]
}

#[tokio::test]
async fn a_list_that_is_refused_for_good_is_named_and_stops_no_other() {
    for (path, right) in LISTS {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let dana = harness.customer("dana");
        let booking = dana.booked(&show, &["A2"]).await;
        paid_unheard(&harness, &booking).await;
        refuse(&harness, path, 403).await;

        let first = reconcile(&harness, json!({})).await;

        let found = refused(&first, path);
        let to_do = found["ours"]["toDo"].as_str().unwrap();
        assert!(to_do.contains(right), "{path}: {to_do}");
        let said = found["theirs"]["said"].as_str().unwrap();
        assert_eq!(said, "403 more_permissions_required", "{path}");
        assert_eq!(dana.booking(&booking).await["status"], "confirmed");
        let is_compared = path != "/v1/payment_intents";
        assert_eq!(first["sums"] != json!([]), is_compared, "{first}");

        let second = reconcile(&harness, json!({})).await;
        assert_eq!(kinds(&second), Vec::<&str>::new(), "{path}");
        assert_eq!(second["sums"][0]["captured"]["amountMinor"], 1_200);
        assert_eq!(harness.sql(DISCREPANCIES).await, format!("{path} healed"));
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_read_is_named_and_stops_no_other_list() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    paid_unheard(&harness, &booking).await;
    let odd = json!({
        "route": "GET /v1/events$", "kind": "altered",
        "members": { "data": [null], "has_more": true },
    });
    harness.knob("faults", odd).await;

    let found = reconcile(&harness, json!({})).await;

    let said = &refused(&found, "/v1/events")["theirs"]["said"];
    assert_eq!(said, "an answer that cannot be used: a page without an id");
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
}

#[tokio::test]
async fn each_that_lacks_a_list_says_so_and_what_was_dismissed_stays_so() {
    let harness = TestApp::new().await;
    let path = "/v1/disputes";
    refuse(&harness, path, 403).await;
    let first = reconcile(&harness, json!({})).await;
    refuse(&harness, path, 403).await;
    let second = reconcile(&harness, json!({})).await;
    let id = &refused(&first, path)["id"];
    assert_eq!(&refused(&second, path)["id"], id);
    let dismissal = format!("/api/admin/discrepancies/{}/dismiss", id.as_str().unwrap());
    let dismissed = harness.admin().post(&dismissal, json!({})).await;
    assert_eq!(dismissed.status, 200, "{dismissed:?}");

    refuse(&harness, path, 403).await;
    let third = reconcile(&harness, json!({})).await;
    assert_eq!(&refused(&third, path)["id"], id);
    assert_eq!(
        harness.sql(DISCREPANCIES).await,
        format!("{path} dismissed")
    );

    refuse(&harness, path, 400).await;
    let other = reconcile(&harness, json!({})).await;
    assert_ne!(&refused(&other, path)["id"], id);
    let both = format!("{path} dismissed, {path} open");
    assert_eq!(harness.sql(DISCREPANCIES).await, both);
}

#[tokio::test]
async fn a_list_that_is_not_given_for_now_is_asked_for_again() {
    for (path, _) in LISTS {
        for status in [401, 429, 503] {
            let harness = TestApp::new().await;
            let fault = json!({
                "route": format!("GET {path}$"), "kind": "status", "status": status,
                "should_retry": false,
            });
            harness.knob("faults", fault).await;
            let admin = harness.admin();
            let begun = admin.post(RECONCILIATIONS, json!({})).await;
            let path = begun.headers["location"].to_str().unwrap();

            harness.run_jobs().await;
            let held_up = admin.get(path).await.body;
            harness.run_jobs().await;
            let over = admin.get(path).await.body;

            assert_eq!(held_up["state"], "running", "{status}");
            assert_eq!(over["state"], "done", "{status}");
            assert_eq!(over["discrepancies"], json!([]), "{status}");
        }
    }
}

/// The key may not read PaymentIntents at all, neither listed nor one by one.
#[tokio::test]
async fn a_right_that_is_missing_is_named_once_and_no_sum_is_made_of_one_side() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    for seat in ["A2", "A3", "A4"] {
        let booking = dana.booked(&show, &[seat]).await;
        harness.pay(&booking).await;
    }
    let refused_all = json!({
        "route": "GET /v1/payment_intents", "kind": "status", "status": 403, "times": 99,
    });
    hide(&harness, "GET /v1/checkout/sessions").await;
    harness.knob("faults", refused_all).await;

    let found = reconcile(&harness, json!({})).await;

    refused(&found, "/v1/payment_intents");
    assert_eq!(found["sums"], json!([]));
    assert_eq!(harness.sql("select count(*) from discrepancies").await, "1");
}
