//! Money of a cancelled show that a bank has, or may take: whatever way its booking ends, its
//! refund waits for the bank, and what the bank has given back is not given back again.

use serde_json::{Value, json};

use super::{REFUNDS, STAND, cancel, cancelled, failure, over, paid, show};
use crate::disputes::{decided, decided_so, disputed, disputed_so};
use crate::harness::TestApp;

const WAITS: &str = "The payment is disputed; its bank decides who gets the money.";

/// A booking of a show whose payment a bank may take, and what is asked back of it.
struct Disputable {
    show: String,
    booking: Value,
    intent: String,
    /// How it stands before the show is cancelled.
    stands: &'static str,
    /// Who asks, and how much.
    back: (&'static str, i64),
}

/// Dana has paid less than was due.
async fn under_review(harness: &TestApp) -> Disputable {
    let show = show(harness).await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let less = json!({ "session": booking["checkout"]["sessionId"], "amount": 1_100 });
    let paid = harness.knob("pay", less).await;
    harness.simulator.settled().await;
    Disputable {
        show,
        booking,
        intent: paid["paymentIntent"].as_str().unwrap().to_owned(),
        stands: "review",
        back: ("admin", 1_100),
    }
}

async fn confirmed(harness: &TestApp) -> Disputable {
    let (show, booking, intent) = paid(harness).await;
    Disputable {
        show,
        booking,
        intent,
        stands: "confirmed",
        back: ("policy", 1_200),
    }
}

async fn disputable(harness: &TestApp, is_reviewed: bool) -> Disputable {
    let disputable = if is_reviewed {
        under_review(harness).await
    } else {
        confirmed(harness).await
    };
    assert_eq!(harness.sql(STAND).await, disputable.stands);
    disputable
}

#[tokio::test]
async fn disputed_money_is_not_refunded_and_is_a_failure_until_its_bank_has_decided() {
    for (is_reviewed, end, status) in [
        (false, "won", "succeeded"),
        (true, "won", "succeeded"),
        (false, "lost", "failed"),
        (true, "lost", "failed"),
    ] {
        let harness = TestApp::new().await;
        let of = disputable(&harness, is_reviewed).await;
        let dispute = disputed(&harness, &of.intent).await;
        let (source, amount) = of.back;

        let path = cancelled(&harness, &of.show).await;
        let first = over(&harness, &path).await;
        cancel(&harness.admin(), &of.show, "once more").await;
        let second = over(&harness, &path).await;
        let waiting = harness.sql(REFUNDS).await;
        let at_stripe = harness.all_at_stripe("refunds").await;
        decided(&harness, &dispute, end).await;
        cancel(&harness.admin(), &of.show, "once more").await;
        let last = over(&harness, &path).await;

        assert_eq!(failure(&first, &of.booking), WAITS);
        assert_eq!(failure(&second, &of.booking), WAITS);
        assert_eq!(harness.sql(STAND).await, "cancelled");
        assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
        assert_eq!(waiting, format!("{source} requested {amount}"));
        assert_eq!(at_stripe.len(), 0);
        assert_eq!(
            (&last["done"], &last["failed"]),
            (&json!(1), &json!(0)),
            "{last}"
        );
        let stand = format!("{source} {status} {amount}");
        assert_eq!(harness.sql(REFUNDS).await, stand);
    }
}

#[tokio::test]
async fn money_that_a_bank_has_given_back_is_not_given_back_again() {
    for is_reviewed in [false, true] {
        let harness = TestApp::new().await;
        let of = disputable(&harness, is_reviewed).await;
        let dispute = disputed(&harness, &of.intent).await;
        decided(&harness, &dispute, "lost").await;

        let path = cancelled(&harness, &of.show).await;
        let end = over(&harness, &path).await;

        assert_eq!(end["done"], 1, "{end}");
        assert_eq!(harness.sql(STAND).await, "cancelled");
        assert_eq!(harness.sql(REFUNDS).await, "");
        let shown = "select count(*) from discrepancies where kind = 'refund_not_gone'";
        assert_eq!(harness.sql(shown).await, "0");
    }
}

/// What had gone back before the dispute, the bank has given back to us.
#[tokio::test]
async fn a_dispute_that_was_won_in_part_leaves_nothing_to_give_back() {
    let harness = TestApp::new().await;
    let (show, booking, intent) = paid(&harness).await;
    let path = format!(
        "/api/admin/bookings/{}/refunds",
        booking["id"].as_str().unwrap()
    );
    let part = json!({ "reason": "wet", "amount": { "amountMinor": 300, "currency": "eur" } });
    assert_eq!(harness.admin().post(&path, part).await.status, 202);
    harness.run_jobs().await;
    let all = json!({ "paymentIntent": intent, "amount": 1_200 });
    let dispute = disputed_so(&harness, all).await;
    let in_part = json!({ "status": "lost", "reinstated": 300 });
    decided_so(&harness, &dispute, in_part).await;

    let path = cancelled(&harness, &show).await;
    let end = over(&harness, &path).await;

    assert_eq!(end["failed"], 0, "{end}");
    assert_eq!(harness.sql(REFUNDS).await, "admin succeeded 300");
    harness.reconcile().await;
}

/// The refund waits for the bank, and goes by itself if that decides for us.
#[tokio::test]
async fn a_dispute_that_is_opened_before_the_refund_is_made_is_a_failure_too() {
    let harness = TestApp::new().await;
    let (show, booking, intent) = paid(&harness).await;
    let path = cancelled(&harness, &show).await;
    let down = json!({
        "route": "POST /v1/refunds", "kind": "status", "status": 503, "should_retry": false,
    });
    harness.knob("faults", down).await;
    harness.run_jobs().await;
    assert_eq!(harness.sql(REFUNDS).await, "policy requested 1200");
    let dispute = disputed(&harness, &intent).await;

    harness.run_jobs().await;
    let first = over(&harness, &path).await;
    decided(&harness, &dispute, "won").await;
    harness.run_jobs().await;

    assert_eq!(failure(&first, &booking), WAITS);
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
    cancel(&harness.admin(), &show, "once more").await;
    let last = over(&harness, &path).await;
    assert_eq!(last["done"], 1, "{last}");
    harness.reconcile().await;
}
