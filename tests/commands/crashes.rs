//! The process is killed between two steps of its work, and another goes on: nothing is lost, and
//! nothing is done twice.
//!
//! A process is held at a step by Stripe, which does not answer, or by a lock that the test has
//! taken. After the kill the lock is let go: what the database does for the dead is part of the
//! test.

use std::time::Duration;

use serde_json::json;

use super::crash_scenario::{BOOKING, CLAIMS, SESSION, SESSIONS, Scenario};
use super::harness::PATIENCE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_died_while_stripe_was_asked_is_gone_on_with() {
    for executed in [false, true] {
        let scenario = Scenario::new().await;
        let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
        harness
            .fault(&format!(
                r#"{{ "route": "POST {SESSIONS}", "kind": "hang", "after": {executed} }}"#
            ))
            .await;
        let lost = scenario.ask(&first);
        harness.until_asked("POST", SESSIONS).await;
        harness
            .until_at_stripe(SESSIONS, usize::from(executed))
            .await;

        first.kill();
        assert!(lost.await.unwrap().is_err());
        let second = harness.serve(&[]);

        let (early, problem) = scenario.ask(&second).await.unwrap().unwrap();
        assert_eq!(
            (early, &problem["code"]),
            (409, &json!("idempotency_in_progress")),
            "{problem}"
        );
        scenario.end_lease().await;
        let (status, booking) = scenario.ask(&second).await.unwrap().unwrap();
        assert_eq!(status, 201, "{booking}");
        assert!(booking["checkout"]["url"].is_string(), "{booking}");
        let (_, again) = scenario.ask(&second).await.unwrap().unwrap();
        assert_eq!(again, booking);
        harness.finds(BOOKING, "pending").await;
        assert_eq!(harness.at_stripe(SESSIONS).await, 1, "executed: {executed}");
        scenario
            .pays(&second, booking["checkout"]["sessionId"].as_str().unwrap())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_comes_back_without_their_key_and_gets_the_session_that_stripe_had_made() {
    let scenario = Scenario::new().await;
    let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
    harness
        .fault(&format!(
            r#"{{ "route": "POST {SESSIONS}", "kind": "hang", "after": true }}"#
        ))
        .await;
    let lost = scenario.ask(&first);
    harness.until_at_stripe(SESSIONS, 1).await;

    first.kill();
    assert!(lost.await.unwrap().is_err());
    let second = harness.serve(&[]);

    let booking = json!({ "id": scenario.text("select id::text from bookings").await });
    let (status, reopened) = scenario
        .act(&second, &booking, "checkout")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status, 200, "{reopened}");
    let made = harness.ask_stripe(SESSIONS).await;
    assert_eq!(made["data"].as_array().unwrap().len(), 1);
    assert_eq!(reopened["checkout"]["sessionId"], made["data"][0]["id"]);
    assert_eq!(reopened["checkout"]["url"], made["data"][0]["url"]);
    scenario.pays(&second, &scenario.text(SESSION).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_stored_for_nobody_is_given_to_the_buyer_who_repeats() {
    let scenario = Scenario::new().await;
    let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
    harness
        .fault(&format!(
            r#"{{ "route": "POST {SESSIONS}", "kind": "delay", "seconds": 3, "after": true }}"#
        ))
        .await;
    let lost = scenario.ask(&first);
    harness.until_at_stripe(SESSIONS, 1).await;

    let lock = harness
        .lock("select from checkout_attempts for update")
        .await;
    scenario
        .kill_waiting(first, lock, "%set status = _open_%")
        .await;
    assert!(lost.await.unwrap().is_err());
    harness
        .finds("select status from checkout_attempts", "open")
        .await;
    let second = harness.serve(&[]);

    scenario.end_lease().await;
    let (status, booking) = scenario.ask(&second).await.unwrap().unwrap();
    assert_eq!(status, 201, "{booking}");
    assert_eq!(harness.at_stripe(SESSIONS).await, 1);
    assert_eq!(
        booking["checkout"]["sessionId"],
        scenario.text(SESSION).await
    );
    scenario.pays(&second, &scenario.text(SESSION).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_nobody_comes_back_for_is_fenced_and_freed() {
    for executed in [false, true] {
        let scenario = Scenario::new().await;
        let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
        harness
            .fault(&format!(
                r#"{{ "route": "POST {SESSIONS}", "kind": "hang", "after": {executed} }}"#
            ))
            .await;
        let lost = scenario.ask(&first);
        harness.until_asked("POST", SESSIONS).await;
        harness
            .until_at_stripe(SESSIONS, usize::from(executed))
            .await;

        first.kill();
        assert!(lost.await.unwrap().is_err());
        scenario.end_hold().await;
        let second = harness.serve(&[]);

        harness.until(BOOKING, "expired", PATIENCE).await;
        assert_eq!(harness.at_stripe(SESSIONS).await, 1);
        assert_eq!(
            harness
                .at_stripe(&format!("{SESSIONS}?status=expired"))
                .await,
            1
        );
        scenario.seat_is_free(&second).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hold_that_was_not_committed_nothing_remains() {
    let scenario = Scenario::new().await;
    let harness = &scenario.harness;
    for step in [
        "lock table idempotency_keys in exclusive mode",
        "lock table seat_claims in exclusive mode",
        "lock table jobs in exclusive mode",
    ] {
        let server = harness.serve(&[]);
        let lock = harness.lock(step).await;
        let lost = scenario.ask(&server);

        scenario.kill_waiting(server, lock, "%").await;

        assert!(lost.await.unwrap().is_err());
        for what in [
            "bookings",
            "checkout_attempts",
            "seat_claims",
            "idempotency_keys",
        ] {
            harness
                .finds(&format!("select count(*) from {what}"), "0")
                .await;
        }
        harness
            .finds("select count(*) from jobs where key like 'end-hold%'", "0")
            .await;
        assert_eq!(harness.asked("POST", SESSIONS).await, 0, "{step}");
    }

    let server = harness.serve(&[]);
    let (status, booking) = scenario.ask(&server).await.unwrap().unwrap();
    assert_eq!(status, 201, "{booking}");
    scenario
        .pays(&server, booking["checkout"]["sessionId"].as_str().unwrap())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_was_not_committed_is_processed_when_it_comes_again() {
    let scenario = Scenario::new().await;
    let harness = &scenario.harness;
    let mut server = harness.serve(&[]);
    let booking = scenario.booked(&server).await;
    let event = harness
        .pay(booking["checkout"]["sessionId"].as_str().unwrap())
        .await;
    for step in [
        "lock table payment_events in exclusive mode",
        "select from bookings for update",
        "lock table ledger_transfers in exclusive mode",
    ] {
        let lock = harness.lock(step).await;
        let lost = tokio::spawn(server.deliver(&event));

        scenario.kill_waiting(server, lock, "%").await;

        assert!(lost.await.unwrap().is_err());
        harness.finds(BOOKING, "pending").await;
        for what in ["payment_events", "payments", "ledger_transfers"] {
            harness
                .finds(&format!("select count(*) from {what}"), "0")
                .await;
        }
        server = harness.serve(&[]);
    }

    for outcome in ["processed", "duplicate"] {
        let (status, receipt) = server.deliver(&event).await.unwrap();
        assert_eq!(
            (status, &receipt["outcome"]),
            (200, &json!(outcome)),
            "{receipt}"
        );
    }
    scenario.is_paid().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_died_at_the_fence_is_finished_and_the_seat_is_free_once() {
    for executed in [false, true] {
        let scenario = Scenario::new().await;
        let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
        let booking = scenario.booked(&first).await;
        harness
            .fault(&format!(
                r#"{{ "route": "POST {SESSIONS}/*/expire", "kind": "hang", "after": {executed} }}"#
            ))
            .await;
        let lost = scenario.act(&first, &booking, "cancel");
        harness.until_asked("POST", "/expire").await;
        harness
            .until_at_stripe(&format!("{SESSIONS}?status=expired"), usize::from(executed))
            .await;

        first.kill();
        assert!(lost.await.unwrap().is_err());
        harness.finds(CLAIMS, "1").await;
        let second = harness.serve(&[]);

        harness.until(BOOKING, "cancelled", PATIENCE).await;
        assert_eq!(
            harness
                .at_stripe(&format!("{SESSIONS}?status=expired"))
                .await,
            1
        );
        scenario.seat_is_free(&second).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_died_between_stripes_answer_and_its_commit_is_finished() {
    let scenario = Scenario::new().await;
    let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
    let booking = scenario.booked(&first).await;

    let lock = harness.lock("select from seat_claims for update").await;
    let lost = scenario.act(&first, &booking, "cancel");
    scenario
        .kill_waiting(first, lock, "%delete from seat_claims%")
        .await;

    assert!(lost.await.unwrap().is_err());
    harness.finds(BOOKING, "pending").await;
    assert_eq!(
        harness
            .at_stripe(&format!("{SESSIONS}?status=expired"))
            .await,
        1
    );
    let second = harness.serve(&[]);
    harness.until(BOOKING, "cancelled", PATIENCE).await;
    scenario.seat_is_free(&second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_that_is_paid_while_its_cancellation_is_dead_is_confirmed() {
    let scenario = Scenario::new().await;
    let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
    let booking = scenario.booked(&first).await;
    harness
        .fault(&format!(
            r#"{{ "route": "POST {SESSIONS}/*/expire", "kind": "hang" }}"#
        ))
        .await;
    let lost = scenario.act(&first, &booking, "cancel");
    harness.until_asked("POST", "/expire").await;

    first.kill();
    assert!(lost.await.unwrap().is_err());
    let event = harness
        .pay(booking["checkout"]["sessionId"].as_str().unwrap())
        .await;
    let second = harness.serve(&[]);

    harness.until(BOOKING, "confirmed", PATIENCE).await;
    scenario.is_paid().await;
    assert_eq!(
        second.deliver(&event).await.unwrap().1["outcome"],
        "processed"
    );
    scenario.is_paid().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_under_way_is_finished_before_the_process_stops() {
    let scenario = Scenario::new().await;
    let (harness, mut server) = (
        &scenario.harness,
        scenario.harness.serve(&[("HOLD_SECONDS", "1")]),
    );
    harness
        .fault(&format!(
            r#"{{ "route": "POST {SESSIONS}/*/expire", "kind": "delay", "seconds": 1.5 }}"#
        ))
        .await;
    scenario.booked(&server).await;
    harness.until_asked("POST", "/expire").await;

    server.signal("TERM");

    assert_eq!(server.ended(Duration::from_secs(5)).code(), Some(0));
    harness.finds(BOOKING, "expired").await;
    harness
        .finds("select count(*) from jobs where key like 'end-hold%'", "0")
        .await;
    scenario.seat_is_free(&harness.serve(&[])).await;
}
