//! What is done for a booking with a voucher.

use serde_json::{Value, json};

use super::scenario::{Flow, Outcome, Scenario};

/// Seats that are booked with a voucher of one use. Who hears nothing of it asks again, and finds
/// them taken by themselves.
pub(super) struct BookWithVoucher {
    voucher: Value,
}

impl Flow for BookWithVoucher {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let voucher = json!({ "code": scenario.show, "percentOff": 50, "maxUses": 1 });
        let admin = scenario.harness.admin();
        let made = admin.post("/api/admin/vouchers", voucher).await;
        assert_eq!(made.status, 201, "{made:?}");
        Self { voucher: made.body }
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        let mut body = scenario.request();
        body["voucher"] = self.voucher["code"].clone();
        scenario.post("/api/bookings", &body, None).await
    }

    async fn again(&self, scenario: &Scenario<'_>) -> Outcome {
        let outcome = self.run(scenario).await;
        if outcome.is_problem(409, "seat_unavailable") {
            let own = scenario.own_booking().await;
            return scenario.post_about(&own, "checkout").await;
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
        let booking = scenario.own_booking().await;
        scenario.harness.pay(&booking).await;
        let paid = scenario.buyer().booking(&booking).await;
        assert_eq!(paid["status"], "confirmed", "{paid}");
        assert_eq!(paid["paid"]["amountMinor"], 600);
        let admin = scenario.harness.admin();
        let listed = admin.get("/api/admin/vouchers?limit=1").await.body;
        assert_eq!(listed["items"][0]["used"], 1);
    }
}
