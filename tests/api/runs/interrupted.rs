//! Runs that are broken off, lost, or gone on with by two processes at once, and bookings that get
//! in the way.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use holdfast::repositories::jobs::enqueue;
use serde_json::json;
use sqlx::Executor;
use tokio::task::yield_now;

use super::{REFUNDS, STAND, cancelled, over, run};
use crate::delayed::SEPA;
use crate::harness::{TestApp, cut_short};

/// More than a run of a few bookings is ever woken.
const POLLS_MAX: u32 = 400;
/// A few seconds of looking.
const LOOKS_MAX: usize = 20_000;

/// A show with a booking of each sort: paid, pending, waiting for a bank, and under review.
async fn booked(harness: &TestApp) -> String {
    let own = json!({ "startsAt": harness.now() + TimeDelta::days(60) });
    let show = harness.show_with(own).await;
    let mut bookings = Vec::new();
    for (name, seat) in [
        ("dana", "A2"),
        ("emil", "A3"),
        ("fern", "A4"),
        ("gus", "A5"),
    ] {
        bookings.push(harness.customer(name).booked(&show, &[seat]).await);
    }
    let session = |place: usize| &bookings[place]["checkout"]["sessionId"];
    for paid in [
        json!({ "session": session(0) }),
        json!({ "session": session(2), "card": SEPA }),
        json!({ "session": session(3), "amount": 1_100 }),
    ] {
        harness.knob("pay", paid).await;
    }
    harness.simulator.settled().await;
    show
}

const BOOKED: &str = "confirmed, pending, processing, review";
const ENDED: &str = "cancelled, cancelled, cancelled, cancelled";
const BACK: &str = "policy succeeded 1200, admin succeeded 1100";

async fn job(harness: &TestApp) -> Job {
    let id = harness
        .sql("select id from runs order by id desc limit 1")
        .await;
    Job::CancelShow {
        run_id: id.parse().unwrap(),
    }
}

/// The bank of the delayed payment says no, so that nobody waits for it any more.
async fn decline(harness: &TestApp) {
    let session = "select stripe_session_id from checkout_attempts where status = 'processing'";
    let session = harness.sql(session).await;
    let declined = json!({ "session": session, "outcome": "failed" });
    harness.knob("settle", declined).await;
    harness.simulator.settled().await;
    harness.advance(TimeDelta::hours(6)).await;
    harness.run_jobs().await;
}

async fn has_ended_well(harness: &TestApp, path: &str) {
    decline(harness).await;
    let end = over(harness, path).await;

    assert_eq!(
        (&end["total"], &end["done"]),
        (&json!(4), &json!(4)),
        "{end}"
    );
    assert_eq!(harness.sql(STAND).await, ENDED);
    assert_eq!(harness.sql(REFUNDS).await, BACK);
    assert_eq!(harness.all_at_stripe("refunds").await.len(), 2);
    let twice = "select count(*) from (
                   select booking_id, kind from booking_events
                   where kind in ('showCancelled', 'cancellationRequested', 'cancelled')
                   group by booking_id, kind having count(*) > 1
                 ) as twice";
    assert_eq!(harness.sql(twice).await, "0");
    harness.reconcile().await;
}

/// A process dies over the run wherever it waits for anything, and the job is done again.
#[tokio::test]
async fn a_run_that_is_killed_anywhere_goes_on_where_it_was() {
    let harness = TestApp::new().await;
    let show = booked(&harness).await;
    assert_eq!(harness.sql(STAND).await, BOOKED);
    let path = cancelled(&harness, &show).await;
    let job = job(&harness).await;

    let mut killed = 0;
    for polls in 1..POLLS_MAX {
        let done = cut_short(jobs::perform(&harness.app, &job), polls).await;
        match done {
            None => killed += 1,
            Some(done) => {
                done.unwrap();
                break;
            }
        }
    }
    // What the killed ones had taken on lasts for so long.
    harness.advance(TimeDelta::seconds(2)).await;
    harness.run_jobs().await;

    assert!((20..POLLS_MAX).contains(&killed), "{killed}");
    has_ended_well(&harness, &path).await;
}

#[tokio::test]
async fn two_processes_that_go_on_with_one_run_do_everything_once() {
    let harness = TestApp::new().await;
    let show = booked(&harness).await;
    let path = cancelled(&harness, &show).await;
    let (job, other) = (job(&harness).await, harness.second_process());

    for _ in 0..3 {
        let (one, two) = tokio::join!(
            jobs::perform(&harness.app, &job),
            jobs::perform(&other, &job)
        );
        one.unwrap();
        two.unwrap();
        harness.run_jobs().await;
        harness.advance(TimeDelta::seconds(2)).await;
    }

    has_ended_well(&harness, &path).await;
}

#[tokio::test]
async fn a_run_whose_job_is_lost_or_buried_is_gone_on_with() {
    for lost in [
        "delete from jobs",
        "update jobs set attempts = max_attempts",
    ] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let booking = harness.customer("dana").booked(&show, &["A2"]).await;
        harness.pay(&booking).await;
        let path = cancelled(&harness, &show).await;
        harness.db().execute(lost).await.unwrap();

        harness.advance(TimeDelta::minutes(2)).await;
        jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
        let early = harness
            .sql("select count(*) from jobs where state = 'queued'")
            .await;
        harness.advance(TimeDelta::seconds(1)).await;
        jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
        let kind = "select string_agg(kind, ', ') from jobs where state = 'queued'";
        let found = harness.sql(kind).await;
        harness.run_jobs().await;

        assert_eq!(
            (early.as_str(), found.as_str()),
            ("0", "cancelShow"),
            "{lost}"
        );
        assert_eq!(over(&harness, &path).await["done"], 1);
        assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn while_stripe_is_away_nothing_is_free_and_the_others_go_on() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let pending = harness.customer("dana").booked(&show, &["A2"]).await;
    let paid = harness.customer("emil").booked(&show, &["A3"]).await;
    harness.pay(&paid).await;
    let down = json!({
        "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": 503,
        "should_retry": false, "times": 5,
    });
    harness.knob("faults", down).await;

    let path = cancelled(&harness, &show).await;
    harness.run_jobs().await;
    let waiting = harness.customer("dana").booking(&pending).await;
    let end = over(&harness, &path).await;

    assert_eq!(waiting["status"], "pending");
    assert_eq!(end["done"], 2, "{end}");
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
    harness.reconcile().await;
}

/// As when Stripe is slow: what buyers wait for must not stand behind a whole show.
#[tokio::test]
async fn while_many_jobs_wait_a_run_adds_none_but_goes_on_with_what_is_under_way() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    harness.pay(&booking).await;
    let path = cancelled(&harness, &show).await;
    let run_id = job(&harness).await;
    let others = (0..20).map(|number| {
        let event_id = format!("evt_{number}");
        Job::SettleEvent { event_id }.at(harness.now())
    });
    let mut db = harness.app.acquire().await.unwrap();
    enqueue(&mut db, &others.collect::<Vec<_>>()).await.unwrap();

    jobs::perform(&harness.app, &run_id).await.unwrap();
    let kept = harness.sql(STAND).await;
    let one = "delete from jobs where key = 'settle-evt_0'";
    harness.db().execute(one).await.unwrap();
    jobs::perform(&harness.app, &run_id).await.unwrap();

    assert_eq!(kept, "confirmed");
    assert_eq!(harness.sql(STAND).await, "cancelled");
    assert_eq!(over(&harness, &path).await["done"], 1);
    harness.reconcile().await;
}

/// By a fault of ours: here, the database refuses to end it, at once or when it is committed.
#[tokio::test]
async fn a_booking_that_cannot_be_ended_holds_up_no_other_and_is_tried_again() {
    let at_once = (
        "alter table bookings add constraint stuck
         check (id <> 'BOOKING' or status <> 'cancelled')",
        "alter table bookings drop constraint stuck",
    );
    let at_commit = (
        "create function stick() returns trigger language plpgsql as $$
         begin raise exception 'stuck' using errcode = 'check_violation'; end $$;
         create constraint trigger stuck after update on bookings
         deferrable initially deferred for each row
         when (new.id = 'BOOKING' and new.status = 'cancelled') execute function stick()",
        "drop trigger stuck on bookings",
    );
    for (refuse, relent) in [at_once, at_commit] {
        is_tried_again(refuse, relent).await;
    }
}

async fn is_tried_again(refuse: &str, relent: &'static str) {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let stuck = harness.customer("dana").booked(&show, &["A2"]).await;
    let other = harness.customer("emil").booked(&show, &["A3"]).await;
    harness.pay(&stuck).await;
    harness.pay(&other).await;
    let refuse = refuse.replace("BOOKING", stuck["id"].as_str().unwrap());
    harness
        .db()
        .execute(sqlx::AssertSqlSafe(refuse))
        .await
        .unwrap();

    let path = cancelled(&harness, &show).await;
    let first = over(&harness, &path).await;
    harness.db().execute(relent).await.unwrap();
    super::cancel(&harness.admin(), &show, "once more").await;
    let last = over(&harness, &path).await;

    assert_eq!((&first["done"], &first["failed"]), (&json!(1), &json!(1)));
    let sentence = "It could not be cancelled by a fault of ours; the log says which.";
    let failure = json!({ "bookingId": stuck["id"], "error": sentence });
    assert_eq!(first["failures"], json!([failure]));
    assert_eq!(last["done"], 2, "{last}");
    let back = "policy succeeded 1200, policy succeeded 1200";
    assert_eq!(harness.sql(REFUNDS).await, back);
    harness.reconcile().await;
}

/// Whoever had seen the show on sale before it was cancelled may still be about to book.
#[tokio::test]
async fn a_booking_that_was_being_made_is_ended_too() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    dana.get("/api/bookings").await;
    // Somebody else has the seat in a transaction that does not commit: Dana waits for it.
    let mut rival = harness.db().begin().await.unwrap();
    let claimed = format!(
        "insert into seat_claims (show_id, label, booking_id)
         values ('{show}', 'A2', gen_random_uuid())"
    );
    rival
        .execute("set local session_replication_role = replica")
        .await
        .unwrap();
    rival.execute(sqlx::AssertSqlSafe(claimed)).await.unwrap();
    let cancel_meanwhile = async {
        waits(&harness).await;
        let path = cancelled(&harness, &show).await;
        harness.run_jobs().await;
        let empty = run(&harness, &path).await;
        rival.rollback().await.unwrap();
        (path, empty)
    };

    let (booked, (path, empty)) = tokio::join!(dana.book(&show, &["A2"]), cancel_meanwhile);
    let end = over(&harness, &path).await;

    assert_eq!(booked.status, 201, "{booked:?}");
    assert_eq!(
        (&empty["state"], &empty["total"]),
        (&json!("running"), &json!(0))
    );
    assert_eq!(
        (&end["total"], &end["done"]),
        (&json!(1), &json!(1)),
        "{end}"
    );
    assert_eq!(harness.sql(STAND).await, "cancelled");
    harness.reconcile().await;
}

/// Until somebody waits for a lock.
async fn waits(harness: &TestApp) {
    for _ in 0..LOOKS_MAX {
        let waiting = harness
            .sql("select count(*) from pg_locks where not granted")
            .await;
        if waiting != "0" {
            return;
        }
        yield_now().await;
    }
    panic!("nobody waits");
}
