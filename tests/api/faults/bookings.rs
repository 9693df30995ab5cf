//! What is done for a booking, until it is paid or has ended.

use chrono::TimeDelta;
use holdfast::domain::job;
use serde_json::{Value, json};

use super::scene::{Flow, Outcome, SEAT, Scene};
use crate::batcher::at_once;

const CREATE: &str = "POST /v1/checkout/sessions$";
const HOLD: TimeDelta = TimeDelta::minutes(10);
/// A hold that has lost its job is overdue by then.
const OVERDUE: TimeDelta = TimeDelta::minutes(13);

/// A booking without a key. Who hears nothing of it asks again, and finds his seat taken by
/// himself.
pub(super) struct Book;

impl Flow for Book {
    async fn begin(_: &Scene<'_>) -> Self {
        Self
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene.post("/api/bookings", &scene.wish(), None).await
    }

    async fn again(&self, scene: &Scene<'_>) -> Outcome {
        let told = self.run(scene).await;
        if told.is_problem(409, "seat_unavailable") {
            return scene.act(&scene.own_booking().await, "checkout").await;
        }
        told
    }

    fn is_done(&self, told: &Outcome) -> bool {
        matches!(told, Outcome::Answer(answer) if answer.status < 300 && answer.body["checkout"]["url"].is_string())
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.can_be_paid().await;
    }
}

/// A booking that shares its transaction with another buyer's.
pub(super) struct BookTogether;

impl Flow for BookTogether {
    async fn begin(_: &Scene<'_>) -> Self {
        Self
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        let mut other = scene.wish();
        other["seats"] = json!(["A3"]);
        let batcher = &scene.harness.app.batchers.holds;
        let wishes = [(scene.buyer(), scene.wish()), (scene.rival(), other)];
        let told = at_once(
            batcher,
            wishes
                .iter()
                .map(|(buyer, wish)| scene.post_as(buyer, "/api/bookings", wish, None)),
        )
        .await;
        assert!(
            told.iter()
                .all(|told| self.is_done(told) || told.is_clean()),
            "{told:?}"
        );
        told.into_iter().next().unwrap()
    }

    async fn again(&self, scene: &Scene<'_>) -> Outcome {
        Book.again(scene).await
    }

    fn is_done(&self, told: &Outcome) -> bool {
        Book.is_done(told)
    }

    async fn check(&self, scene: &Scene<'_>) {
        let booking = scene.own_booking().await;
        scene.harness.pay(&booking).await;
        assert_eq!(scene.buyer().booking(&booking).await["status"], "confirmed");
        let claims = "select count(*) = (select count(*) from seat_claims where show_id = $show)
                      from bookings where show_id = $show";
        scene.finds(claims, "true").await;
    }
}

/// A booking under a key: whoever repeats it gets the same booking.
pub(super) struct BookUnderKey;

impl Flow for BookUnderKey {
    async fn begin(_: &Scene<'_>) -> Self {
        Self
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene
            .post("/api/bookings", &scene.wish(), Some("one-wish"))
            .await
    }

    fn is_done(&self, told: &Outcome) -> bool {
        Book.is_done(told)
    }

    async fn check(&self, scene: &Scene<'_>) {
        let Outcome::Answer(again) = self.run(scene).await else {
            panic!("no answer")
        };
        assert_eq!(again.headers["idempotent-replayed"], "true", "{again:?}");
        assert_eq!(again.body, scene.own_booking().await);
        scene.can_be_paid().await;
    }
}

/// Stripe says that it will never make the session.
pub(super) struct BookInVain;

impl Flow for BookInVain {
    async fn begin(scene: &Scene<'_>) -> Self {
        // There was no money in the cases before.
        scene.harness.knob("reset", json!({})).await;
        scene
            .harness
            .knob("clock", json!({ "now": scene.harness.now() }))
            .await;
        scene
            .plant(
                CREATE,
                json!({ "kind": "status", "status": 400, "times": 99 }),
            )
            .await;
        Self
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene.post("/api/bookings", &scene.wish(), None).await
    }

    fn is_done(&self, told: &Outcome) -> bool {
        told.is_problem(502, "payment_provider_error")
    }

    async fn check(&self, scene: &Scene<'_>) {
        let failed = "select string_agg(distinct status::text, ',') || ' ' || (select count(*) from seat_claims where show_id = $show)
                      from bookings where show_id = $show";
        scene.comes_to(failed, "failed 0").await;
    }
}

/// Stripe has stored a failure under the key of the attempt.
pub(super) struct BookAfterStoredFailure;

impl Flow for BookAfterStoredFailure {
    async fn begin(scene: &Scene<'_>) -> Self {
        scene
            .plant(
                CREATE,
                json!({ "kind": "status", "status": 500, "stored": true }),
            )
            .await;
        Self
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        Book.run(scene).await
    }

    async fn again(&self, scene: &Scene<'_>) -> Outcome {
        Book.again(scene).await
    }

    fn is_done(&self, told: &Outcome) -> bool {
        Book.is_done(told)
    }

    async fn check(&self, scene: &Scene<'_>) {
        let others =
            "select count(*) from checkout_attempts a join bookings b on b.id = a.booking_id
                      where show_id = $show and a.status not in ('open', 'failed')";
        scene.finds(others, "0").await;
        scene.can_be_paid().await;
    }
}

/// The buyer asks for the page that Stripe had not made.
pub(super) struct Reopen(Value);

impl Flow for Reopen {
    async fn begin(scene: &Scene<'_>) -> Self {
        Self(scene.unanswered().await)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene.act(&self.0, "checkout").await
    }

    fn is_done(&self, told: &Outcome) -> bool {
        Book.is_done(told)
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.can_be_paid().await;
    }
}

/// The background asks for it.
pub(super) struct FinishCheckout(Value);

impl Flow for FinishCheckout {
    async fn begin(scene: &Scene<'_>) -> Self {
        Self(scene.unanswered().await)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene
            .perform(&job::Job::FinishCheckout {
                booking_id: id_of(&self.0),
            })
            .await
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.can_be_paid().await;
    }
}

/// The background looks for what has lost its jobs.
pub(super) struct Sweep;

impl Flow for Sweep {
    async fn begin(scene: &Scene<'_>) -> Self {
        scene.unanswered().await;
        sqlx::query("delete from jobs")
            .execute(scene.harness.db())
            .await
            .unwrap();
        scene.harness.advance(OVERDUE).await;
        Self
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene.perform(&job::Job::Sweep).await
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.harness.run_jobs().await;
        // Stripe makes no session any more that ends so soon.
        scene.stand("failed").await;
        scene.is_free().await;
    }
}

/// The buyer calls his booking off.
pub(super) struct CallOff(Value);

impl Flow for CallOff {
    async fn begin(scene: &Scene<'_>) -> Self {
        Self(scene.booked(SEAT).await)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene.act(&self.0, "cancel").await
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.stand("cancelled").await;
        is_closed(scene, &self.0).await;
        scene.is_free().await;
    }
}

/// Nobody has paid in time.
pub(super) struct EndHold(Value);

impl Flow for EndHold {
    async fn begin(scene: &Scene<'_>) -> Self {
        let booking = scene.booked(SEAT).await;
        scene.harness.advance(HOLD).await;
        Self(booking)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene
            .perform(&job::Job::EndHold {
                booking_id: id_of(&self.0),
            })
            .await
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.stand("expired").await;
        is_closed(scene, &self.0).await;
        scene.is_free().await;
    }
}

/// Nobody has paid in time, and nobody knows whether he could have.
pub(super) struct EndUnansweredHold(Value);

impl Flow for EndUnansweredHold {
    async fn begin(scene: &Scene<'_>) -> Self {
        let booking = scene.unanswered().await;
        scene.harness.advance(HOLD).await;
        Self(booking)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene
            .perform(&job::Job::EndHold {
                booking_id: id_of(&self.0),
            })
            .await
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.stand("expired").await;
        let open = "select count(*) from checkout_attempts a join bookings b on b.id = a.booking_id
                    where show_id = $show and a.status in ('creating', 'open')";
        scene.finds(open, "0").await;
        scene.is_free().await;
    }
}

pub(super) fn id_of(booking: &Value) -> holdfast::domain::ids::BookingId {
    booking["id"].as_str().unwrap().parse().unwrap()
}

/// The page of the booking is closed at Stripe.
async fn is_closed(scene: &Scene<'_>, booking: &Value) {
    let session = booking["checkout"]["sessionId"].as_str().unwrap();
    let session = scene
        .harness
        .ask_stripe(&format!("/v1/checkout/sessions/{session}"))
        .await;
    assert_eq!(session["status"], "expired", "the page of {SEAT}");
}
