//! What has happened to a booking is a row, written with the change, in order, and never rewritten.

use chrono::TimeDelta;
use holdfast::repositories::booking_events;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::harness::TestApp;

const HAPPENED: &str = "select string_agg(kind, ' ' order by id) from booking_events";

#[tokio::test]
async fn a_booking_has_an_event_for_each_of_its_changes() {
    let harness = TestApp::new().await;
    let show = harness.show_with(json!({ "blocked": [] })).await;
    let dana = harness.customer("dana");
    let cancelled = dana.booked(&show, &["A2"]).await;
    let path = format!("/api/bookings/{}/cancel", cancelled["id"].as_str().unwrap());
    dana.post(&path, json!({ "reason": "ill" })).await;
    let paid = dana.booked(&show, &["A3"]).await;
    harness.pay(&paid).await;
    let expired = dana.booked(&show, &["A4"]).await;
    harness.advance(TimeDelta::minutes(10)).await;
    harness.run_jobs().await;

    for (booking, events) in [
        (
            cancelled,
            "held attemptOpened cancellationRequested cancelled",
        ),
        (paid, "held attemptOpened confirmed"),
        (expired, "held attemptOpened expired"),
    ] {
        let of_booking = format!(
            "{HAPPENED} where booking_id = '{}'",
            booking["id"].as_str().unwrap()
        );
        assert_eq!(harness.sql(&of_booking).await, events);
    }
    let reason =
        "select payload ->> 'reason' from booking_events where kind = 'cancellationRequested'";
    assert_eq!(harness.sql(reason).await, "ill");
    let payment = "select count(*) from booking_events join payments
                   on payments.id = (payload ->> 'paymentId')::uuid where kind = 'confirmed'";
    assert_eq!(harness.sql(payment).await, "1");
    harness.reconcile().await;
}

#[tokio::test]
async fn booking_events_are_append_only() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.customer("dana").booked(&show, &["A2"]).await;

    for rewriting in [
        "update booking_events set kind = 'confirmed'",
        "delete from booking_events",
        "truncate booking_events",
    ] {
        let refused = sqlx::query(rewriting).execute(harness.db()).await;
        let error = refused.unwrap_err();
        let error = error.as_database_error().unwrap();
        assert_eq!(
            error.constraint(),
            Some("booking_events_append_only"),
            "{rewriting}"
        );
    }
}

/// Ids are given out before they are committed: a transaction that commits late has the lower one.
#[tokio::test]
async fn a_reader_misses_no_event_of_a_transaction_that_commits_late() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let first = dana.booked(&show, &["A2"]).await;
    let url = &harness.app.config.database_url;
    let mut reader = harness.app.acquire().await.unwrap();
    let mut other = PgConnection::connect(url.reveal()).await.unwrap();
    let cursor = booking_events::latest(&mut reader).await.unwrap();

    let mut late = other.begin().await.unwrap();
    sqlx::query(
        "insert into booking_events (booking_id, kind, payload, at)
         select booking_id, 'attemptClosed', '{}', at from booking_events limit 1",
    )
    .execute(&mut *late)
    .await
    .unwrap();
    let second = harness.customer("emil").booked(&show, &["A3"]).await;
    let before = booking_events::read_since(&mut reader, &cursor)
        .await
        .unwrap();
    late.commit().await.unwrap();
    let after = booking_events::read_since(&mut reader, &before.cursor)
        .await
        .unwrap();
    let nothing = booking_events::read_since(&mut reader, &after.cursor)
        .await
        .unwrap();

    let id = |booking: &serde_json::Value| booking["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(before.booking_ids, [id(&second), id(&second)]);
    assert_eq!(after.booking_ids, [id(&first)]);
    assert!(nothing.booking_ids.is_empty());
}

/// A dump that is restored into another cluster brings ids of transactions that are yet to come.
#[tokio::test]
async fn a_reader_is_not_told_again_and_again_of_events_from_another_cluster() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let mut reader = harness.app.acquire().await.unwrap();
    let cursor = booking_events::latest(&mut reader).await.unwrap();

    sqlx::query(
        "insert into booking_events (booking_id, kind, payload, at, transaction_id)
         select booking_id, kind, payload, at, '9000000000'::xid8 from booking_events",
    )
    .execute(harness.db())
    .await
    .unwrap();
    let unread = booking_events::read_since(&mut reader, &cursor)
        .await
        .unwrap();

    assert!(unread.booking_ids.is_empty(), "{booking} {unread:?}");
}
