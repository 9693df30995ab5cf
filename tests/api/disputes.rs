//! A bank takes a payment back, in any order of events: its money is booked once each way, and is
//! not refunded meanwhile.

mod in_part;

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::{Value, json};

use crate::harness::TestApp;

const MOVED: &str = "select string_agg(concat_ws(' ', kind, debit, credit, amount_minor), ', '
                                       order by created_at, id)
                     from ledger_transfers where dispute_id is not null";
const WITHDRAWN: &str = "dispute_withdrawal disputed_funds stripe_balance 1200";
const REINSTATED: &str = "dispute_reinstatement stripe_balance disputed_funds 1200";
const HAPPENED: &str = "select string_agg(kind, ' ' order by id) from booking_events
                        where kind like 'dispute%' or kind like 'refund%' or kind like 'fraud%'";
const STANDS: &str = "select status || ' ' || (closed_at is not null) from disputes";

/// A booking that is paid, and its PaymentIntent.
async fn paid(harness: &TestApp) -> (Value, String) {
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let paid = harness.pay(&booking).await;
    let intent = paid["paymentIntent"].as_str().unwrap().to_owned();
    (booking, intent)
}

pub(crate) async fn disputed(harness: &TestApp, intent: &str) -> String {
    disputed_so(harness, json!({ "paymentIntent": intent })).await
}

pub(crate) async fn disputed_so(harness: &TestApp, wanted: Value) -> String {
    let dispute = harness.knob("disputes", wanted).await;
    harness.simulator.settled().await;
    format!("disputes/{}", dispute["id"].as_str().unwrap())
}

pub(crate) async fn decided(harness: &TestApp, dispute: &str, status: &str) {
    decided_so(harness, dispute, json!({ "status": status })).await;
}

pub(crate) async fn decided_so(harness: &TestApp, dispute: &str, decision: Value) {
    harness.knob(dispute, decision).await;
    harness.simulator.settled().await;
}

#[tokio::test]
async fn a_dispute_is_followed_to_its_end_and_takes_no_seats() {
    for (end, moved, last) in [
        (
            "won",
            format!("{WITHDRAWN}, {REINSTATED}"),
            "disputeUpdated disputeFundsReinstated disputeClosed",
        ),
        ("lost", WITHDRAWN.to_owned(), "disputeUpdated disputeClosed"),
    ] {
        let harness = TestApp::new().await;
        let (booking, intent) = paid(&harness).await;

        let dispute = disputed(&harness, &intent).await;
        assert_eq!(harness.sql(MOVED).await, WITHDRAWN);
        assert_eq!(harness.sql(STANDS).await, "needs_response false");
        let now = harness.customer("dana").booking(&booking).await;
        assert_eq!(
            (&now["paymentStatus"], &now["isPaid"]),
            (&json!("disputed"), &json!(true))
        );
        decided(&harness, &dispute, "under_review").await;
        decided(&harness, &dispute, end).await;

        assert_eq!(harness.sql(MOVED).await, moved);
        assert_eq!(harness.sql(STANDS).await, format!("{end} true"));
        let now = harness.customer("dana").booking(&booking).await;
        let paid = if end == "won" { "paid" } else { "disputed" };
        assert_eq!(now["paymentStatus"], paid);
        assert_eq!(now["isPaid"], end == "won");
        let happened = harness.sql(HAPPENED).await;
        assert_eq!(
            happened,
            format!("disputeOpened disputeFundsWithdrawn {last}")
        );
        assert_eq!(
            (&now["status"], &now["seats"]),
            (&json!("confirmed"), &json!(["A2"]))
        );
        let unsettled = "select count(*) from payment_events
                         where type like 'charge.dispute%' and status <> 'processed'";
        assert_eq!(harness.sql(unsettled).await, "0");
    }
}

#[tokio::test]
async fn a_warning_moves_no_money_until_it_becomes_a_chargeback() {
    let harness = TestApp::new().await;
    let (_, intent) = paid(&harness).await;

    let wanted = json!({ "paymentIntent": intent, "warning": true });
    let warning = harness.knob("disputes", wanted).await;
    harness.simulator.settled().await;
    assert_eq!(harness.sql(STANDS).await, "warning_needs_response false");
    assert_eq!(harness.sql(MOVED).await, "");
    let path = format!("disputes/{}", warning["id"].as_str().unwrap());
    decided(&harness, &path, "needs_response").await;

    assert_eq!(harness.sql(STANDS).await, "needs_response false");
    assert_eq!(harness.sql(MOVED).await, WITHDRAWN);
}

/// Stripe's newest events of disputes, oldest first.
async fn events(harness: &TestApp) -> Vec<String> {
    let newest = harness.ask_stripe("/v1/events?limit=20").await;
    let newest = newest["data"].as_array().unwrap().iter().rev();
    let meant = newest.filter(|event| event["data"]["object"]["object"] == "dispute");
    meant
        .map(|event| serde_json::to_string_pretty(event).unwrap())
        .collect()
}

#[tokio::test]
async fn its_events_come_in_any_order_each_twice_and_before_the_payment() {
    for shift in 0..5 {
        for is_backward in [false, true] {
            let harness = TestApp::new().await;
            let show = harness.show().await;
            let booking = harness.customer("dana").booked(&show, &["A2"]).await;
            let wanted = json!({ "session": booking["checkout"]["sessionId"] });
            let payment = harness.pay_unheard(wanted).await;
            harness.knob("deliveries", json!({ "drop": true })).await;
            let intent: Value = serde_json::from_str(&payment["payment_intent.succeeded"]).unwrap();
            let intent = intent["data"]["object"]["id"].as_str().unwrap();
            let dispute = disputed(&harness, intent).await;
            decided(&harness, &dispute, "under_review").await;
            decided(&harness, &dispute, "won").await;
            let mut told = events(&harness).await;
            assert_eq!(told.len(), 5);
            told.rotate_left(shift);
            if is_backward {
                told.reverse();
            }

            let early = harness.deliver(&told[0]).await;
            assert_eq!(early.body["outcome"], "deferred", "{early:?}");
            harness
                .deliver(&payment["checkout.session.completed"])
                .await;
            for body in told.iter().chain(&told) {
                assert_eq!(harness.deliver(body).await.status, 200);
            }
            harness.advance(TimeDelta::seconds(6)).await;
            harness.run_jobs().await;

            let moved = format!("{WITHDRAWN}, {REINSTATED}");
            assert_eq!(harness.sql(MOVED).await, moved, "{shift} {is_backward}");
            assert_eq!(harness.sql(STANDS).await, "won true");
            let once = "select string_agg(distinct number::text, ' ')
                        from (select count(*) as number from booking_events
                              where kind in ('disputeOpened', 'disputeFundsWithdrawn',
                                             'disputeFundsReinstated', 'disputeClosed')
                              group by kind) as each";
            assert_eq!(harness.sql(once).await, "1");
        }
    }
}

/// A payment that we hear of hours late, after what its bank has against it.
#[tokio::test]
async fn what_was_said_before_the_payment_came_is_settled_as_soon_as_it_comes() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let wanted = json!({ "session": booking["checkout"]["sessionId"] });
    let payment = harness.pay_unheard(wanted).await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    let intent: Value = serde_json::from_str(&payment["payment_intent.succeeded"]).unwrap();
    let intent = &intent["data"]["object"]["id"];
    disputed(&harness, intent.as_str().unwrap()).await;
    let wanted = json!({ "paymentIntent": intent });
    harness.knob("fraud_warnings", wanted).await;
    let mut told = events(&harness).await;
    let newest = harness.ask_stripe("/v1/events?limit=1").await;
    told.push(newest["data"][0].to_string());
    for body in &told {
        assert_eq!(harness.deliver(body).await.body["outcome"], "deferred");
    }
    for _ in 0..3 {
        harness.advance(TimeDelta::hours(1)).await;
        settle_deferred(&harness).await;
    }
    harness.advance(TimeDelta::minutes(30)).await;
    let waiting = "select count(*) from payment_events where status = 'deferred'";
    assert_eq!(harness.sql(waiting).await, told.len().to_string());

    harness
        .deliver(&payment["checkout.session.completed"])
        .await;
    settle_deferred(&harness).await;

    assert_eq!(harness.sql(waiting).await, "0");
    assert_eq!(harness.sql(MOVED).await, WITHDRAWN);
    let happened = harness.sql(HAPPENED).await;
    assert_eq!(
        happened.matches("disputeOpened").count() + happened.matches("fraudWarned").count(),
        2,
        "{happened}"
    );
}

/// Settles the events whose time has come.
async fn settle_deferred(harness: &TestApp) {
    let due = "select payload from jobs where kind = 'settleEvent' and run_at <= $1";
    let due: Vec<Value> = sqlx::query_scalar(due)
        .bind(harness.now())
        .fetch_all(harness.db())
        .await
        .unwrap();
    sqlx::query("delete from jobs where kind = 'settleEvent' and run_at <= $1")
        .bind(harness.now())
        .execute(harness.db())
        .await
        .unwrap();
    for payload in due {
        let job: Job = serde_json::from_value(payload).unwrap();
        jobs::perform(&harness.app, &job).await.unwrap();
    }
}

#[tokio::test]
async fn a_dispute_of_nothing_of_ours_is_ignored_in_the_end() {
    let harness = TestApp::new().await;
    let (_, intent) = paid(&harness).await;
    disputed(&harness, &intent).await;
    let ours = events(&harness).await.remove(0);
    let ours: Value = serde_json::from_str(&ours).unwrap();

    harness.hear_of_other_charges(&ours, "du_other").await;

    assert_eq!(harness.sql("select count(*) from disputes").await, "1");
}

#[tokio::test]
async fn a_dispute_of_an_odd_amount_counts_as_one_of_all_and_goes_to_a_person() {
    for odd in [
        json!({ "amount": 1_201 }),
        json!({ "currency": "usd" }),
        json!({ "amount": null }),
    ] {
        let harness = TestApp::new().await;
        let (_, intent) = paid(&harness).await;
        harness.knob("deliveries", json!({ "drop": true })).await;
        disputed(&harness, &intent).await;
        for body in events(&harness).await {
            let mut event: Value = serde_json::from_str(&body).unwrap();
            for (name, value) in odd.as_object().unwrap() {
                event["data"]["object"][name] = value.clone();
            }
            harness.deliver(&event.to_string()).await;
        }

        assert_eq!(harness.sql(MOVED).await, WITHDRAWN, "{odd}");
        let open = "select string_agg(kind, ' ') from discrepancies where status = 'open'";
        assert_eq!(harness.sql(open).await, "dispute_amount_mismatch");
    }
}

/// A booking whose payment is surplus, with its refund asked for and not sent, and its payment
/// disputed.
async fn disputed_surplus(harness: &TestApp) -> String {
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let wanted = json!({ "session": booking["checkout"]["sessionId"] });
    let payment = harness.pay_unheard(wanted).await;
    harness.hear_of_expiry(&booking).await;
    harness.customer("emil").booked(&show, &["A2"]).await;
    harness
        .deliver(&payment["checkout.session.completed"])
        .await;
    let requested = "select string_agg(status::text, ' ') from refunds";
    assert_eq!(harness.sql(requested).await, "requested");
    let intent: Value = serde_json::from_str(&payment["payment_intent.succeeded"]).unwrap();
    disputed(harness, intent["data"]["object"]["id"].as_str().unwrap()).await
}

#[tokio::test]
async fn disputed_money_is_not_refunded_until_the_bank_has_decided() {
    for (end, status, last) in [
        (
            "won",
            "succeeded",
            "disputeFundsReinstated disputeClosed refundSettled",
        ),
        ("lost", "failed", "disputeClosed refundSettled"),
    ] {
        let harness = TestApp::new().await;
        let dispute = disputed_surplus(&harness).await;
        let asked = async || {
            let requests = harness.stripe_requests().await;
            let of_refunds = requests
                .iter()
                .filter(|request| request["path"] == "/v1/refunds" && request["method"] == "POST");
            of_refunds.count()
        };

        for _ in 0..2 {
            harness.run_jobs().await;
        }
        assert_eq!(asked().await, 0);
        let held_back = "refundRequested disputeOpened disputeFundsWithdrawn refundHeldBack";
        assert_eq!(harness.sql(HAPPENED).await, held_back);
        decided(&harness, &dispute, end).await;
        harness.run_jobs().await;

        assert_eq!(asked().await, usize::from(end == "won"));
        let refund = "select status || coalesce(' ' || failure_reason, '') from refunds";
        let refund = harness.sql(refund).await;
        assert!(refund.starts_with(status), "{refund}");
        let says_why = refund.contains("its bank has given the money back");
        assert_eq!(says_why, end == "lost");
        assert_eq!(harness.sql(HAPPENED).await, format!("{held_back} {last}"));
    }
}

/// The month after which Stripe's refusals are left to a person begins with the first of them.
#[tokio::test]
async fn a_refund_that_a_dispute_has_held_back_for_long_is_still_tried_again() {
    let harness = TestApp::new().await;
    let dispute = disputed_surplus(&harness).await;
    let before = "update refunds set refused_since = created_at - interval '1 day'";
    sqlx::query(before).execute(harness.db()).await.unwrap();
    harness.run_jobs().await;
    harness.advance(TimeDelta::days(40)).await;
    let refused = json!({
        "route": "POST /v1/refunds", "kind": "status", "status": 400,
        "code": "balance_insufficient", "times": 1,
    });
    harness.knob("faults", refused).await;

    decided(&harness, &dispute, "won").await;
    harness.run_jobs().await;
    let status = "select status::text from refunds";
    assert_eq!(harness.sql(status).await, "requested");
    harness.advance(TimeDelta::days(1)).await;
    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
    harness.run_jobs().await;

    assert_eq!(harness.sql(status).await, "succeeded");
}

#[tokio::test]
async fn an_early_fraud_warning_flags_the_booking_once() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid(&harness).await;

    let wanted = json!({ "paymentIntent": intent });
    harness.knob("fraud_warnings", wanted).await;
    harness.simulator.settled().await;
    let dismiss = "update discrepancies set status = 'dismissed'";
    sqlx::query(dismiss).execute(harness.db()).await.unwrap();
    let newest = harness.ask_stripe("/v1/events?limit=1").await;
    let mut updated = newest["data"][0].clone();
    updated["id"] = json!("evt_updated");
    updated["type"] = json!("radar.early_fraud_warning.updated");
    let again = harness.deliver(&updated.to_string()).await;

    assert_eq!(again.body["outcome"], "ignored");
    assert_eq!(harness.sql(HAPPENED).await, "fraudWarned");
    let flagged = "select string_agg(kind || ' ' || booking_id, ' ') from discrepancies";
    let id = booking["id"].as_str().unwrap();
    assert_eq!(
        harness.sql(flagged).await,
        format!("early_fraud_warning {id}")
    );
}
