//! Calling off what a bank has given back in part: the rest is owed, and Stripe does not refund it.

use serde_json::{Value, json};

use super::cancel;
use super::paid::{REFUNDS, paid, preview};
use crate::disputes::{decided, disputed_so};
use crate::harness::TestApp;

const OPEN: &str = "select string_agg(concat_ws(' ', kind, ours -> 'owed' ->> 'amountMinor',
                                                booking_id), ', ')
                    from discrepancies where status = 'open'";

/// Dana's bank disputes so much of what she has paid.
async fn disputed_in_part(harness: &TestApp, amount: i64) -> (Value, String) {
    let booking = paid(harness).await;
    let intent = harness
        .sql("select stripe_payment_intent_id from payments")
        .await;
    let wanted = json!({ "paymentIntent": intent, "amount": amount });
    let dispute = disputed_so(harness, wanted).await;
    (booking, dispute)
}

#[tokio::test]
async fn what_a_bank_has_left_of_a_payment_is_owed_and_a_person_is_told() {
    for (amount, owed) in [(100, Some(1_100)), (1_200, None)] {
        let harness = TestApp::new().await;
        let (booking, dispute) = disputed_in_part(&harness, amount).await;
        decided(&harness, &dispute, "lost").await;
        let dana = harness.customer("dana");

        let said = preview(&dana, &booking).await;
        let cancelled = cancel(&dana, &booking, json!({})).await;
        harness.run_jobs().await;

        assert_eq!(said.body["refund"]["amountMinor"], 0, "{said:?}");
        assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
        assert_eq!(harness.sql(REFUNDS).await, "");
        let id = booking["id"].as_str().unwrap();
        let open = owed.map(|owed| format!("refund_owed_elsewhere {owed} {id}"));
        assert_eq!(harness.sql(OPEN).await, open.unwrap_or_default());
        assert_eq!(harness.verify().await, Vec::<String>::new());
        harness.reconcile().await;
    }
}

/// Its refund is asked for, and waits for the bank.
#[tokio::test]
async fn what_a_bank_gives_back_in_part_after_the_end_is_a_refund_that_has_not_gone() {
    let harness = TestApp::new().await;
    let (booking, dispute) = disputed_in_part(&harness, 100).await;
    cancel(&harness.customer("dana"), &booking, json!({})).await;
    harness.run_jobs().await;
    assert_eq!(harness.sql(REFUNDS).await, "policy requested 1200");

    decided(&harness, &dispute, "lost").await;
    harness.run_jobs().await;

    assert_eq!(harness.sql(REFUNDS).await, "policy failed 1200");
    let open = harness.sql(OPEN).await;
    assert!(open.starts_with("refund_not_gone"), "{open}");
    harness.reconcile().await;
}
