//! Money that goes back is booked when it leaves, and booked back when its refund fails in the end.

use holdfast::domain::ids::RefundId;
use holdfast::domain::refund::{RefundReport, RefundStatus};
use holdfast::settlement::settle_refund;
use serde_json::{Value, json};

use crate::harness::TestApp;

/// A booking that was paid twice, whose second payment is on its way back.
async fn refunding(harness: &TestApp) -> RefundId {
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    harness.deliver(&events["checkout.session.completed"]).await;
    let mut second: Value = serde_json::from_str(&events["payment_intent.succeeded"]).unwrap();
    second["id"] = json!("evt_second");
    second["data"]["object"]["id"] = json!("pi_second");
    harness.deliver(&second.to_string()).await;
    harness.sql("select id from refunds").await.parse().unwrap()
}

const LEDGER: &str =
    "select string_agg(kind || ' ' || debit || ' ' || credit, ', ' order by created_at, id)
                      from ledger_transfers where kind <> 'capture'";

#[tokio::test]
async fn a_refund_that_fails_in_the_end_is_booked_back() {
    let harness = TestApp::new().await;
    let id = refunding(&harness).await;
    let report = |status| RefundReport {
        stripe_refund_id: Some("re_1".to_owned()),
        status,
        failure_reason: (status == RefundStatus::Failed).then(|| "lost_or_stolen_card".to_owned()),
        is_replayed: false,
    };
    let settle = async |status| {
        settle_refund(&harness.app, id, report(status))
            .await
            .unwrap();
    };

    settle(RefundStatus::Pending).await;
    let left = "refund customer_surplus stripe_balance";
    assert_eq!(harness.sql(LEDGER).await, left);
    for status in [RefundStatus::Pending, RefundStatus::Succeeded] {
        settle(status).await;
        assert_eq!(harness.sql(LEDGER).await, left, "{status:?}");
    }
    for _ in 0..2 {
        settle(RefundStatus::Failed).await;
    }

    let back = "refund_reversal stripe_balance customer_surplus";
    assert_eq!(harness.sql(LEDGER).await, format!("{left}, {back}"));
    let refund = "select status || ' ' || failure_reason from refunds";
    assert_eq!(harness.sql(refund).await, "failed lost_or_stolen_card");
    let settled = "select string_agg(payload ->> 'status', ' ' order by id) from booking_events
                   where kind = 'refundSettled'";
    assert_eq!(harness.sql(settled).await, "succeeded failed");
    // What failed does not count, so that it can be asked for again.
    let again = "insert into refunds
                   (id, payment_id, booking_id, amount_minor, currency, source, reason, created_at)
                 select gen_random_uuid(), payment_id, booking_id, amount_minor, currency, source,
                   reason, now()
                 from refunds";
    sqlx::query(again).execute(harness.db()).await.unwrap();
}
