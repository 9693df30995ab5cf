//! What is done when money comes, and when it goes back.

use std::collections::HashMap;

use chrono::TimeDelta;
use holdfast::domain::job;
use serde_json::{Value, json};

use super::bookings::id_of;
use super::scene::{Flow, Outcome, SEAT, Scene};
use crate::batcher::at_once;

const HOLD: TimeDelta = TimeDelta::minutes(10);
const COMPLETED: &str = "checkout.session.completed";

/// A booking that is paid, and what nobody has been told of it.
struct Unheard {
    booking: Value,
    events: HashMap<String, String>,
}

impl Unheard {
    async fn of(scene: &Scene<'_>, seat: &str) -> Self {
        let booking = scene.booked(seat).await;
        let events = scene
            .harness
            .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
            .await;
        Self { booking, events }
    }

    /// Stripe has said before that the session had ended.
    async fn late(scene: &Scene<'_>) -> Self {
        let unheard = Self::of(scene, SEAT).await;
        scene.harness.hear_of_expiry(&unheard.booking).await;
        unheard
    }

    fn completed(&self) -> &str {
        &self.events[COMPLETED]
    }

    /// Whatever Stripe tells afterwards changes nothing.
    async fn tell_all(&self, scene: &Scene<'_>) {
        for body in self.events.values() {
            assert_eq!(scene.harness.deliver(body).await.status, 200);
        }
    }
}

/// Stripe tells of the payment.
pub(super) struct Pay(Unheard);

impl Flow for Pay {
    async fn begin(scene: &Scene<'_>) -> Self {
        Self(Unheard::of(scene, SEAT).await)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene.deliver(self.0.completed()).await
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.is_sold().await;
        self.0.tell_all(scene).await;
        scene.is_sold().await;
    }
}

/// Stripe tells of it once more.
pub(super) struct PayAgain(Unheard);

impl Flow for PayAgain {
    async fn begin(scene: &Scene<'_>) -> Self {
        let unheard = Unheard::of(scene, SEAT).await;
        unheard.tell_all(scene).await;
        Self(unheard)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene.deliver(self.0.completed()).await
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.is_sold().await;
    }
}

/// Stripe tells of two payments at once, which are settled in one transaction.
pub(super) struct PayTogether(Vec<Unheard>);

impl Flow for PayTogether {
    async fn begin(scene: &Scene<'_>) -> Self {
        let first = Unheard::of(scene, SEAT).await;
        Self(vec![first, Unheard::of(scene, "A3").await])
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        let deliveries = self
            .0
            .iter()
            .map(|unheard| scene.deliver(unheard.completed()));
        let mut told = at_once(&scene.harness.app.batchers.events, deliveries).await;
        let unsure = told.iter().position(|told| !told.is_success());
        told.swap_remove(unsure.unwrap_or_default())
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.stand("confirmed,confirmed").await;
        scene.claims("2").await;
        scene.payments("applied,applied").await;
    }
}

/// The background settles an event that came before its attempt.
pub(super) struct SettleDeferred(Unheard);

impl Flow for SettleDeferred {
    async fn begin(scene: &Scene<'_>) -> Self {
        let unheard = Unheard::of(scene, SEAT).await;
        // As if the event had come before our row: the attempt is put aside, and back.
        let booking = unheard.booking["id"].as_str().unwrap();
        let aside = format!(
            "create table if not exists aside (like checkout_attempts);
             with gone as (delete from checkout_attempts where booking_id = '{booking}' returning *)
             insert into aside select * from gone"
        );
        let back = "with back as (delete from aside returning *) insert into checkout_attempts select * from back";
        sqlx::raw_sql(sqlx::AssertSqlSafe(aside))
            .execute(scene.harness.db())
            .await
            .unwrap();
        assert_eq!(
            scene.harness.deliver(unheard.completed()).await.body["outcome"],
            "deferred"
        );
        sqlx::query(back).execute(scene.harness.db()).await.unwrap();
        Self(unheard)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        let event: Value = serde_json::from_str(self.0.completed()).unwrap();
        scene
            .perform(&job::Job::SettleEvent {
                event_id: event["id"].as_str().unwrap().to_owned(),
            })
            .await
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.is_sold().await;
        self.0.tell_all(scene).await;
        scene.is_sold().await;
        scene
            .finds(
                "select count(*) from payment_events where status = 'deferred'",
                "0",
            )
            .await;
    }
}

/// The hold ends, and the fence finds that the buyer was faster.
pub(super) struct EndPaidHold(Unheard);

impl Flow for EndPaidHold {
    async fn begin(scene: &Scene<'_>) -> Self {
        let unheard = Unheard::of(scene, SEAT).await;
        scene.harness.advance(HOLD).await;
        Self(unheard)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene
            .perform(&job::Job::EndHold {
                booking_id: id_of(&self.0.booking),
            })
            .await
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.is_sold().await;
        self.0.tell_all(scene).await;
        scene.is_sold().await;
    }
}

/// The buyer has come back before Stripe has told of it.
pub(super) struct Verify(Unheard);

impl Flow for Verify {
    async fn begin(scene: &Scene<'_>) -> Self {
        Self(Unheard::of(scene, SEAT).await)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        let session = json!({ "sessionId": self.0.booking["checkout"]["sessionId"] });
        scene
            .post("/api/payments/verify?wait=0", &session, None)
            .await
    }

    fn is_done(&self, told: &Outcome) -> bool {
        matches!(told, Outcome::Answer(answer) if answer.status == 200 && answer.body["status"] == "confirmed")
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.is_sold().await;
        self.0.tell_all(scene).await;
        scene.is_sold().await;
    }
}

/// The payment of a booking that had ended, whose seats are still free.
pub(super) struct PayLate(Unheard);

impl Flow for PayLate {
    async fn begin(scene: &Scene<'_>) -> Self {
        Self(Unheard::late(scene).await)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene.deliver(self.0.completed()).await
    }

    async fn check(&self, scene: &Scene<'_>) {
        scene.is_sold().await;
        self.0.tell_all(scene).await;
        scene.is_sold().await;
    }
}

/// The payment of a booking that had ended, whose seats are somebody else's.
pub(super) struct PayTooLate(Unheard);

impl PayTooLate {
    async fn has_gone_back(&self, scene: &Scene<'_>) {
        scene.payments("surplus late_payment").await;
        self.0.tell_all(scene).await;
        // A refund that is asked for afresh comes a little later.
        scene.harness.advance(TimeDelta::seconds(31)).await;
        scene.harness.run_jobs().await;
        scene.stand("expired,pending").await;
        scene.claims("1").await;
        scene.payments("surplus late_payment").await;
        let refunds = "select string_agg(r.status::text, ',') from refunds r join bookings b on b.id = r.booking_id
                       where show_id = $show and r.status <> 'failed'";
        scene.finds(refunds, "succeeded").await;
        let event: Value = serde_json::from_str(self.0.completed()).unwrap();
        let intent = event["data"]["object"]["payment_intent"].as_str().unwrap();
        let refunds = scene
            .harness
            .ask_stripe(&format!("/v1/refunds?payment_intent={intent}"))
            .await;
        assert_eq!(refunds["data"].as_array().unwrap().len(), 1, "{refunds}");
    }
}

impl Flow for PayTooLate {
    async fn begin(scene: &Scene<'_>) -> Self {
        let unheard = Unheard::late(scene).await;
        scene.rival().booked(&scene.show, &[SEAT]).await;
        Self(unheard)
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene.deliver(self.0.completed()).await
    }

    async fn check(&self, scene: &Scene<'_>) {
        self.has_gone_back(scene).await;
    }
}

/// The background sends the money back.
pub(super) struct Refund(PayTooLate, job::Job);

impl Flow for Refund {
    async fn begin(scene: &Scene<'_>) -> Self {
        let late = PayTooLate::begin(scene).await;
        assert!(late.run(scene).await.is_success());
        let id = format!(
            "select id from refunds where booking_id = '{}'",
            id_of(&late.0.booking)
        );
        let refund_id = serde_json::from_value(json!(scene.harness.sql(&id).await)).unwrap();
        Self(late, job::Job::Refund { refund_id })
    }

    async fn run(&self, scene: &Scene<'_>) -> Outcome {
        scene.perform(&self.1).await
    }

    async fn check(&self, scene: &Scene<'_>) {
        self.0.has_gone_back(scene).await;
    }
}
