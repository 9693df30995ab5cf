//! What admins do with money.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::money::Unheard;
use super::scenario::{Flow, Outcome, SEAT, Scenario};

/// A refund that is asked for afresh comes a little later.
const SOON: TimeDelta = TimeDelta::seconds(31);

impl Scenario<'_> {
    async fn decide(&self, booking: &Value, what: &str, body: Value) -> Outcome {
        let id = booking["id"].as_str().unwrap();
        let path = format!("/api/admin/bookings/{id}/{what}");
        self.post_as(&self.harness.admin(), &path, &body, Some(id))
            .await
    }

    /// The booking is cancelled, its seat is free, and so much has gone back, once.
    async fn has_gone_back(&self, amount_minor: i64, unheard: &Unheard) {
        self.harness.advance(SOON).await;
        self.harness.run_jobs().await;
        unheard.deliver_all(self).await;
        self.stand("cancelled").await;
        let refunds = "select string_agg(r.status || ' ' || r.amount_minor, ',')
                       from refunds r join bookings b on b.id = r.booking_id
                       where show_id = $show and r.status <> 'failed'";
        self.finds(refunds, &format!("succeeded {amount_minor}"))
            .await;
        let event: Value = serde_json::from_str(unheard.completed()).unwrap();
        let intent = event["data"]["object"]["payment_intent"].as_str().unwrap();
        let path = format!("/v1/refunds?payment_intent={intent}");
        let refunds = self.harness.ask_stripe(&path).await;
        assert_eq!(refunds["data"].as_array().unwrap().len(), 1, "{refunds}");
        self.is_free().await;
    }
}

/// An admin gives all back, and frees the seat.
pub(super) struct Release(Unheard);

impl Flow for Release {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let unheard = Unheard::of(scenario, SEAT).await;
        unheard.deliver_all(scenario).await;
        Self(unheard)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        let body = json!({ "reason": "the film has torn", "releaseSeats": true });
        scenario.decide(&self.0.booking, "refunds", body).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.has_gone_back(1_200, &self.0).await;
    }
}

/// An admin cancels a booking for which another amount has come.
pub(super) struct CancelReview(Unheard);

impl Flow for CancelReview {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let booking = scenario.booked(SEAT).await;
        let less = json!({ "session": booking["checkout"]["sessionId"], "amount": 1_100 });
        let events = scenario.harness.pay_unheard(less).await;
        let unheard = Unheard { booking, events };
        unheard.deliver_all(scenario).await;
        scenario.stand("review").await;
        Self(unheard)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        let body = json!({ "action": "cancel", "reason": "too little" });
        scenario.decide(&self.0.booking, "resolve", body).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.has_gone_back(1_100, &self.0).await;
    }
}
