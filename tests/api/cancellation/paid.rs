//! Calling off what is paid: what the preview says goes back, by the policy of the day of sale.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::cancel;
use crate::delayed::SEPA;
use crate::harness::{Answer, Caller, TestApp};

/// Who, how it stands, and how much, newest payment first.
pub(super) const REFUNDS: &str =
    "select string_agg(concat_ws(' ', source, refunds.status, amount_minor), ', '
                                         order by payment_id desc, refunds.id) from refunds";
const LEDGER: &str = "select string_agg(concat_ws(' ', kind, debit, credit, amount_minor), ', '
                                        order by payment_id desc) from ledger_transfers
                      where kind <> 'capture'";

/// Of shows that begin on the 24th of December at 19:30: a month ahead, the first step counts.
fn policy() -> Value {
    json!([
        { "hoursBefore": 48, "refundPercent": 100 },
        { "hoursBefore": 24, "refundPercent": 50 },
        { "hoursBefore": 2, "refundPercent": 0 },
    ])
}

fn eur(amount: i64) -> Value {
    json!({ "amountMinor": amount, "currency": "eur" })
}

fn usd(amount: i64) -> Value {
    json!({ "amountMinor": amount, "currency": "usd" })
}

/// Dana has paid for a seat.
pub(super) async fn paid(harness: &TestApp) -> Value {
    let show = harness
        .show_with(json!({ "cancellationPolicy": policy() }))
        .await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    harness.pay(&booking).await;
    booking
}

pub(super) async fn preview(caller: &Caller<'_>, booking: &Value) -> Answer {
    let id = booking["id"].as_str().unwrap();
    caller
        .get(&format!("/api/bookings/{id}/cancellation"))
        .await
}

/// So long before the show begins.
pub(super) async fn before_start(harness: &TestApp, left: TimeDelta) {
    let start = "2026-12-24T19:30:00Z".parse::<chrono::DateTime<chrono::Utc>>();
    let now = start.unwrap() - left;
    harness.advance(now - harness.now()).await;
}

#[tokio::test]
async fn what_the_preview_says_goes_back_and_the_seats_are_free() {
    let harness = TestApp::new().await;
    let booking = paid(&harness).await;
    let dana = harness.customer("dana");
    let id = booking["id"].as_str().unwrap();

    let version = dana.booking(&booking).await["version"].clone();
    let said = preview(&dana, &booking).await;
    let body = json!({ "version": said.body["version"], "reason": "ill" });
    let cancelled = cancel(&dana, &booking, body).await;
    let asked = harness.sql(REFUNDS).await;
    harness.run_jobs().await;

    let payment = harness.sql("select id from payments").await;
    let expected = json!({
        "bookingId": id, "refundPercent": 100, "refund": eur(1_200), "version": version,
        "payments": [
            { "paymentId": payment, "part": "full", "paid": eur(1_200), "refund": eur(1_200) },
        ],
    });
    assert_eq!((said.status, said.body), (200, expected));
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    assert_eq!(cancelled.body["status"], "cancelled");
    assert_eq!(cancelled.body["cancelledAt"], json!("2026-11-21T12:00:00Z"));
    assert_eq!(asked, "policy requested 1200");
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
    let gone = "refund customer_payments stripe_balance 1200";
    assert_eq!(harness.sql(LEDGER).await, gone);
    let after = dana.booking(&booking).await;
    assert_eq!(after["paymentStatus"], "refunded");
    assert_eq!(after["isPaid"], false);
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
    let show = booking["show"]["id"].as_str().unwrap();
    harness.customer("emil").booked(show, &["A2"]).await;
    let timeline = format!("/api/admin/bookings/{id}/timeline");
    let told = harness.admin().get(&timeline).await.body.to_string();
    for sentence in [
        "The buyer has cancelled it: ill",
        "Cancelled; free for others again.",
        "A refund of 12.00 EUR is on its way to Stripe.",
    ] {
        assert!(told.contains(sentence), "{told}");
    }
    harness.reconcile().await;
}

#[tokio::test]
async fn the_step_of_the_moment_counts_and_the_policy_of_the_sale() {
    for (left, percent, refund) in [
        (TimeDelta::hours(48), 100, "policy succeeded 1200"),
        (
            TimeDelta::hours(48) - TimeDelta::seconds(1),
            50,
            "policy succeeded 600",
        ),
        (TimeDelta::hours(2), 0, ""),
        (TimeDelta::hours(1), 0, ""),
    ] {
        let harness = TestApp::new().await;
        let booking = paid(&harness).await;
        let changed = "update shows set cancellation_policy = '[]'";
        sqlx::query(changed).execute(harness.db()).await.unwrap();
        before_start(&harness, left).await;
        let dana = harness.customer("dana");

        let said = preview(&dana, &booking).await;
        let cancelled = cancel(&dana, &booking, json!({})).await;
        harness.run_jobs().await;

        assert_eq!(said.body["refundPercent"], percent, "{said:?}");
        assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
        assert_eq!(harness.sql(REFUNDS).await, refund);
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn what_has_begun_cannot_be_cancelled() {
    let harness = TestApp::new().await;
    let booking = paid(&harness).await;
    before_start(&harness, TimeDelta::zero()).await;
    let dana = harness.customer("dana");

    let said = preview(&dana, &booking).await;
    let refused = cancel(&dana, &booking, json!({})).await;
    let by_admin = cancel(&harness.admin(), &booking, json!({})).await;

    said.refused(422, "outside_policy");
    refused.refused(422, "outside_policy");
    by_admin.refused(422, "outside_policy");
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    assert_eq!(harness.sql(REFUNDS).await, "");
}

#[tokio::test]
async fn a_deposit_and_its_balance_go_back_by_the_policy_newest_first() {
    for (percent, expected) in [
        (100, "policy succeeded 500, policy succeeded 501"),
        (50, "policy succeeded 500, policy succeeded 1"),
        (33, "policy succeeded 330"),
    ] {
        let harness = TestApp::new().await;
        let policy = json!([{ "hoursBefore": 0, "refundPercent": percent }]);
        let own = json!({ "cancellationPolicy": policy });
        let service = harness.service_with(own).await;
        let dana = harness.customer("dana");
        let slot = "2026-11-23T03:00:00Z";
        let booking = dana.book_slot(&service, slot, 1, "half").await.body;
        harness.pay(&booking).await;
        let id = booking["id"].as_str().unwrap();
        let checkout = format!("/api/bookings/{id}/checkout");
        let balance = dana
            .post(&checkout, json!({ "part": "balance" }))
            .await
            .body;
        harness.advance(TimeDelta::seconds(1)).await;
        harness.pay(&balance).await;

        let said = preview(&dana, &booking).await.body;
        let cancelled = cancel(&dana, &booking, json!({ "version": said["version"] })).await;
        harness.run_jobs().await;

        assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
        assert_eq!(said["payments"][0]["part"], "balance");
        assert_eq!(said["payments"][0]["paid"], usd(500));
        assert_eq!(said["payments"][1]["part"], "deposit");
        assert_eq!(said["payments"][1]["paid"], usd(501));
        assert_eq!(harness.sql(REFUNDS).await, expected);
        assert_eq!(harness.sql("select count(*) from slot_claims").await, "0");
        harness.reconcile().await;
    }
}

/// Dana has paid the deposit of a slot; the page where the balance can be paid is open.
async fn with_open_balance(harness: &TestApp) -> (Value, Value) {
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let slot = "2026-11-23T03:00:00Z";
    let booking = dana.book_slot(&service, slot, 1, "half").await.body;
    harness.pay(&booking).await;
    let id = booking["id"].as_str().unwrap();
    let checkout = format!("/api/bookings/{id}/checkout");
    let balance = dana.post(&checkout, json!({ "part": "balance" })).await;
    let session = json!({ "session": balance.body["checkout"]["sessionId"] });
    (booking, session)
}

#[tokio::test]
async fn a_balance_that_could_still_be_paid_is_closed_before_the_slot_is_free() {
    let harness = TestApp::new().await;
    let (booking, session) = with_open_balance(&harness).await;
    let dana = harness.customer("dana");
    let down = json!({
        "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": 503, "times": 7,
    });
    harness.knob("faults", down).await;

    let early = cancel(&dana, &booking, json!({})).await;
    let kept = dana.booking(&booking).await;
    let cancelled = cancel(&dana, &booking, json!({})).await;
    harness.run_jobs().await;

    early.refused(503, "payment_provider_unavailable");
    assert_eq!(kept["status"], "confirmed");
    assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
    assert_eq!(cancelled.body["checkout"], Value::Null);
    let page = format!(
        "/v1/checkout/sessions/{}",
        session["session"].as_str().unwrap()
    );
    assert_eq!(harness.ask_stripe(&page).await["status"], "expired");
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 501");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_balance_that_was_paid_unheard_goes_back_too() {
    let harness = TestApp::new().await;
    let (booking, session) = with_open_balance(&harness).await;
    let dana = harness.customer("dana");
    harness.pay_unheard(session).await;

    let cancelled = cancel(&dana, &booking, json!({})).await;
    harness.run_jobs().await;

    assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
    let refunds = "policy succeeded 500, policy succeeded 501";
    assert_eq!(harness.sql(REFUNDS).await, refunds);
    harness.reconcile().await;
}

#[tokio::test]
async fn what_was_given_back_before_is_not_given_back_again() {
    let harness = TestApp::new().await;
    let booking = paid(&harness).await;
    let id = booking["id"].as_str().unwrap();
    let refund = json!({ "amount": eur(500), "reason": "late" });
    let path = format!("/api/admin/bookings/{id}/refunds");
    let asked = harness.admin().post(&path, refund).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let dana = harness.customer("dana");

    let said = preview(&dana, &booking).await.body;
    cancel(&dana, &booking, json!({})).await;
    harness.run_jobs().await;

    assert_eq!(said["refund"], eur(700));
    assert_eq!(said["payments"][0]["refund"], eur(700));
    let refunds = "admin succeeded 500, policy succeeded 700";
    assert_eq!(harness.sql(REFUNDS).await, refunds);
    harness.reconcile().await;
}

#[tokio::test]
async fn a_cancellation_is_of_the_version_that_was_seen() {
    let harness = TestApp::new().await;
    let booking = paid(&harness).await;
    let dana = harness.customer("dana");
    let version = dana.booking(&booking).await["version"].as_i64().unwrap();

    let stale = cancel(&dana, &booking, json!({ "version": version - 1 })).await;
    let kept = dana.booking(&booking).await;
    let fresh = cancel(&dana, &booking, json!({ "version": version })).await;

    stale.refused(409, "version_conflict");
    assert_eq!(stale.body["version"], version);
    assert_eq!(kept["status"], "confirmed");
    assert_eq!(fresh.body["status"], "cancelled", "{fresh:?}");
}

#[tokio::test]
async fn of_two_who_cancel_at_once_one_does_and_both_are_told() {
    let harness = TestApp::new().await;
    let booking = paid(&harness).await;
    let dana = harness.customer("dana");
    let admin = harness.admin();
    let version = dana.booking(&booking).await["version"].clone();

    let (one, other) = tokio::join!(
        cancel(
            &dana,
            &booking,
            json!({ "version": version, "reason": "ill" })
        ),
        cancel(
            &admin,
            &booking,
            json!({ "version": version, "reason": "they called" })
        ),
    );
    let again = cancel(&dana, &booking, json!({ "version": version })).await;
    harness.run_jobs().await;

    assert_eq!((one.status, other.status, again.status), (200, 200, 200));
    assert_eq!((&one.body, &one.body), (&other.body, &again.body));
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
    let kept = harness.sql("select cancel_reason from bookings").await;
    assert!(["ill", "they called"].contains(&kept.as_str()), "{kept}");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_replay_with_the_same_key_answers_the_same() {
    let harness = TestApp::new().await;
    let booking = paid(&harness).await;
    let dana = harness.customer("dana");
    let path = format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap());

    let first = dana.post_keyed(&path, json!({}), "k").await;
    harness.run_jobs().await;
    let replay = dana.post_keyed(&path, json!({}), "k").await;
    let reused = dana.post_keyed(&path, json!({ "reason": "x" }), "k").await;

    assert_eq!(first.body["status"], "cancelled", "{first:?}");
    assert_eq!((replay.status, &replay.body), (200, &first.body));
    assert_eq!(replay.headers["idempotent-replayed"], "true");
    reused.refused(422, "idempotency_key_reused");
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
}

#[tokio::test]
async fn only_the_owner_sees_what_would_go_back() {
    let harness = TestApp::new().await;
    let booking = paid(&harness).await;

    let strangers = preview(&harness.customer("emil"), &booking).await;
    let admins = preview(&harness.admin(), &booking).await;

    strangers.refused(404, "not_found");
    admins.refused(404, "not_found");
}

#[tokio::test]
async fn a_pending_booking_gives_nothing_back_and_a_processing_one_waits_for_its_bank() {
    let harness = TestApp::new().await;
    let own = json!({ "startsAt": harness.now() + TimeDelta::days(60) });
    let show = harness.show_with(own).await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;

    let pending = preview(&dana, &booking).await;
    let session = &booking["checkout"]["sessionId"];
    let delayed = json!({ "session": session, "card": SEPA });
    harness.knob("pay", delayed).await;
    harness.simulator.settled().await;
    let processing = preview(&dana, &booking).await;

    assert_eq!(pending.body["refund"], eur(0), "{pending:?}");
    assert_eq!(pending.body["payments"], json!([]));
    processing.refused(409, "already_paid");
    cancel(&dana, &booking, json!({}))
        .await
        .refused(409, "already_paid");
}
