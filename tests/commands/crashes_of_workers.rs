//! A worker is killed with a job in its hands. Others take it over when the dead has not been heard
//! of for a while: about 45 seconds. So all the deaths are died at once.

use std::time::Duration;

use serde_json::json;

use super::crash_scenario::{BOOKING, CLAIMS, SESSION, SESSIONS, Scenario};
use super::harness::{PATIENCE, Server};
use super::world::Buyer;

const TAKEN_OVER: Duration = Duration::from_secs(75);
const SHORT_HOLD: (&str, &str) = ("HOLD_SECONDS", "1");
const REFUNDS: &str = "/v1/refunds";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_jobs_of_dead_workers_are_finished_and_nothing_is_done_twice() {
    tokio::join!(
        fence(false),
        fence(true),
        fence_of_a_booking_that_is_paid_meanwhile(),
        refund(false),
        refund(true),
        refund_that_was_answered(),
        refund_of_one_who_only_seemed_dead(),
        request_that_nobody_repeats(),
        run_of_a_cancelled_show(),
        run_whose_refund_was_being_made(),
    );
}

async fn fence(executed: bool) {
    let scenario = Scenario::new().await;
    let (harness, first) = (&scenario.harness, scenario.harness.serve(&[SHORT_HOLD]));
    harness
        .fault(&format!(
            r#"{{ "route": "POST {SESSIONS}/*/expire", "kind": "hang", "after": {executed} }}"#
        ))
        .await;
    scenario.booked(&first).await;
    harness.until_asked("POST", "/expire").await;
    harness
        .until_at_stripe(&format!("{SESSIONS}?status=expired"), usize::from(executed))
        .await;

    first.kill();
    harness.finds(CLAIMS, "1").await;
    let second = harness.serve(&[]);

    harness.until(BOOKING, "expired", TAKEN_OVER).await;
    scenario.seat_is_free(&second).await;
}

async fn fence_of_a_booking_that_is_paid_meanwhile() {
    let scenario = Scenario::new().await;
    let (harness, first) = (&scenario.harness, scenario.harness.serve(&[SHORT_HOLD]));
    harness
        .fault(&format!(
            r#"{{ "route": "POST {SESSIONS}/*/expire", "kind": "hang" }}"#
        ))
        .await;
    let booking = scenario.booked(&first).await;
    harness.until_asked("POST", "/expire").await;

    first.kill();
    let event = harness
        .pay(booking["checkout"]["sessionId"].as_str().unwrap())
        .await;
    let second = harness.serve(&[]);

    harness.until(BOOKING, "confirmed", TAKEN_OVER).await;
    scenario.is_paid().await;
    assert_eq!(
        second.deliver(&event).await.unwrap().1["outcome"],
        "processed"
    );
    scenario.is_paid().await;
}

async fn refund(executed: bool) {
    let scenario = Scenario::new().await;
    let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
    harness
        .fault(&format!(
            r#"{{ "route": "POST {REFUNDS}", "kind": "hang", "after": {executed} }}"#
        ))
        .await;
    scenario.pays_too_late(&first).await;
    harness.until_asked("POST", REFUNDS).await;
    harness
        .until_at_stripe(REFUNDS, usize::from(executed))
        .await;

    first.kill();
    harness
        .finds(
            "select string_agg(status::text, ',') from refunds",
            "requested",
        )
        .await;
    let _second = harness.serve(&[]);

    scenario.is_refunded().await;
}

/// What writes Stripe's answer down dies with the process; asking again under the same key gives
/// the same refund.
async fn refund_that_was_answered() {
    let scenario = Scenario::new().await;
    let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
    harness
        .fault(&format!(
            r#"{{ "route": "POST {REFUNDS}", "kind": "delay", "seconds": 3, "after": true }}"#
        ))
        .await;
    scenario.pays_too_late(&first).await;
    harness.until_at_stripe(REFUNDS, 1).await;

    let lock = harness.lock("select from refunds for update").await;
    scenario
        .kill_waiting(first, lock, "%for update of refunds%")
        .await;
    harness
        .finds(
            "select string_agg(status::text, ',') from refunds",
            "requested",
        )
        .await;
    let _second = harness.serve(&[]);

    scenario.is_refunded().await;
    assert_eq!(harness.asked("POST", REFUNDS).await, 2);
}

/// It was stopped and not killed: it goes on when another has done its job.
async fn refund_of_one_who_only_seemed_dead() {
    let scenario = Scenario::new().await;
    let (harness, mut first) = (&scenario.harness, scenario.harness.serve(&[]));
    harness
        .fault(&format!(
            r#"{{ "route": "POST {REFUNDS}", "kind": "delay", "seconds": 1 }}"#
        ))
        .await;
    scenario.pays_too_late(&first).await;
    harness.until_asked("POST", REFUNDS).await;

    first.signal("STOP");
    let _second = harness.serve(&[]);
    scenario.is_refunded().await;
    first.signal("CONT");
    first.signal("TERM");

    assert_eq!(first.ended(PATIENCE).code(), Some(0));
    scenario.is_refunded().await;
}

/// Nobody comes back, and the hold goes on: the attempt is finished by the schedule of every
/// minute.
async fn request_that_nobody_repeats() {
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
    harness
        .sql("update checkout_attempts set updated_at = updated_at - interval '1 minute'")
        .await;
    let second = harness.serve(&[]);

    harness
        .until("select status from checkout_attempts", "open", TAKEN_OVER)
        .await;
    assert_eq!(harness.at_stripe(SESSIONS).await, 1);
    scenario.pays(&second, &scenario.text(SESSION).await).await;
}

/// It dies while it ends a booking.
async fn run_of_a_cancelled_show() {
    let scenario = Scenario::new().await;
    let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
    scenario.booked(&first).await;
    scenario.pays(&first, &scenario.text(SESSION).await).await;

    let lock = harness.lock("select from bookings for update").await;
    scenario.cancels_show(&first).await;
    let end = "%due_minor, total_minor%for update%";
    scenario.kill_waiting(first, lock, end).await;
    harness.finds(BOOKING, "confirmed").await;
    let _second = harness.serve(&[]);

    scenario.is_called_off().await;
}

async fn run_whose_refund_was_being_made() {
    let scenario = Scenario::new().await;
    let (harness, first) = (&scenario.harness, scenario.harness.serve(&[]));
    scenario.booked(&first).await;
    scenario.pays(&first, &scenario.text(SESSION).await).await;
    harness
        .fault(&format!(
            r#"{{ "route": "POST {REFUNDS}", "kind": "hang", "after": true }}"#
        ))
        .await;

    scenario.cancels_show(&first).await;
    harness.until_at_stripe(REFUNDS, 1).await;
    first.kill();
    harness.finds(BOOKING, "cancelled").await;
    let _second = harness.serve(&[]);

    scenario.is_called_off().await;
}

impl Scenario {
    async fn cancels_show(&self, server: &Server) {
        let show = self.text("select show_id::text from bookings").await;
        let path = format!("/api/admin/shows/{show}/cancel");
        let body = json!({ "reason": "the film has torn" });
        let admin = Buyer::admin(&self.harness);
        let (status, run) = admin.post(server, &path, &body, None).await.unwrap();
        assert_eq!((status, &run["total"]), (202, &json!(1)), "{run}");
    }

    async fn is_called_off(&self) {
        let harness = &self.harness;
        let run = "select string_agg(state, ',') from run_bookings";
        harness.until(run, "done", TAKEN_OVER).await;
        harness.finds(BOOKING, "cancelled").await;
        harness.finds(CLAIMS, "0").await;
        let refunds = "select string_agg(source || ' ' || status, ',') from refunds";
        harness.finds(refunds, "policy succeeded").await;
        assert_eq!(harness.at_stripe(REFUNDS).await, 1);
        harness.reconcile().await;
    }

    /// Money comes that is not owed: the sale has ended, and the booking too, before the
    /// event of the payment comes.
    async fn pays_too_late(&self, server: &Server) {
        let booking = self.booked(server).await;
        let session = booking["checkout"]["sessionId"].as_str().unwrap();
        let completed = self.harness.pay(session).await;
        self.harness.sql("update shows set status = 'closed'").await;
        let mut expired = completed.clone();
        expired["id"] = json!("evt_expired");
        expired["type"] = json!("checkout.session.expired");
        expired["data"]["object"]["status"] = json!("expired");
        expired["data"]["object"]["payment_status"] = json!("unpaid");
        for event in [expired, completed] {
            let (status, receipt) = server.deliver(&event).await.unwrap();
            assert_eq!(
                (status, &receipt["outcome"]),
                (200, &json!("processed")),
                "{receipt}"
            );
        }
    }

    async fn is_refunded(&self) {
        let harness = &self.harness;
        let job = "select count(*) from jobs where key like 'refund%'";
        harness.until(job, "0", TAKEN_OVER).await;
        harness
            .until(
                "select string_agg(status::text, ',') from refunds",
                "succeeded",
                PATIENCE,
            )
            .await;
        harness
            .finds(
                "select count(*) from ledger_transfers where kind = 'refund'",
                "1",
            )
            .await;
        harness
            .finds(
                "select count(*) from payments where disposition = 'surplus'",
                "1",
            )
            .await;
        harness.finds(CLAIMS, "0").await;
        assert_eq!(harness.at_stripe(REFUNDS).await, 1);
        harness.reconcile().await;
    }
}
