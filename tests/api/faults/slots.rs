//! What is done for a booking of a slot, and for the balance after its deposit.

use serde_json::{Value, json};

use super::scenario::{Flow, Outcome, Scenario};

const AFTERNOON: &str = "2026-12-01T09:00:00Z";

impl Scenario<'_> {
    /// A service with one carer.
    async fn service(&self) -> Value {
        let slug = format!("care-{}", self.show);
        let own = json!({ "slug": slug, "resources": ["Carer"] });
        self.harness.service_with(own).await
    }

    /// Somebody else finds the slot taken.
    async fn is_taken(&self, service: &Value) {
        let late = self.rival().book_slot(service, AFTERNOON, 1, "half").await;
        late.refused(409, "slot_unavailable");
    }
}

fn has_page(outcome: &Outcome) -> bool {
    let Outcome::Answer(answer) = outcome else {
        return false;
    };
    answer.status < 300 && answer.body["checkout"]["url"].is_string()
}

/// A slot is booked. Who hears nothing of it asks again, and finds it taken by themselves.
pub(super) struct BookSlot(Value);

impl Flow for BookSlot {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        Self(scenario.service().await)
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        let body = json!({
            "kind": "service", "serviceId": self.0["id"], "startsAt": AFTERNOON, "hours": 1,
            "paymentOption": "half",
        });
        scenario.post("/api/bookings", &body, None).await
    }

    async fn again(&self, scenario: &Scenario<'_>) -> Outcome {
        let outcome = self.run(scenario).await;
        if outcome.is_problem(409, "slot_unavailable") {
            let own = scenario.own_booking().await;
            return scenario.post_about(&own, "checkout").await;
        }
        outcome
    }

    fn is_done(&self, outcome: &Outcome) -> bool {
        has_page(outcome)
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        check_paid(scenario, &self.0, "depositPaid").await;
    }
}

/// The page for the balance is asked for.
pub(super) struct OpenBalance {
    service: Value,
    booking: Value,
}

impl Flow for OpenBalance {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let service = scenario.service().await;
        let buyer = scenario.buyer();
        let booked = buyer.book_slot(&service, AFTERNOON, 1, "half").await;
        scenario.harness.pay(&booked.body).await;
        Self {
            service,
            booking: booked.body,
        }
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.post_about(&self.booking, "checkout").await
    }

    fn is_done(&self, outcome: &Outcome) -> bool {
        has_page(outcome)
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        check_paid(scenario, &self.service, "paid").await;
    }
}

/// The page of the booking can be paid, which ends in this payment status, and the slot is taken.
async fn check_paid(scenario: &Scenario<'_>, service: &Value, payment_status: &str) {
    let booking = scenario.own_booking().await;
    scenario.harness.pay(&booking).await;
    let paid = scenario.buyer().booking(&booking).await;
    assert_eq!(paid["paymentStatus"], payment_status, "{paid}");
    scenario.is_taken(service).await;
}
