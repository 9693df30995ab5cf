//! Buyers who come at the same moment share a transaction, and none suffers for another.

use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::task::yield_now;

use crate::batcher::at_once;
use crate::harness::{Answer, TestApp, database};
use crate::pg_proxy::{Held, PgProxy, Way};

/// Buyers who want seats at the same moment, in this order.
async fn book_at_once(harness: &TestApp, show: &str, requests: &[(&str, &[&str])]) -> Vec<Answer> {
    let requests = requests
        .iter()
        .map(async |(name, seats)| harness.customer(name).book(show, seats).await);
    at_once(&harness.app.batchers.holds, requests).await
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
    // In another tab they have it themselves: they come once more when that is done, and by then
    // the other seat has gone, too.
    assert_eq!(
        answers[3].refused(409, "seat_unavailable").body["seats"],
        json!(["A2", "A4"])
    );
    assert_eq!(answers[3].body["ownBooking"], answers[0].body["id"]);
    assert_eq!(harness.sql("select count(*) from bookings").await, "3");
    harness.reconcile().await;
}

#[tokio::test]
async fn one_request_under_one_key_is_granted_once() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });

    let answers = at_once(
        &harness.app.batchers.holds,
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

#[tokio::test]
async fn who_shares_a_commit_without_an_answer_is_told_that_it_may_be_done() {
    let database = database().await;
    let pg_proxy = PgProxy::start(&database.options_of_serve()).await;
    let harness = TestApp::on(database, &[("DATABASE_URL", pg_proxy.url())]).await;
    let show = harness.show().await;
    let requests: [(&str, &[&str]); 2] = [("dana", &["A2"]), ("emil", &["A3"])];
    for (name, _) in requests {
        harness.customer(name).get("/api/bookings").await;
    }
    harness.customer("gil").booked(&show, &["A9"]).await;

    // On a connection that knows our types: the availabilities, BEGIN, the holds, COMMIT.
    pg_proxy.hold_up(Held::Answer, 4);
    let cut = async {
        pg_proxy.held().await;
        pg_proxy.let_go(Way::Cut);
    };
    let (answers, ()) = tokio::join!(book_at_once(&harness, &show, &requests), cut);

    assert_eq!(pg_proxy.statements()[3], "commit");
    for answer in answers {
        answer.refused(503, "database_unavailable");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains("it may have been done"), "{detail}");
    }
    assert_eq!(harness.sql("select count(*) from bookings").await, "3");
    harness.reconcile().await;
}

/// The limits of what a buyer may hold are counted in the statements that there were before.
#[tokio::test]
async fn a_booking_makes_three_round_trips_beside_those_of_its_transaction() {
    let database = database().await;
    let pg_proxy = PgProxy::start(&database.options_of_serve()).await;
    let harness = TestApp::on(database, &[("DATABASE_URL", pg_proxy.url())]).await;
    let show = harness.show_with(json!({ "maxSeatsPerUser": 4 })).await;
    let dana = harness.customer("dana");
    dana.get("/api/bookings").await;
    harness.customer("gil").booked(&show, &["A9"]).await;

    pg_proxy.hold_up(Held::Statement, usize::MAX);
    dana.booked(&show, &["A2"]).await;

    let statements = pg_proxy.statements();
    let expected = [
        "holder_counts(",
        "begin",
        "lock_holders(",
        "commit",
        "update checkout_attempts",
    ];
    assert_eq!(statements.len(), expected.len(), "{statements:#?}");
    for (statement, says) in statements.iter().zip(expected) {
        assert!(statement.contains(says), "{says}: {statements:#?}");
    }
}
