//! Events that arrive while others are being settled share a transaction, and none suffers for
//! another.

use std::collections::HashMap;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::batcher::at_once;
use crate::harness::{Answer, TestApp};

/// Bookings that are all paid, of which we have not heard; the events of each, by type.
async fn paid_unheard(harness: &TestApp, number: usize) -> Vec<(Value, HashMap<String, String>)> {
    let show = harness
        .show_with(
            json!({ "rows": [{ "row": "A", "seats": number, "tier": "regular" }], "blocked": [] }),
        )
        .await;
    let mut paid = Vec::new();
    for seat in 1..=number {
        let booking = harness
            .customer(&format!("of_{seat}"))
            .booked(&show, &[&format!("A{seat}")])
            .await;
        let events = harness
            .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
            .await;
        paid.push((booking, events));
    }
    paid
}

/// Delivers `bodies`, which all wait until the last has come, so that they are one batch.
async fn deliver_at_once(harness: &TestApp, bodies: &[&str]) -> Vec<Answer> {
    at_once(
        &harness.app.batchers.events,
        bodies.iter().map(|body| harness.deliver(body)),
    )
    .await
}

fn outcomes(answers: &[Answer]) -> Vec<(u16, &str)> {
    answers
        .iter()
        .map(|answer| {
            (
                answer.status,
                answer.body["outcome"].as_str().unwrap_or_default(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_together_share_a_transaction() {
    let harness = TestApp::new().await;
    let paid = paid_unheard(&harness, 8).await;
    let bodies: Vec<&str> = paid
        .iter()
        .map(|(_, events)| events["checkout.session.completed"].as_str())
        .collect();

    let answers = deliver_at_once(&harness, &bodies).await;

    assert_eq!(outcomes(&answers), vec![(200, "processed"); 8]);
    assert_eq!(
        harness
            .sql("select count(*) from bookings where status = 'confirmed'")
            .await,
        "8"
    );
    assert_eq!(
        harness
            .sql("select count(distinct xmin::text) from payments")
            .await,
        "1"
    );
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_nothing_goes_with_the_others() {
    let harness = TestApp::new().await;
    let paid = paid_unheard(&harness, 6).await;
    let completed = |number: usize| paid[number].1["checkout.session.completed"].as_str();
    harness.deliver(completed(5)).await;
    let strange = completed(4).replace("checkout.session.completed", "checkout.session.invented");
    let strange = strange.replace("\"id\": \"evt_", "\"id\": \"evt_strange");
    let bodies = [
        completed(0),
        completed(1),
        completed(2),
        completed(3),
        // The second word of the same payment waits for the first.
        paid[3].1["payment_intent.succeeded"].as_str(),
        strange.as_str(),
        completed(5),
        completed(2),
    ];

    let answers = deliver_at_once(&harness, &bodies).await;

    let mut counted: HashMap<_, usize> = HashMap::new();
    for outcome in outcomes(&answers) {
        *counted.entry(outcome).or_default() += 1;
    }
    let expected = [
        ((200, "processed"), 5),
        ((200, "ignored"), 1),
        ((200, "duplicate"), 2),
    ];
    assert_eq!(counted, HashMap::from(expected));
    assert_eq!(harness.sql("select count(*) from payments").await, "5");
    let in_one_transaction = "select count(*) > 0 from payment_events as one
                              join payment_events as other on other.xmin = one.xmin
                              where one.status = 'ignored' and other.status = 'processed'";
    assert_eq!(harness.sql(in_one_transaction).await, "true");
    harness.deliver(completed(4)).await;
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_asks_for_more_gets_it_and_holds_nobody_up() {
    let harness = TestApp::new().await;
    let paid = paid_unheard(&harness, 6).await;
    // The seat of the last was sold again before its payment came.
    harness.hear_of_expiry(&paid[5].0).await;
    let show = paid[5].0["show"]["id"].as_str().unwrap();
    harness.customer("emil").booked(show, &["A6"]).await;
    let bodies: Vec<&str> = paid
        .iter()
        .map(|(_, events)| events["checkout.session.completed"].as_str())
        .collect();

    let answers = deliver_at_once(&harness, &bodies).await;
    harness.run_jobs().await;

    assert_eq!(outcomes(&answers), vec![(200, "processed"); 6]);
    assert_eq!(
        harness
            .sql("select count(*) from payments where disposition = 'applied'")
            .await,
        "5"
    );
    assert_eq!(harness.sql("select status from refunds").await, "succeeded");
    assert_eq!(
        harness
            .sql("select max(deliveries) from payment_events")
            .await,
        "1"
    );
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_fails_alone() {
    let harness = TestApp::new().await;
    let paid = paid_unheard(&harness, 6).await;
    let spoilt = paid[4].0["id"].as_str().unwrap();
    let refuse =
        format!("alter table payments add constraint spoilt check (booking_id <> '{spoilt}')");
    sqlx::query(sqlx::AssertSqlSafe(refuse))
        .execute(harness.db())
        .await
        .unwrap();
    let bodies: Vec<&str> = paid
        .iter()
        .map(|(_, events)| events["checkout.session.completed"].as_str())
        .collect();

    let answers = deliver_at_once(&harness, &bodies).await;
    sqlx::query("alter table payments drop constraint spoilt")
        .execute(harness.db())
        .await
        .unwrap();
    let again = harness.deliver(bodies[4]).await;

    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 500, 200]);
    assert_eq!(again.body["outcome"], "processed");
    assert_eq!(
        harness
            .sql("select count(*) from bookings where status = 'confirmed'")
            .await,
        "6"
    );
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_leaves_nobody_waiting() {
    let harness = TestApp::new().await;
    let paid = paid_unheard(&harness, 4).await;
    let bodies: Vec<&str> = paid
        .iter()
        .map(|(_, events)| events["checkout.session.completed"].as_str())
        .collect();

    let gone = harness.deliver(bodies[0]);
    assert!(gone.now_or_never().is_none());
    let answers = join_all(bodies.iter().map(|body| harness.deliver(body))).await;

    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    assert_eq!(harness.sql("select count(*) from payments").await, "4");
    harness.reconcile().await;
}

const WAITING: &str = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_a_lock_keeps_only_their_own_waiting() {
    let harness = TestApp::new().await;
    let paid = paid_unheard(&harness, 6).await;
    let bodies: Vec<&str> = paid
        .iter()
        .map(|(_, events)| events["checkout.session.completed"].as_str())
        .collect();
    let mut other = PgConnection::connect(harness.app.config.database_url.reveal())
        .await
        .unwrap();
    let mut lock = other.begin().await.unwrap();
    sqlx::query("select from bookings order by created_at limit 4 for update")
        .execute(&mut *lock)
        .await
        .unwrap();
    let mut locked = Vec::new();
    for body in &bodies[..4] {
        let mut delivery = Box::pin(harness.deliver(body));
        while harness.sql(WAITING).await.parse::<usize>().unwrap() <= locked.len() {
            assert!((&mut delivery).now_or_never().is_none());
        }
        locked.push(delivery);
    }

    let others = join_all(bodies[4..].iter().map(|body| harness.deliver(body))).await;
    let again = harness.deliver(&paid[0].1["payment_intent.succeeded"]);
    lock.rollback().await.unwrap();
    let (first, again) = tokio::join!(join_all(locked), again);

    assert_eq!(outcomes(&others), [(200, "processed"); 2]);
    assert_eq!(outcomes(&first), [(200, "processed"); 4]);
    assert_eq!(outcomes(&[again]), [(200, "processed")]);
    harness.reconcile().await;
}

/// Whatever a booking is told first, its later events of the same batch are settled in the same
/// transaction, on what the first has made of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_events_of_one_booking_share_a_transaction() {
    let harness = TestApp::new().await;
    let paid = paid_unheard(&harness, 3).await;
    let events = &paid[0].1;
    let completed = events["checkout.session.completed"].as_str();
    let second = events["payment_intent.succeeded"].replace("\"id\": \"pi_", "\"id\": \"pi_second");
    let second = second.replace("\"id\": \"evt_", "\"id\": \"evt_second");
    let repeated = completed.replace("\"id\": \"evt_", "\"id\": \"evt_repeated");
    let bodies = [
        completed,
        events["payment_intent.succeeded"].as_str(),
        paid[1].1["checkout.session.completed"].as_str(),
        second.as_str(),
        repeated.as_str(),
        paid[2].1["checkout.session.completed"].as_str(),
    ];

    let answers = deliver_at_once(&harness, &bodies).await;

    assert_eq!(outcomes(&answers), vec![(200, "processed"); 6]);
    let transactions = "select count(distinct xmin::text) from payment_events";
    assert_eq!(harness.sql(transactions).await, "1");
    let payments = "select count(*) filter (where disposition = 'applied') || ' '
                      || count(*) filter (where surplus_reason = 'already_paid') from payments";
    assert_eq!(harness.sql(payments).await, "3 1");
    assert_eq!(harness.sql("select count(*) from refunds").await, "1");
}
