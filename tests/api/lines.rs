//! Buyers who come at the same moment share a transaction, and none suffers for another.

use futures_util::FutureExt;
use futures_util::future::{join_all, maybe_done};
use holdfast::app::{Line, Request};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::task::yield_now;

use crate::harness::{Answer, TestApp};

/// Makes requests one after the other, which all wait in line until the last is there, so that they
/// are one batch. One that fails before it gets there is waited for no longer.
pub(crate) async fn at_once<R: Request, T>(
    line: &Line<R>,
    requests: impl Iterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    let turn = line.pause().await.unwrap();
    let mut under_way = Vec::new();
    for request in requests {
        let mut request = Box::pin(maybe_done(request));
        let before = line.waiting();
        while line.waiting() == before && (&mut request).now_or_never().is_none() {
            yield_now().await;
        }
        under_way.push(request);
    }
    drop(turn);
    join_all(under_way.iter_mut()).await;
    under_way
        .iter_mut()
        .map(|request| request.as_mut().take_output().unwrap())
        .collect()
}

/// Buyers who want seats at the same moment, in this order.
async fn book_at_once(harness: &TestApp, show: &str, requests: &[(&str, &[&str])]) -> Vec<Answer> {
    let requests = requests
        .iter()
        .map(async |(name, seats)| harness.customer(name).book(show, seats).await);
    at_once(&harness.app.lines.wishes, requests).await
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

#[tokio::test]
async fn buyers_who_come_together_share_a_transaction() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let requests: [(&str, &[&str]); 3] =
        [("dana", &["A2"]), ("emil", &["A3", "A4"]), ("fay", &["A5"])];

    let answers = book_at_once(&harness, &show, &requests).await;

    assert_eq!(statuses(&answers), [201, 201, 201]);
    for (answer, (_, seats)) in answers.iter().zip(requests) {
        assert_eq!(answer.body["seats"], json!(seats));
        assert_eq!(
            harness.customer("dana").get("/api/bookings").await.status,
            200
        );
    }
    for table in ["bookings", "seat_claims"] {
        assert_eq!(
            harness
                .sql(&format!("select count(distinct xmin::text) from {table}"))
                .await,
            "1",
            "{table}"
        );
    }
    assert_eq!(harness.sql("select count(*) from jobs").await, "3");
    harness.reconcile().await;
}

#[tokio::test]
async fn who_comes_first_gets_the_seat() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let requests: [(&str, &[&str]); 5] = [
        ("dana", &["A2"]),
        ("emil", &["A2", "A3"]),
        ("fay", &["A3"]),
        ("dana", &["A4", "A2"]),
        ("gil", &["A4"]),
    ];

    let answers = book_at_once(&harness, &show, &requests).await;

    assert_eq!(statuses(&answers), [201, 409, 201, 409, 201]);
    assert_eq!(
        answers[1].refused(409, "seat_unavailable").body["seats"],
        json!(["A2"])
    );
    assert!(answers[1].body.get("ownBooking").is_none());
    // In another tab they have it themselves.
    assert_eq!(
        answers[3].refused(409, "seat_unavailable").body["seats"],
        json!(["A2"])
    );
    assert_eq!(answers[3].body["ownBooking"], answers[0].body["id"]);
    assert_eq!(harness.sql("select count(*) from bookings").await, "3");
    harness.reconcile().await;
}

#[tokio::test]
async fn one_wish_under_one_key_is_granted_once() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });

    let answers = at_once(
        &harness.app.lines.wishes,
        (0..2).map(async |_| dana.post_keyed("/api/bookings", body.clone(), "key").await),
    )
    .await;
    let again = dana.post_keyed("/api/bookings", body, "key").await;

    assert_eq!(answers[0].status, 201);
    answers[1].refused(409, "idempotency_in_progress");
    assert_eq!(again.body["id"], answers[0].body["id"]);
    harness.reconcile().await;
}

#[tokio::test]
async fn one_who_cannot_be_served_fails_alone() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    sqlx::query("alter table bookings add constraint spoilt check (user_id <> 'user_emil')")
        .execute(harness.db())
        .await
        .unwrap();

    let answers = book_at_once(
        &harness,
        &show,
        &[
            ("dana", &["A2"]),
            ("emil", &["A3"]),
            ("fay", &["A4"]),
            ("gil", &["Z9"]),
        ],
    )
    .await;

    assert_eq!(statuses(&answers), [201, 500, 201, 422]);
    assert_eq!(
        harness
            .sql("select string_agg(label, ',' order by label) from seat_claims")
            .await,
        "A2,A4"
    );
    harness.reconcile().await;
}

const WAITING: &str = "select count(*) > 0 from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_goes_to_another_process_in_between_costs_only_who_wanted_it() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.customer("gil").booked(&show, &["A9"]).await;
    let mut other = PgConnection::connect(harness.app.config.database_url.reveal())
        .await
        .unwrap();
    let mut faster = other.begin().await.unwrap();
    for statement in [
        "insert into bookings (id, reference, user_id, kind, show_id, seats, status, currency,
                               total_minor, due_minor, cancellation_policy, hold_expires_at,
                               created_at, updated_at)
         select gen_random_uuid(), 'HF-FASTER', user_id, kind, show_id, '{A2}', status, currency,
                total_minor, due_minor, cancellation_policy, hold_expires_at,
                created_at, updated_at
         from bookings",
        "insert into seat_claims (show_id, label, booking_id)
         select show_id, 'A2', id from bookings where reference = 'HF-FASTER'",
    ] {
        sqlx::query(statement).execute(&mut *faster).await.unwrap();
    }

    let ours = async {
        book_at_once(
            &harness,
            &show,
            &[
                ("dana", &["A2"]),
                ("emil", &["A3"]),
                ("fay", &["A2", "A4"]),
                ("hal", &["A4"]),
            ],
        )
        .await
    };
    let theirs = async {
        while harness.sql(WAITING).await != "true" {
            yield_now().await;
        }
        faster.commit().await.unwrap();
    };
    let (answers, ()) = tokio::join!(ours, theirs);

    assert_eq!(statuses(&answers), [409, 201, 409, 201]);
    assert_eq!(
        answers[0].refused(409, "seat_unavailable").body["seats"],
        json!(["A2"])
    );
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "4");
    harness.reconcile().await;
}
