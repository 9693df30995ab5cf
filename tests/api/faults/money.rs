//! What is done when money comes, and when it goes back.

use std::collections::HashMap;

use chrono::TimeDelta;
use holdfast::domain::job;
use serde_json::{Value, json};

use super::bookings::id_of;
use super::scenario::{Flow, Outcome, SEAT, Scenario};
use crate::batcher::at_once;

const HOLD: TimeDelta = TimeDelta::minutes(10);
const COMPLETED: &str = "checkout.session.completed";

/// A booking that is paid, and what nobody has been told of it.
pub(super) struct Unheard {
    pub(super) booking: Value,
    pub(super) events: HashMap<String, String>,
}

impl Unheard {
    pub(super) async fn of(scenario: &Scenario<'_>, seat: &str) -> Self {
        Self::paid(scenario, scenario.booked(seat).await).await
    }

    async fn paid(scenario: &Scenario<'_>, booking: Value) -> Self {
        let events = scenario
            .harness
            .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
            .await;
        Self { booking, events }
    }

    /// Stripe has said before that the session had ended.
    async fn late(scenario: &Scenario<'_>) -> Self {
        let unheard = Self::of(scenario, SEAT).await;
        scenario.harness.hear_of_expiry(&unheard.booking).await;
        unheard
    }

    pub(super) fn completed(&self) -> &str {
        &self.events[COMPLETED]
    }

    /// Whatever events come afterwards change nothing.
    pub(super) async fn deliver_all(&self, scenario: &Scenario<'_>) {
        for body in self.events.values() {
            assert_eq!(scenario.harness.deliver(body).await.status, 200);
        }
    }
}

/// The event of the payment comes.
pub(super) struct Pay(Unheard);

impl Flow for Pay {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        Self(Unheard::of(scenario, SEAT).await)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.deliver(self.0.completed()).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.is_sold().await;
        self.0.deliver_all(scenario).await;
        scenario.is_sold().await;
    }
}

/// The event comes once more.
pub(super) struct PayAgain(Unheard);

impl Flow for PayAgain {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let unheard = Unheard::of(scenario, SEAT).await;
        unheard.deliver_all(scenario).await;
        Self(unheard)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.deliver(self.0.completed()).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.is_sold().await;
    }
}

/// The events of two payments come at once, and are settled in one transaction.
pub(super) struct PayTogether(Vec<Unheard>);

impl Flow for PayTogether {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let first = Unheard::of(scenario, SEAT).await;
        let another = scenario.rival();
        let another = another.booked(&scenario.show, &["A3"]).await;
        Self(vec![first, Unheard::paid(scenario, another).await])
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        let deliveries = self
            .0
            .iter()
            .map(|unheard| scenario.deliver(unheard.completed()));
        let mut outcomes = at_once(&scenario.harness.app.batchers.events, deliveries).await;
        let unsure = outcomes.iter().position(|outcome| !outcome.is_success());
        outcomes.swap_remove(unsure.unwrap_or_default())
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.stand("confirmed,confirmed").await;
        scenario.claims("2").await;
        scenario.payments("applied,applied").await;
    }
}

/// The background settles an event that came before its attempt.
pub(super) struct SettleDeferred(Unheard);

impl Flow for SettleDeferred {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let unheard = Unheard::of(scenario, SEAT).await;
        // As if the event had come before our row: the attempt is put aside, and back.
        let booking = unheard.booking["id"].as_str().unwrap();
        let aside = format!(
            "create table if not exists aside (like checkout_attempts);
             with gone as (delete from checkout_attempts where booking_id = '{booking}' returning *)
             insert into aside select * from gone"
        );
        let back = "with back as (delete from aside returning *)
                    insert into checkout_attempts select * from back";
        sqlx::raw_sql(sqlx::AssertSqlSafe(aside))
            .execute(scenario.harness.db())
            .await
            .unwrap();
        assert_eq!(
            scenario.harness.deliver(unheard.completed()).await.body["outcome"],
            "deferred"
        );
        sqlx::query(back)
            .execute(scenario.harness.db())
            .await
            .unwrap();
        Self(unheard)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        let event: Value = serde_json::from_str(self.0.completed()).unwrap();
        scenario
            .perform(&job::Job::SettleEvent {
                event_id: event["id"].as_str().unwrap().to_owned(),
            })
            .await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.is_sold().await;
        self.0.deliver_all(scenario).await;
        scenario.is_sold().await;
        scenario
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
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let unheard = Unheard::of(scenario, SEAT).await;
        scenario.harness.advance(HOLD).await;
        Self(unheard)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario
            .perform(&job::Job::EndHold {
                booking_id: id_of(&self.0.booking),
            })
            .await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.is_sold().await;
        self.0.deliver_all(scenario).await;
        scenario.is_sold().await;
    }
}

/// The buyer has come back before Stripe has told of it.
pub(super) struct Verify(Unheard);

impl Flow for Verify {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        Self(Unheard::of(scenario, SEAT).await)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        let session = json!({ "sessionId": self.0.booking["checkout"]["sessionId"] });
        scenario
            .post("/api/payments/verify?wait=0", &session, None)
            .await
    }

    fn is_done(&self, outcome: &Outcome) -> bool {
        let Outcome::Answer(answer) = outcome else {
            return false;
        };
        answer.status == 200 && answer.body["status"] == "confirmed"
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.is_sold().await;
        self.0.deliver_all(scenario).await;
        scenario.is_sold().await;
    }
}

/// The payment of a booking that had ended, whose seats are still free.
pub(super) struct PayLate(Unheard);

impl Flow for PayLate {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        Self(Unheard::late(scenario).await)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.deliver(self.0.completed()).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.is_sold().await;
        self.0.deliver_all(scenario).await;
        scenario.is_sold().await;
    }
}

/// The payment of a booking that had ended, whose seats are somebody else's.
pub(super) struct PayTooLate(Unheard);

impl PayTooLate {
    async fn has_gone_back(&self, scenario: &Scenario<'_>) {
        scenario.payments("surplus late_payment").await;
        self.0.deliver_all(scenario).await;
        // A refund that is asked for afresh comes a little later.
        scenario.harness.advance(TimeDelta::seconds(31)).await;
        scenario.harness.run_jobs().await;
        scenario.stand("expired,pending").await;
        scenario.claims("1").await;
        scenario.payments("surplus late_payment").await;
        let refunds = "select string_agg(r.status::text, ',')
                       from refunds r join bookings b on b.id = r.booking_id
                       where show_id = $show and r.status <> 'failed'";
        scenario.finds(refunds, "succeeded").await;
        let event: Value = serde_json::from_str(self.0.completed()).unwrap();
        let intent = event["data"]["object"]["payment_intent"].as_str().unwrap();
        let refunds = scenario
            .harness
            .ask_stripe(&format!("/v1/refunds?payment_intent={intent}"))
            .await;
        assert_eq!(refunds["data"].as_array().unwrap().len(), 1, "{refunds}");
    }
}

impl Flow for PayTooLate {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let unheard = Unheard::late(scenario).await;
        scenario.rival().booked(&scenario.show, &[SEAT]).await;
        Self(unheard)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.deliver(self.0.completed()).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        self.has_gone_back(scenario).await;
    }
}

/// The background sends the money back.
pub(super) struct Refund(PayTooLate, job::Job);

impl Flow for Refund {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let late = PayTooLate::begin(scenario).await;
        assert!(late.run(scenario).await.is_success());
        let id = format!(
            "select id from refunds where booking_id = '{}'",
            id_of(&late.0.booking)
        );
        let refund_id = serde_json::from_value(json!(scenario.harness.sql(&id).await)).unwrap();
        let refund = job::Job::Refund {
            refund_id,
            booking_id: None,
        };
        Self(late, refund)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.perform(&self.1).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        self.0.has_gone_back(scenario).await;
    }
}
