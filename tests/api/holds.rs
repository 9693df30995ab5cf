//! The end of a hold: fenced at Stripe first, and never released on a guess.

use chrono::{DateTime, TimeDelta, Utc};
use holdfast::connection::Connection;
use holdfast::domain::job::Job;
use holdfast::jobs;
use holdfast::repositories::jobs::{FailedTry, enqueue, put_off};
use serde_json::{Value, json};
use sqlx::query_scalar;

use crate::harness::{TestApp, send};

#[tokio::test]
async fn an_abandoned_page_is_closed_at_stripe_before_its_seats_go_free() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;

    harness.advance(TimeDelta::seconds(599)).await;
    harness.run_jobs().await;
    let before = dana.booking(&booking).await;
    harness.advance(TimeDelta::seconds(1)).await;
    harness.run_jobs().await;
    let after = dana.booking(&booking).await;

    assert_eq!(before["status"], "pending");
    assert_eq!(after["status"], "expired");
    assert_eq!(after["checkout"], Value::Null);
    let session = booking["checkout"]["sessionId"].as_str().unwrap();
    assert_eq!(
        harness
            .ask_stripe(&format!("/v1/checkout/sessions/{session}"))
            .await["status"],
        "expired"
    );
    let page = harness
        .http
        .post(booking["checkout"]["url"].as_str().unwrap())
        .body("number=4242424242424242");
    assert_eq!(send(page).await.status, 402);
    assert!(harness.all_at_stripe("charges").await.is_empty());
    assert_eq!(
        harness.customer("emil").book(&show, &["A2"]).await.status,
        201
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_buyer_who_has_just_paid_keeps_their_seats_when_the_hold_ends() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;

    harness.advance(TimeDelta::minutes(10)).await;
    harness.run_jobs().await;

    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    for body in events.values() {
        assert_eq!(harness.deliver(body).await.status, 200);
    }
    assert_eq!(harness.sql("select count(*) from payments").await, "1");
    harness.reconcile().await;
}

#[tokio::test]
async fn an_unsure_answer_keeps_the_seats_and_is_asked_again() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let down = json!({
        "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": 503, "times": 7,
    });
    harness.knob("faults", down).await;

    harness.advance(TimeDelta::minutes(10)).await;
    let first = harness.run_jobs().await;
    let unsure = dana.booking(&booking).await;
    let second = harness.run_jobs().await;

    assert_eq!((first, second), (0, 1));
    assert_eq!(unsure["status"], "pending");
    assert_eq!(dana.booking(&booking).await["status"], "expired");
    harness.reconcile().await;
}

#[tokio::test]
async fn an_answer_that_was_lost_is_made_good_at_the_end_of_the_hold() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let lost = json!({ "route": "POST /v1/checkout/sessions$", "kind": "lost_answer", "times": 7 });
    harness.knob("faults", lost).await;
    let dana = harness.customer("dana");
    dana.book(&show, &["A2"])
        .await
        .refused(503, "payment_provider_unavailable");

    harness.advance(TimeDelta::minutes(10)).await;
    harness.run_jobs().await;

    assert_eq!(harness.sql("select status from bookings").await, "expired");
    let sessions = harness.ask_stripe("/v1/checkout/sessions").await;
    assert_eq!(sessions["data"].as_array().unwrap().len(), 1);
    assert_eq!(sessions["data"][0]["status"], "expired");
    harness.reconcile().await;
}

#[tokio::test]
async fn an_unanswered_create_is_finished_in_the_background() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let down = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 503, "times": 7,
    });
    harness.knob("faults", down).await;
    let dana = harness.customer("dana");
    dana.book(&show, &["A2"])
        .await
        .refused(503, "payment_provider_unavailable");

    harness.advance(TimeDelta::seconds(5)).await;
    harness.run_jobs().await;

    let booking = dana.get("/api/bookings").await.body["items"][0].clone();
    assert!(booking["checkout"]["url"].is_string(), "{booking}");
    harness.pay(&booking).await;
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn the_end_of_a_hold_leaves_a_paid_booking_alone() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    harness.pay(&booking).await;

    harness.advance(TimeDelta::minutes(10)).await;
    harness.run_jobs().await;

    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    assert_eq!(harness.sql("select count(*) from jobs").await, "0");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_late_payment_for_sold_seats_goes_back_once() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    // Stripe's report that the session has ended comes first, although it was paid: order is not
    // guaranteed.
    harness.hear_of_expiry(&booking).await;
    harness.customer("emil").booked(&show, &["A2"]).await;
    let lost = json!({ "route": "POST /v1/refunds", "kind": "lost_answer", "times": 7 });
    harness.knob("faults", lost).await;
    // Nor does Stripe's report of the refund come.
    harness.knob("deliveries", json!({ "drop": true })).await;

    for body in events.values() {
        harness.deliver(body).await;
    }
    harness.run_jobs().await;
    let unsure = harness.sql("select status from refunds").await;
    harness.run_jobs().await;
    harness.run_jobs().await;

    assert_eq!(unsure, "requested");
    assert_eq!(
        harness
            .sql("select status || ' ' || source from refunds")
            .await,
        "succeeded surplus"
    );
    assert_eq!(
        harness
            .sql("select status from bookings where user_id = 'user_dana'")
            .await,
        "expired"
    );
    let key = format!("re-{}", harness.sql("select id from refunds").await);
    let mut tries = harness.stripe_requests().await;
    tries.retain(|asked| asked["method"] == "POST" && asked["path"] == "/v1/refunds");
    assert!(tries.len() > 7, "{tries:?}");
    assert!(
        tries.iter().all(|asked| asked["idempotencyKey"] == key),
        "{key}: {tries:?}"
    );
    assert_eq!(
        harness.ask_stripe("/v1/refunds").await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        harness
            .sql("select sum(amount_minor) from ledger_transfers where kind = 'refund'")
            .await,
        "1200"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn an_event_that_came_before_its_attempt_is_settled_once_the_attempt_is_there() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    // As if the event had come before our row: the attempt is put aside, and back.
    let aside = "with gone as (delete from checkout_attempts returning *)
                 insert into aside select * from gone";
    for statement in ["create table aside (like checkout_attempts)", aside] {
        sqlx::query(statement).execute(harness.db()).await.unwrap();
    }

    let deferred = harness.deliver(&events["checkout.session.completed"]).await;
    let back = "insert into checkout_attempts select * from aside";
    sqlx::query(back).execute(harness.db()).await.unwrap();
    harness.advance(TimeDelta::seconds(5)).await;
    harness.run_jobs().await;

    assert_eq!(deferred.body["outcome"], "deferred");
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_hold_whose_session_stripe_never_made_ends_too() {
    for fault in [
        json!({ "status": 500, "stored": true, "times": 9 }),
        json!({ "status": 503, "times": 7 }),
    ] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let mut fault = fault;
        fault["route"] = json!("POST /v1/checkout/sessions$");
        fault["kind"] = json!("status");
        harness.knob("faults", fault).await;
        harness
            .customer("dana")
            .book(&show, &["A2"])
            .await
            .refused(503, "payment_provider_unavailable");

        harness.advance(TimeDelta::minutes(10)).await;
        while harness.run_jobs().await == 0 {}

        assert_eq!(harness.sql("select live from bookings").await, "false");
        assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_background_try_that_fails_stays_one_job() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let down = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 503, "times": 14,
    });
    harness.knob("faults", down).await;
    harness
        .customer("dana")
        .book(&show, &["A2"])
        .await
        .refused(503, "payment_provider_unavailable");

    harness.advance(TimeDelta::seconds(5)).await;
    harness.run_jobs().await;

    let jobs = "select string_agg(payload->>'kind', ',' order by id) from jobs";
    assert_eq!(harness.sql(jobs).await, "endHold,finishCheckout");
}

#[tokio::test]
async fn a_hold_whose_job_is_lost_or_buried_is_found() {
    for gone in [
        "delete from jobs",
        "update jobs set attempts = max_attempts, run_at = 'infinity'",
    ] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let booking = harness.customer("dana").booked(&show, &["A2"]).await;
        sqlx::query(gone).execute(harness.db()).await.unwrap();

        harness.advance(TimeDelta::minutes(13)).await;
        jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
        harness.run_jobs().await;

        assert_eq!(
            harness.customer("dana").booking(&booking).await["status"],
            "expired",
            "{gone}"
        );
        harness.reconcile().await;
    }
}

/// A webhook may ask for the job again between its failure and the end of its pause.
#[tokio::test]
async fn a_job_that_was_asked_for_again_is_not_put_off() {
    let harness = TestApp::new().await;
    let mut db = harness.app.acquire().await.unwrap();
    let later = harness.now() + TimeDelta::days(14);
    enqueue(&mut db, &[Job::Sweep.at(later)]).await.unwrap();
    let id = query_scalar("select id from jobs")
        .fetch_one(&mut db)
        .await
        .unwrap();

    let asked_again = put_off_after(&mut db, id, 7).await;
    let failed = put_off_after(&mut db, id, 0).await;

    assert_eq!(asked_again, later);
    assert_ne!(failed, later);
}

/// Puts a job off that has failed after so many tries; when it is due then.
async fn put_off_after(db: &mut Connection, job_id: i64, tries: i16) -> DateTime<Utc> {
    let failed = FailedTry { job_id, tries };
    put_off(db, failed, TimeDelta::minutes(1)).await.unwrap();
    query_scalar("select run_at from jobs where id = $1")
        .bind(job_id)
        .fetch_one(db)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_refund_whose_key_is_spent_goes_under_a_new_one() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    harness.hear_of_expiry(&booking).await;
    harness.customer("emil").booked(&show, &["A2"]).await;
    let stored =
        json!({ "route": "POST /v1/refunds", "kind": "status", "status": 500, "stored": true });
    harness.knob("faults", stored).await;

    harness.deliver(&events["checkout.session.completed"]).await;
    harness.run_jobs().await;
    harness.advance(TimeDelta::seconds(30)).await;
    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
    harness.run_jobs().await;

    let refund = harness.sql("select id || ' ' || status from refunds").await;
    let id = refund.strip_suffix(" succeeded").unwrap();
    let key = format!("re-{id}-1");
    assert_eq!(
        harness.stripe_requests().await.last().unwrap()["idempotencyKey"],
        key
    );
    harness.reconcile().await;
}

/// The queue's own pauses grow to hours, and a process may die before it has shortened one.
#[tokio::test]
async fn a_job_that_has_failed_is_tried_again_within_a_minute_whatever_died() {
    let harness = TestApp::new().await;
    let mut db = harness.app.acquire().await.unwrap();
    let refund_id = "01930000-0000-7000-8000-000000000001".parse().unwrap();
    let job = Job::Refund {
        refund_id,
        booking_id: None,
    };
    enqueue(&mut db, &[job.at(harness.now() + TimeDelta::hours(6))])
        .await
        .unwrap();
    let failed = "update jobs set attempts = 10, last_error = 'no'";
    sqlx::query(failed).execute(&mut db).await.unwrap();

    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();

    let run_at: DateTime<Utc> = query_scalar("select run_at from jobs")
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(run_at, harness.now() + TimeDelta::minutes(1));
}
