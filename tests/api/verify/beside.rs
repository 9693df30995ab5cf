//! What runs beside a verification, and what it leaves behind.

use std::future::pending;

use holdfast::app::Pools;
use holdfast::repositories::scratch::{self, ScratchSchema};
use holdfast::workflows::verification::{self, Findings, Progress};
use sqlx::{AssertSqlSafe, Executor};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::block_in_place;

use super::tampered::past_all_guards;
use crate::harness::TestApp;

const SCHEMAS: &str = "select count(*) from pg_namespace where nspname like 'holdfast_verify_%'";

impl TestApp {
    /// Verifies, with what is done whenever it has come further.
    async fn verify_beside(&self, beside: impl AsyncFn(Progress)) -> Findings {
        let mut findings = Findings::default();
        let on_progress =
            |progress| block_in_place(|| Handle::current().block_on(beside(progress)));
        let url = &self.owner_url();
        verification::verify(url, self.now(), pending(), &mut findings, on_progress)
            .await
            .unwrap();
        findings
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_two_pages_nothing_is_held_and_nothing_is_of_a_session() {
    let harness = TestApp::new().await;
    harness.live_through_much().await;

    let findings = harness
        .verify_beside(async |_| {
            let temporary = "select count(*) from pg_class where relpersistence = 't'";
            assert_eq!(harness.sql(temporary).await, "0");
            assert_eq!(harness.sql(SCHEMAS).await, "1");
            let holding = "select count(*) from pg_stat_activity
                           where datname = current_database() and pid <> pg_backend_pid()
                             and (backend_xmin is not null or backend_xid is not null)";
            assert_eq!(harness.sql(holding).await, "0");
            // As a migration locks them.
            let lock = "begin; lock table bookings, booking_events, payments, payment_events,
                        checkout_attempts, ledger_transfers in access exclusive mode nowait;
                        rollback";
            harness.db().execute(lock).await.unwrap();
        })
        .await;

    assert_eq!(findings.differences, []);
    assert_eq!(harness.sql(SCHEMAS).await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_meanwhile_is_no_difference() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let wanted = serde_json::json!({ "session": booking["checkout"]["sessionId"] });
    let events = harness.pay_unheard(wanted).await;

    let findings = harness
        .verify_beside(async |progress| {
            if progress.done == 0 {
                harness.deliver(&events["charge.succeeded"]).await;
                harness.deliver(&events["checkout.session.completed"]).await;
                harness.deliver(&events["payment_intent.succeeded"]).await;
                dana.booked(&show, &["A3"]).await;
            }
        })
        .await;

    assert_eq!(findings.differences, []);
    assert_eq!((findings.bookings, findings.events), (1, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dead_runs_have_left_behind_goes_and_what_live_ones_use_stays() {
    let harness = TestApp::new().await;
    let pools = Pools::new(&harness.owner_url()).unwrap();
    let pool = &pools.reporting;
    let (dead, live) = (ScratchSchema::new(), ScratchSchema::new());
    for schema in [&dead, &live] {
        let mut tx = pool.begin().await.unwrap();
        scratch::create(&mut tx, schema).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut alive = pool.begin().await.unwrap();
    scratch::show_alive(&mut alive, &live).await.unwrap();
    harness
        .db()
        .execute("create schema holdfast_verify_of_somebody")
        .await
        .unwrap();

    assert_eq!(harness.verify().await, Vec::<String>::new());
    let left = scratch::list(&mut pool.acquire().await.unwrap()).await;
    assert_eq!(left.unwrap(), [live]);

    alive.rollback().await.unwrap();
    assert_eq!(harness.verify().await, Vec::<String>::new());
    let left = scratch::list(&mut pool.acquire().await.unwrap()).await;
    assert_eq!(left.unwrap(), []);
    assert_eq!(harness.sql(SCHEMAS).await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_it_has_what_was_found_until_then() {
    let harness = TestApp::new().await;
    harness.live_through_much().await;
    past_all_guards(
        &harness,
        "update payments set captured_at = captured_at - interval '1 day'",
    )
    .await;
    let (stop, mut findings) = (Notify::new(), Findings::default());
    let stop_at_the_end = |progress: Progress| {
        if progress.done > 0 {
            stop.notify_one();
        }
    };
    let url = &harness.owner_url();

    let stopped = verification::verify(
        url,
        harness.now(),
        stop.notified(),
        &mut findings,
        stop_at_the_end,
    );
    let stopped = stopped.await.unwrap_err();

    assert_eq!(stopped.to_string(), "it was stopped before its end");
    assert!(
        findings.bookings > 0 && !findings.differences.is_empty(),
        "{findings:?}"
    );
    assert_eq!(harness.sql(SCHEMAS).await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_are_taken_away_meanwhile_end_it() {
    let harness = TestApp::new().await;
    harness.live_through_much().await;
    let mut findings = Findings::default();
    let take_away = async || {
        let name = "select nspname from pg_namespace where nspname like 'holdfast_verify_%'";
        let drop = format!("drop schema {} cascade", harness.sql(name).await);
        harness.db().execute(AssertSqlSafe(drop)).await.unwrap();
    };
    let on_progress = |_| block_in_place(|| Handle::current().block_on(take_away()));
    let url = &harness.owner_url();

    let ended = verification::verify(url, harness.now(), pending(), &mut findings, on_progress);

    let ended = ended.await.unwrap_err().to_string();
    assert!(
        ended.starts_with("the copies of this run are gone"),
        "{ended}"
    );
}

#[tokio::test]
async fn many_bookings_that_cannot_be_replayed_do_not_cost_more_than_they_are() {
    let harness = TestApp::holding_freely().await.without_gauge();
    let show = harness.show().await;
    let dana = harness.customer("dana");
    for seat in 2..=10 {
        dana.booked(&show, &[&format!("A{seat}")]).await;
        dana.booked(&show, &[&format!("B{seat}")]).await;
    }
    let odd = r#"update booking_events set payload = '{"kind": "attemptOpened", "attemptId": "odd"}'
                 where kind = 'attemptOpened'"#;
    past_all_guards(&harness, odd).await;
    let (mut pages, mut findings) = (0, Findings::default());
    let url = &harness.owner_url();

    let count = |_| pages += 1;
    let verified = verification::verify(url, harness.now(), pending(), &mut findings, count);
    verified.await.unwrap();

    assert_eq!(findings.bookings, 18);
    assert_eq!(findings.differences.len(), 18, "{findings:#?}");
    assert!(pages <= 18 + 5, "{pages}");
}
