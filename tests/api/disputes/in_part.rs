//! A bank gives back less than it has taken: what the buyer had been refunded before. So much is
//! booked, and no more.

use serde_json::{Value, json};

use super::{MOVED, STANDS, WITHDRAWN, decided_so, disputed_so, events, paid};
use crate::harness::TestApp;

const OPEN: &str = "select string_agg(concat_ws(' ', kind, theirs ->> 'withdrawnMinor',
                                                theirs ->> 'reinstatedMinor',
                                                theirs ->> 'currency'), ', ')
                    from discrepancies where status = 'open'";

fn reinstated(amount: i64) -> String {
    format!("{WITHDRAWN}, dispute_reinstatement stripe_balance disputed_funds {amount}")
}

/// Dana has paid 12 euros, and has been given 3 back; her bank takes all of it, and gives those 3
/// back in the end. Nothing of the dispute is heard. Returns its events, oldest first.
async fn lost_in_part(harness: &TestApp) -> Vec<Value> {
    let (booking, intent) = paid(harness).await;
    let path = format!("/api/admin/bookings/{}", booking["id"].as_str().unwrap());
    let part = json!({
        "reason": "a seat was wet", "amount": { "amountMinor": 300, "currency": "eur" },
    });
    let refunded = harness.admin().post(&format!("{path}/refunds"), part).await;
    assert_eq!(refunded.status, 202, "{refunded:?}");
    harness.run_jobs().await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    let wanted = json!({ "paymentIntent": intent, "amount": 1_200 });
    let dispute = disputed_so(harness, wanted).await;
    decided_so(
        harness,
        &dispute,
        json!({ "status": "lost", "reinstated": 300 }),
    )
    .await;
    let told = events(harness).await;
    let told = told.iter().map(|body| serde_json::from_str(body).unwrap());
    told.collect()
}

async fn deliver(harness: &TestApp, event: &Value) {
    let delivered = harness.deliver(&event.to_string()).await;
    assert_eq!(delivered.body["outcome"], "processed", "{delivered:?}");
}

#[tokio::test]
async fn as_much_is_booked_as_has_come_back_in_whatever_order_it_is_told() {
    for is_backward in [false, true] {
        let harness = TestApp::new().await;
        let mut told = lost_in_part(&harness).await;
        let kinds: Vec<_> = told.iter().map(|event| event["type"].clone()).collect();
        assert_eq!(kinds.last().unwrap(), "charge.dispute.closed", "{kinds:?}");
        if is_backward {
            told.reverse();
        }

        for event in &told {
            deliver(&harness, event).await;
        }

        assert_eq!(harness.sql(MOVED).await, reinstated(300), "{kinds:?}");
        assert_eq!(harness.sql(STANDS).await, "lost true");
        assert_eq!(harness.sql(OPEN).await, "");
        let places = "select concat_ws(' ', revenue_minor, refunded_minor, disputed_minor)
                      from money_places";
        assert_eq!(harness.sql(places).await, "0 300 900");
        assert_eq!(harness.verify().await, Vec::<String>::new());
        harness.reconcile().await;
    }
}

/// The balance of the account is in dollars: what came back in euros is known by the rate alone.
#[tokio::test]
async fn what_has_come_back_in_another_currency_is_estimated_and_a_person_is_told() {
    let harness = TestApp::new().await;
    let mut told = lost_in_part(&harness).await;
    for event in &mut told {
        let moved = &mut event["data"]["object"]["balance_transactions"];
        for transaction in moved.as_array_mut().unwrap() {
            let amount = transaction["amount"].as_i64().unwrap();
            transaction["amount"] = json!(amount * 11 / 10);
            transaction["currency"] = json!("usd");
        }
    }

    for event in &told {
        deliver(&harness, event).await;
    }

    assert_eq!(harness.sql(MOVED).await, reinstated(300));
    assert_eq!(
        harness.sql(OPEN).await,
        "dispute_reinstatement_unclear 1320 330 usd"
    );
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_has_come_back_without_an_amount_waits_for_the_report_that_names_it() {
    let harness = TestApp::new().await;
    let mut told = lost_in_part(&harness).await;
    let closed = told.pop().unwrap();
    let reinstated_event = told.last_mut().unwrap();
    assert_eq!(reinstated_event["type"], "charge.dispute.funds_reinstated");
    reinstated_event["data"]["object"]["balance_transactions"] = json!([]);

    for event in &told {
        deliver(&harness, event).await;
    }
    assert_eq!(harness.sql(MOVED).await, WITHDRAWN);
    let open = harness.sql(OPEN).await;
    assert!(open.starts_with("dispute_reinstatement_unclear"), "{open}");
    assert_eq!(harness.verify().await, Vec::<String>::new());
    deliver(&harness, &closed).await;

    assert_eq!(harness.sql(MOVED).await, reinstated(300));
    let healed = "select string_agg(concat_ws(' ', kind, status), ', ') from discrepancies";
    assert_eq!(
        harness.sql(healed).await,
        "dispute_reinstatement_unclear healed"
    );
}
