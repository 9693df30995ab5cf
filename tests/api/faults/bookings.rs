//! What is done for a booking, until it is paid or has ended.

use chrono::TimeDelta;
use holdfast::domain::job;
use serde_json::{Value, json};

use super::scenario::{Flow, Outcome, SEAT, Scenario};
use crate::batcher::at_once;

const CREATE: &str = "POST /v1/checkout/sessions$";
const HOLD: TimeDelta = TimeDelta::minutes(10);
/// A hold that has lost its job is overdue by then.
const OVERDUE: TimeDelta = TimeDelta::minutes(13);

/// A booking without a key. Who hears nothing of it asks again, and finds the seat taken by
/// themselves.
pub(super) struct Book;

impl Flow for Book {
    async fn begin(_: &Scenario<'_>) -> Self {
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario
            .post("/api/bookings", &scenario.request(), None)
            .await
    }

    async fn again(&self, scenario: &Scenario<'_>) -> Outcome {
        let outcome = self.run(scenario).await;
        if outcome.is_problem(409, "seat_unavailable") {
            return scenario
                .post_about(&scenario.own_booking().await, "checkout")
                .await;
        }
        outcome
    }

    fn is_done(&self, outcome: &Outcome) -> bool {
        let Outcome::Answer(answer) = outcome else {
            return false;
        };
        answer.status < 300 && answer.body["checkout"]["url"].is_string()
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.can_be_paid().await;
    }
}

/// A booking that shares its transaction with another buyer's.
pub(super) struct BookTogether;

impl Flow for BookTogether {
    async fn begin(_: &Scenario<'_>) -> Self {
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        let mut other = scenario.request();
        other["seats"] = json!(["A3"]);
        let batcher = &scenario.harness.app.batchers.holds;
        let requests = [
            (scenario.buyer(), scenario.request()),
            (scenario.rival(), other),
        ];
        let outcomes = at_once(
            batcher,
            requests
                .iter()
                .map(|(buyer, request)| scenario.post_as(buyer, "/api/bookings", request, None)),
        )
        .await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| self.is_done(outcome) || outcome.is_clean()),
            "{outcomes:?}"
        );
        outcomes.into_iter().next().unwrap()
    }

    async fn again(&self, scenario: &Scenario<'_>) -> Outcome {
        Book.again(scenario).await
    }

    fn is_done(&self, outcome: &Outcome) -> bool {
        Book.is_done(outcome)
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        let booking = scenario.own_booking().await;
        scenario.harness.pay(&booking).await;
        assert_eq!(
            scenario.buyer().booking(&booking).await["status"],
            "confirmed"
        );
        let claims = "select count(*) = (select count(*) from seat_claims where show_id = $show)
                      from bookings where show_id = $show";
        scenario.finds(claims, "true").await;
    }
}

/// A booking under a key: whoever repeats it gets the same booking.
pub(super) struct BookUnderKey;

impl Flow for BookUnderKey {
    async fn begin(_: &Scenario<'_>) -> Self {
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario
            .post("/api/bookings", &scenario.request(), Some("one-request"))
            .await
    }

    fn is_done(&self, outcome: &Outcome) -> bool {
        Book.is_done(outcome)
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        let Outcome::Answer(again) = self.run(scenario).await else {
            panic!("no answer")
        };
        assert_eq!(again.headers["idempotent-replayed"], "true", "{again:?}");
        assert_eq!(again.body, scenario.own_booking().await);
        scenario.can_be_paid().await;
    }
}

/// Stripe says that it will never make the session.
pub(super) struct BookInVain;

impl Flow for BookInVain {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        // There was no money in the cases before.
        scenario.harness.knob("reset", json!({})).await;
        scenario
            .harness
            .knob("clock", json!({ "now": scenario.harness.now() }))
            .await;
        scenario
            .inject(
                CREATE,
                json!({ "kind": "status", "status": 400, "times": 99 }),
            )
            .await;
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario
            .post("/api/bookings", &scenario.request(), None)
            .await
    }

    fn is_done(&self, outcome: &Outcome) -> bool {
        outcome.is_problem(502, "payment_provider_error")
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        let failed = "select string_agg(distinct status::text, ',') || ' '
                        || (select count(*) from seat_claims where show_id = $show)
                      from bookings where show_id = $show";
        scenario.comes_to(failed, "failed 0").await;
    }
}

/// Stripe has stored a failure under the key of the attempt.
pub(super) struct BookAfterStoredFailure;

impl Flow for BookAfterStoredFailure {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        scenario
            .inject(
                CREATE,
                json!({ "kind": "status", "status": 500, "stored": true }),
            )
            .await;
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        Book.run(scenario).await
    }

    async fn again(&self, scenario: &Scenario<'_>) -> Outcome {
        Book.again(scenario).await
    }

    fn is_done(&self, outcome: &Outcome) -> bool {
        Book.is_done(outcome)
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        let others =
            "select count(*) from checkout_attempts a join bookings b on b.id = a.booking_id
                      where show_id = $show and a.status not in ('open', 'failed')";
        scenario.finds(others, "0").await;
        scenario.can_be_paid().await;
    }
}

/// The buyer asks for the page that Stripe had not made.
pub(super) struct Reopen(Value);

impl Flow for Reopen {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        Self(scenario.unanswered().await)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.post_about(&self.0, "checkout").await
    }

    fn is_done(&self, outcome: &Outcome) -> bool {
        Book.is_done(outcome)
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.can_be_paid().await;
    }
}

/// The background asks for it.
pub(super) struct FinishCheckout(Value);

impl Flow for FinishCheckout {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        Self(scenario.unanswered().await)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario
            .perform(&job::Job::FinishCheckout {
                booking_id: id_of(&self.0),
            })
            .await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.can_be_paid().await;
    }
}

/// The background looks for what has lost its jobs.
pub(super) struct Sweep;

impl Flow for Sweep {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        scenario.unanswered().await;
        sqlx::query("delete from jobs")
            .execute(scenario.harness.db())
            .await
            .unwrap();
        scenario.harness.advance(OVERDUE).await;
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.perform(&job::Job::Sweep).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.harness.run_jobs().await;
        // Stripe makes no session any more that ends so soon; or the hold is ended first.
        let ended = "select bool_and(status in ('failed', 'expired'))::text
                     from bookings where show_id = $show";
        scenario.finds(ended, "true").await;
        scenario.is_free().await;
    }
}

/// The buyer cancels their booking.
pub(super) struct CallOff(Value);

impl Flow for CallOff {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        Self(scenario.booked(SEAT).await)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.post_about(&self.0, "cancel").await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.stand("cancelled").await;
        is_closed(scenario, &self.0).await;
        scenario.is_free().await;
    }
}

/// Nobody has paid in time.
pub(super) struct EndHold(Value);

impl Flow for EndHold {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let booking = scenario.booked(SEAT).await;
        scenario.harness.advance(HOLD).await;
        Self(booking)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario
            .perform(&job::Job::EndHold {
                booking_id: id_of(&self.0),
            })
            .await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.stand("expired").await;
        is_closed(scenario, &self.0).await;
        scenario.is_free().await;
    }
}

/// Nobody has paid in time, and nobody knows whether they could have.
pub(super) struct EndUnansweredHold(Value);

impl Flow for EndUnansweredHold {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let booking = scenario.unanswered().await;
        scenario.harness.advance(HOLD).await;
        Self(booking)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario
            .perform(&job::Job::EndHold {
                booking_id: id_of(&self.0),
            })
            .await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.stand("expired").await;
        let open = "select count(*) from checkout_attempts a join bookings b on b.id = a.booking_id
                    where show_id = $show and a.status in ('creating', 'open')";
        scenario.finds(open, "0").await;
        scenario.is_free().await;
    }
}

pub(super) fn id_of(booking: &Value) -> holdfast::domain::ids::BookingId {
    booking["id"].as_str().unwrap().parse().unwrap()
}

/// The page of the booking is closed at Stripe.
async fn is_closed(scenario: &Scenario<'_>, booking: &Value) {
    let session = booking["checkout"]["sessionId"].as_str().unwrap();
    let session = scenario
        .harness
        .ask_stripe(&format!("/v1/checkout/sessions/{session}"))
        .await;
    assert_eq!(session["status"], "expired", "the page of {SEAT}");
}
