//! A whole show is cancelled: sales stop, what was booked ends, and all that was paid goes back.

mod ahead;
mod disputed;
mod interrupted;
mod many;
mod money;
mod pace;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{Answer, Caller, TestApp};

/// How often a run is waited for before it counts as stuck.
const LOOKS_MAX: usize = 200;
/// How the bookings stand, oldest first.
const STAND: &str = "select string_agg(status::text, ', ' order by id) from bookings";
/// Who, how it stands, and how much, oldest payment first.
const REFUNDS: &str = "select string_agg(concat_ws(' ', source, refunds.status, amount_minor), ', '
                                         order by payment_id, refunds.id) from refunds";

async fn cancel(caller: &Caller<'_>, show: &str, reason: &str) -> Answer {
    let path = format!("/api/admin/shows/{show}/cancel");
    caller.post(&path, json!({ "reason": reason })).await
}

/// An admin cancels the show; returns the path of its run.
async fn cancelled(harness: &TestApp, show: &str) -> String {
    let begun = cancel(&harness.admin(), show, "the film has torn").await;
    assert_eq!(begun.status, 202, "{begun:?}");
    begun.headers["location"].to_str().unwrap().to_owned()
}

async fn run(harness: &TestApp, path: &str) -> Value {
    harness.admin().get(path).await.body
}

/// Goes to the moment at which the run goes on, and does what is due then; false if it does not go
/// on.
async fn goes_on(harness: &TestApp) -> bool {
    let due = "select min(run_at) at time zone 'UTC' || 'Z' from jobs where kind = 'cancelShow'";
    let due = harness.sql(due).await;
    if due.is_empty() {
        return false;
    }
    let due: DateTime<Utc> = due.parse().unwrap();
    harness
        .advance((due - harness.now()).max(TimeDelta::zero()))
        .await;
    harness.run_jobs().await;
    true
}

/// Waits until the run is over, and checks that it adds up; returns it.
async fn over(harness: &TestApp, path: &str) -> Value {
    for _ in 0..LOOKS_MAX {
        let run = run(harness, path).await;
        if run["state"] == "done" {
            let sum = run["done"].as_i64().unwrap() + run["failed"].as_i64().unwrap();
            assert_eq!(run["total"], sum, "{run}");
            let left = "select count(*) from jobs where kind in ('cancelShow', 'refund')";
            assert_eq!(harness.sql(left).await, "0");
            return run;
        }
        assert!(goes_on(harness).await, "a run without a job: {run}");
    }
    panic!("a run without an end: {}", run(harness, path).await);
}

/// A show that is far enough ahead for methods that take days.
async fn show(harness: &TestApp) -> String {
    let own = json!({ "startsAt": harness.now() + TimeDelta::days(60) });
    harness.show_with(own).await
}

/// Dana has paid for a seat of a show; returns the show, the booking and its PaymentIntent.
async fn paid(harness: &TestApp) -> (String, Value, String) {
    let show = show(harness).await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let paid = harness.pay(&booking).await;
    let intent = paid["paymentIntent"].as_str().unwrap().to_owned();
    (show, booking, intent)
}

async fn refuse_refunds(harness: &TestApp, code: &str, times: u32) {
    let refused = json!({
        "route": "POST /v1/refunds", "kind": "status", "status": 400, "code": code, "stored": true,
        "times": times,
    });
    harness.knob("faults", refused).await;
}

/// The one failure of a run that is over.
fn failure(run: &Value, booking: &Value) -> String {
    assert_eq!(
        (&run["done"], &run["failed"]),
        (&json!(0), &json!(1)),
        "{run}"
    );
    assert_eq!(run["failures"][0]["bookingId"], booking["id"], "{run}");
    run["failures"][0]["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn sales_stop_pages_are_closed_and_all_money_goes_back() {
    let harness = TestApp::new().await;
    let policy = json!([{ "hoursBefore": 0, "refundPercent": 0 }]);
    let show = harness
        .show_with(json!({ "cancellationPolicy": policy }))
        .await;
    let paid = harness.customer("dana").booked(&show, &["A2", "A3"]).await;
    harness.pay(&paid).await;
    let pending = harness.customer("emil").booked(&show, &["A4"]).await;
    let voucher = harness.voucher_with(json!({ "percentOff": 100 })).await;
    let free = harness
        .customer("fern")
        .book_with(&show, &["A5"], "ONE")
        .await;
    assert_eq!(free.body["status"], "confirmed", "{free:?}");

    let begun = cancel(&harness.admin(), &show, "the film has torn").await;
    let late = harness.customer("gus").book(&show, &["A6"]).await;
    let path = begun.headers["location"].to_str().unwrap().to_owned();
    let end = over(&harness, &path).await;

    let id = &begun.body["id"];
    let expected = json!({
        "id": id, "state": "running", "total": 3, "done": 0, "failed": 0, "failures": [],
    });
    assert_eq!((begun.status, &begun.body), (202, &expected), "{begun:?}");
    assert_eq!(path, format!("/api/admin/runs/{}", id.as_str().unwrap()));
    late.refused(409, "show_closed");
    let shown = harness.get(&format!("/api/shows/{show}")).await.body;
    assert_eq!(shown["status"], "cancelled");
    let expected = json!({
        "id": id, "state": "done", "total": 3, "done": 3, "failed": 0, "failures": [],
    });
    assert_eq!(end, expected);
    let soon: DateTime<Utc> = "2026-11-21T12:01:05Z".parse().unwrap();
    assert!(harness.now() <= soon, "{}", harness.now());
    let ended = "cancelled, cancelled, cancelled";
    assert_eq!(harness.sql(STAND).await, ended);
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 2400");
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
    assert_eq!(harness.used(&voucher).await, 0);
    let session = pending["checkout"]["sessionId"].as_str().unwrap();
    let session = harness
        .ask_stripe(&format!("/v1/checkout/sessions/{session}"))
        .await;
    assert_eq!(session["status"], "expired");
    harness.reconcile().await;
}

#[tokio::test]
async fn each_booking_tells_why_it_has_ended() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let paid = harness.customer("dana").booked(&show, &["A2"]).await;
    harness.pay(&paid).await;
    let pending = harness.customer("emil").booked(&show, &["A4"]).await;

    let path = cancelled(&harness, &show).await;
    over(&harness, &path).await;

    for (booking, sentences) in [
        (
            &paid,
            &[
                "The show is cancelled: the film has torn",
                "Cancelled; free for others again.",
                "A refund of 12.00 EUR is on its way to Stripe.",
                "The refund has succeeded.",
            ][..],
        ),
        (
            &pending,
            &[
                "The show is cancelled: the film has torn",
                "Cancelled; free for others again.",
            ],
        ),
    ] {
        let id = booking["id"].as_str().unwrap();
        let timeline = format!("/api/admin/bookings/{id}/timeline");
        let timeline = harness.admin().get(&timeline).await.body.to_string();
        for sentence in sentences {
            assert_eq!(timeline.matches(sentence).count(), 1, "{timeline}");
        }
        let overview = format!("/api/admin/bookings/{id}");
        let overview = harness.admin().get(&overview).await.body;
        assert_eq!(overview["status"], "cancelled");
    }
    let reasons = "select string_agg(distinct cancel_reason, ', ') from bookings";
    assert_eq!(harness.sql(reasons).await, "the film has torn");
    let logged = "select concat_ws(' ', actor, action, subject, reason) from audit_log
                  where action = 'cancelShow'";
    let expected = format!("user_admin cancelShow {show} the film has torn");
    assert_eq!(harness.sql(logged).await, expected);
}

#[tokio::test]
async fn a_show_that_nobody_has_booked_or_that_has_begun_is_cancelled_too() {
    for (booked, total) in [(false, 0), (true, 1)] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        if booked {
            let booking = harness.customer("dana").booked(&show, &["A2"]).await;
            harness.pay(&booking).await;
            let start: DateTime<Utc> = "2026-12-24T19:31:00Z".parse().unwrap();
            harness.advance(start - harness.now()).await;
            harness.run_jobs().await;
        }

        let path = cancelled(&harness, &show).await;
        let end = over(&harness, &path).await;

        assert_eq!(
            (&end["total"], &end["done"]),
            (&json!(total), &json!(total))
        );
        let back = if booked { "policy succeeded 1200" } else { "" };
        assert_eq!(harness.sql(REFUNDS).await, back);
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_show_is_cancelled_once_whoever_repeats_it() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    harness.pay(&booking).await;
    let admin = harness.admin();
    let path = format!("/api/admin/shows/{show}/cancel");
    let body = json!({ "reason": "the film has torn" });

    let first = admin.post_keyed(&path, body.clone(), "k").await;
    let replay = admin.post_keyed(&path, body, "k").await;
    let reused = admin
        .post_keyed(&path, json!({ "reason": "rain" }), "k")
        .await;
    let (one, other) = tokio::join!(cancel(&admin, &show, "rain"), cancel(&admin, &show, "snow"));
    let run = first.headers["location"].to_str().unwrap();
    let end = over(&harness, run).await;
    let again = cancel(&harness.admin(), &show, "hail").await;
    harness.run_jobs().await;

    assert_eq!((replay.status, &replay.body), (202, &first.body));
    assert_eq!(replay.headers["idempotent-replayed"], "true");
    assert_eq!(replay.headers["location"], first.headers["location"]);
    reused.refused(422, "idempotency_key_reused");
    for answer in [&one, &other, &again] {
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.body["id"], first.body["id"]);
    }
    assert_eq!(again.body, end);
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
    assert_eq!(
        harness.sql("select reason from runs").await,
        "the film has torn"
    );
    let logged = "select string_agg(reason, ', ' order by reason) from audit_log
                  where action = 'cancelShow'";
    assert_eq!(
        harness.sql(logged).await,
        "hail, rain, snow, the film has torn"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn who_may_not_or_says_not_why_cancels_nothing() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let admin = harness.admin();
    let path = format!("/api/admin/shows/{show}/cancel");
    let run = "/api/admin/runs/0193a000-0000-7000-8000-000000000000";

    cancel(&harness.customer("dana"), &show, "rain")
        .await
        .refused(403, "forbidden");
    harness
        .customer("dana")
        .get(run)
        .await
        .refused(403, "forbidden");
    harness.get(run).await.refused(401, "unauthenticated");
    admin.get(run).await.refused(404, "not_found");
    cancel(&admin, "0193a000-0000-7000-8000-000000000000", "rain")
        .await
        .refused(404, "not_found");
    for reason in [String::new(), " ".to_owned(), "x".repeat(501)] {
        let refused = cancel(&admin, &show, &reason).await;
        assert_eq!(
            refused.refused(422, "validation_failed").fields(),
            ["reason"]
        );
    }
    for body in [json!({}), json!({ "reason": "rain", "refund": true })] {
        admin
            .post(&path, body)
            .await
            .refused(422, "validation_failed");
    }

    let shown = harness.get(&format!("/api/shows/{show}")).await.body;
    assert_eq!(shown["status"], "onSale");
    assert_eq!(harness.sql("select count(*) from runs").await, "0");
    assert_eq!(harness.sql("select count(*) from jobs").await, "0");
    let longest = cancel(&admin, &show, &"x".repeat(500)).await;
    assert_eq!(longest.status, 202, "{longest:?}");
}
