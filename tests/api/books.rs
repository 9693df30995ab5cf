//! The books: after each test, the money must add up.

use serde_json::Value;

use crate::sound::SOUND;
use crate::stage::TestApp;

impl TestApp {
    /// Waits for deliveries that are under way, and checks that the money adds up: on each booking, in the ledger, and
    /// against the simulator.
    pub(crate) async fn check_books(&self) {
        self.simulator.settled().await;
        for (what, query) in SOUND {
            assert_eq!(self.sql(query).await, "0", "{what}");
        }
        let charges = self.ask_stripe("/v1/charges?limit=100").await;
        let theirs: i64 = charges["data"].as_array().unwrap().iter().filter_map(captured_minor).sum();
        let ours = self.sql("select coalesce(sum(amount_minor), 0) from payments").await;
        assert_eq!(ours, theirs.to_string(), "captured at Stripe");
        let refunds = self.ask_stripe("/v1/refunds?limit=100").await;
        let theirs: i64 =
            refunds["data"].as_array().unwrap().iter().filter_map(|refund| refund["amount"].as_i64()).sum();
        let ours = "select coalesce(sum(amount_minor), 0) from refunds where status in ('pending', 'succeeded')";
        assert_eq!(self.sql(ours).await, theirs.to_string(), "refunded at Stripe");
    }
}

fn captured_minor(charge: &Value) -> Option<i64> {
    charge["captured"].as_bool().filter(|captured| *captured)?;
    charge["amount_captured"].as_i64()
}
