//! How reconciliations follow each other, and what one does with what is wrong.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::domain::reconciliation::FINDINGS_KEPT_MAX;
use holdfast::jobs;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::{
    RECONCILIATIONS, ask_stripe_to, healed, hide, kinds, paid_and_deaf, paid_unheard, reconcile,
};
use crate::harness::TestApp;

const DISCREPANCIES: &str = "select string_agg(concat_ws(' ', kind, status), ', '
                                               order by kind, status) from discrepancies";

#[tokio::test]
async fn what_was_not_delivered_is_settled_once_and_then_left_alone() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    paid_unheard(&harness, &booking).await;
    // One that is given up and left to a person, too.
    let unknown = json!({
        "type": "checkout.session.expired",
        "object": {
            "id": "cs_gone", "object": "checkout.session", "status": "expired",
            "metadata": { "app": "holdfast" },
        },
    });
    harness.knob("deliveries", json!({ "drop": true })).await;
    harness.knob("events", unknown).await;
    let deliveries = "select string_agg(concat_ws(' ', type, status, deliveries), ', '
                                        order by type) from payment_events";
    reconcile(&harness, json!({})).await;
    harness.advance(TimeDelta::days(4)).await;
    harness.run_jobs().await;
    let settled = harness.sql(deliveries).await;
    assert!(
        settled.contains("checkout.session.completed processed 1"),
        "{settled}"
    );
    assert!(
        settled.contains("checkout.session.expired failed 1"),
        "{settled}"
    );

    for _ in 0..2 {
        reconcile(&harness, json!({})).await;
    }

    assert_eq!(harness.sql(deliveries).await, settled);
    assert_eq!(harness.sql(DISCREPANCIES).await, "event_unmatched open");
}

#[tokio::test]
async fn none_is_begun_while_one_is_under_way_unless_it_is_held_up() {
    let harness = TestApp::new().await;
    let running = "select count(*) from reconciliations where state = 'running'";
    let begin = async || {
        jobs::perform(&harness.app, &Job::BeginReconciliation)
            .await
            .unwrap();
        harness.sql(running).await
    };
    assert_eq!(begin().await, "1");

    harness.advance(TimeDelta::minutes(6)).await;
    assert_eq!(begin().await, "1", "it is under way");
    harness.advance(TimeDelta::minutes(25)).await;
    assert_eq!(begin().await, "2", "it is held up");
    harness.advance(TimeDelta::minutes(6)).await;
    assert_eq!(begin().await, "2", "the second is under way");

    // Their jobs are lost with whoever had them.
    sqlx::query("delete from jobs")
        .execute(harness.db())
        .await
        .unwrap();
    harness.advance(TimeDelta::hours(7)).await;
    assert_eq!(begin().await, "1");
    let failed = "select count(*) from reconciliations where state = 'failed'";
    assert_eq!(harness.sql(failed).await, "2");
}

#[tokio::test]
async fn a_clock_that_was_ahead_keeps_none_from_being_begun() {
    let harness = TestApp::new().await;
    let begin = async || {
        jobs::perform(&harness.app, &Job::BeginReconciliation)
            .await
            .unwrap();
        harness.sql("select count(*) from reconciliations").await
    };
    harness.jump(TimeDelta::days(1));
    assert_eq!(begin().await, "1");

    harness.jump(TimeDelta::days(-1));

    assert_eq!(begin().await, "2");
}

/// From now on, such rows of a table are refused.
pub(super) async fn refuse(harness: &TestApp, table: &str, condition: &str) {
    for statement in [
        "create or replace function refuse() returns trigger language plpgsql
         as $$ begin raise exception 'refused by a test'; end $$"
            .to_owned(),
        format!(
            "create trigger refused before insert on {table} for each row when ({condition})
             execute function refuse()"
        ),
    ] {
        sqlx::query(AssertSqlSafe(statement))
            .execute(harness.db())
            .await
            .unwrap();
    }
}

pub(super) async fn refuse_no_more(harness: &TestApp, table: &str) {
    let statement = format!("drop trigger refused on {table}");
    sqlx::query(AssertSqlSafe(statement))
        .execute(harness.db())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_payment_that_cannot_be_settled_is_left_to_a_person_and_stops_no_other() {
    for (hidden, unsettled) in [
        (
            &["GET /v1/checkout/sessions", "GET /v1/payment_intents$"][..],
            "event_unsettled",
        ),
        (
            &["GET /v1/events", "GET /v1/payment_intents$"],
            "session_unsettled",
        ),
        (
            &["GET /v1/events", "GET /v1/checkout/sessions"],
            "capture_unsettled",
        ),
    ] {
        let harness = TestApp::holding_freely().await;
        let show = harness.show().await;
        let dana = harness.customer("dana");
        let mut lost = Vec::new();
        for seat in ["A2", "A3", "A4"] {
            let booking = dana.booked(&show, &[seat]).await;
            paid_unheard(&harness, &booking).await;
            lost.push(booking);
        }
        let odd = lost[1]["id"].as_str().unwrap();
        refuse(&harness, "payments", &format!("new.booking_id = '{odd}'")).await;

        for route in hidden {
            hide(&harness, route).await;
        }
        let first = reconcile(&harness, json!({})).await;
        assert!(kinds(&first).contains(&unsettled), "{first}");
        assert_eq!(healed(&first).len(), 2, "{first}");
        refuse_no_more(&harness, "payments").await;
        for route in hidden {
            hide(&harness, route).await;
        }
        let second = reconcile(&harness, json!({})).await;

        assert_eq!(healed(&second), [odd], "{unsettled}");
        let open = "select count(*) from discrepancies where status = 'open'";
        assert_eq!(harness.sql(open).await, "0", "{unsettled}");
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn an_event_that_is_delivered_after_all_is_not_left_to_a_person_any_more() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    paid_unheard(&harness, &booking).await;
    refuse(&harness, "payments", "true").await;
    let first = reconcile(&harness, json!({})).await;
    assert!(kinds(&first).contains(&"event_unsettled"), "{first}");

    refuse_no_more(&harness, "payments").await;
    let undelivered = harness.ask_stripe("/v1/events?limit=100").await;
    for event in undelivered["data"].as_array().unwrap() {
        let again = format!("events/{}/retry", event["id"].as_str().unwrap());
        ask_stripe_to(&harness, &again, "").await;
    }
    harness.simulator.settled().await;
    reconcile(&harness, json!({})).await;

    let open = "select count(*) from discrepancies where status = 'open'";
    assert_eq!(harness.sql(open).await, "0");
}

#[tokio::test]
async fn a_refund_or_a_dispute_that_cannot_be_settled_stops_no_other() {
    for (table, unsettled) in [
        ("refunds", "refund_unsettled"),
        ("disputes", "dispute_unsettled"),
    ] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let mut intents = Vec::new();
        for seat in ["A2", "A3"] {
            let booking = harness.customer("dana").booked(&show, &[seat]).await;
            intents.push(harness.pay(&booking).await["paymentIntent"].clone());
        }
        harness.knob("deliveries", json!({ "drop": true })).await;
        harness.advance(TimeDelta::days(2)).await;
        for intent in &intents {
            if table == "refunds" {
                let form = format!("payment_intent={}&amount=5", intent.as_str().unwrap());
                ask_stripe_to(&harness, "refunds", &form).await;
            } else {
                let wanted = json!({ "paymentIntent": intent });
                harness.knob("disputes", wanted).await;
            }
        }
        let odd = intents[1].as_str().unwrap();
        let odd = format!("select id from payments where stripe_payment_intent_id = '{odd}'");
        let odd = harness.sql(&odd).await;
        refuse(&harness, table, &format!("new.payment_id = '{odd}'")).await;
        let count = format!("select count(*) from {table}");

        hide(&harness, "GET /v1/events").await;
        let first = reconcile(&harness, json!({})).await;
        assert_eq!(kinds(&first), [unsettled]);
        assert_eq!(harness.sql(&count).await, "1", "{table}");
        refuse_no_more(&harness, table).await;
        hide(&harness, "GET /v1/events").await;
        reconcile(&harness, json!({})).await;

        assert_eq!(harness.sql(&count).await, "2", "{table}");
        assert_eq!(
            harness.sql(DISCREPANCIES).await,
            format!("{unsettled} healed")
        );
    }
}

/// What Stripe lists on a route, with something before it that is no object.
async fn spoil(harness: &TestApp, route: &str, query: &str) {
    let mut data = vec![Value::Null, json!("odd")];
    let listed = harness
        .ask_stripe(&format!("/v1/{route}?limit=100&{query}"))
        .await;
    data.extend_from_slice(listed["data"].as_array().unwrap());
    let fault = json!({
        "route": format!("GET /v1/{route}$"), "kind": "altered", "members": { "data": data },
        // However often it is asked.
        "times": 99,
    });
    harness.knob("faults", fault).await;
}

#[tokio::test]
async fn what_cannot_be_read_of_a_list_hides_nothing_else() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid_and_deaf(&harness).await;
    let form = format!("payment_intent={intent}&amount=500");
    ask_stripe_to(&harness, "refunds", &form).await;
    for (route, query) in [
        ("events", "delivery_success=false"),
        ("checkout/sessions", "expand[]=data.payment_intent"),
        ("payment_intents", "expand[]=data.latest_charge"),
        ("refunds", ""),
        ("disputes", ""),
    ] {
        spoil(&harness, route, query).await;
    }

    let found = reconcile(&harness, json!({})).await;

    assert_eq!(healed(&found), [booking["id"].as_str().unwrap()]);
    let refunded = "select sum(amount_minor) from refunds";
    assert_eq!(harness.sql(refunded).await, "500");
}

#[tokio::test]
async fn what_is_not_listed_of_the_findings_is_said() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let admin = harness.admin();
    let begun = admin.post(RECONCILIATIONS, json!({})).await;
    let found = json!({ "bookingId": booking["id"], "what": "the booking is confirmed" });
    let found: Vec<_> = (0..FINDINGS_KEPT_MAX).map(|_| found.clone()).collect();
    sqlx::query("update reconciliations set healed = $1")
        .bind(json!(found))
        .execute(harness.db())
        .await
        .unwrap();
    paid_unheard(&harness, &booking).await;

    harness.run_jobs().await;

    let path = begun.headers["location"].to_str().unwrap();
    let over = admin.get(path).await.body;
    let healed = over["healed"].as_array().unwrap();
    assert_eq!(healed.len(), FINDINGS_KEPT_MAX);
    let last = "the booking is confirmed; 1 more were put right, and are not listed";
    assert_eq!(healed[FINDINGS_KEPT_MAX - 1]["what"], last);
}
