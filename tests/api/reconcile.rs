//! Reconciliation: after each test, the money must add up.

use serde_json::Value;

use crate::harness::TestApp;
use crate::invariants::INVARIANTS;

impl TestApp {
    /// Waits for deliveries that are under way, and checks that the money adds up: on each booking,
    /// in the ledger, and against the simulator.
    pub(crate) async fn reconcile(&self) {
        self.simulator.settled().await;
        for (what, query) in INVARIANTS {
            assert_eq!(self.sql(query).await, "0", "{what}");
        }
        let theirs: i64 = self
            .all_at_stripe("charges")
            .await
            .iter()
            .filter_map(captured_minor)
            .sum();
        let ours = self
            .sql("select coalesce(sum(amount_minor), 0) from payments")
            .await;
        assert_eq!(ours, theirs.to_string(), "captured at Stripe");
        let refunds = self.all_at_stripe("refunds").await;
        let theirs: i64 = refunds
            .iter()
            .filter(|refund| refund["status"] != "failed" && refund["status"] != "canceled")
            .filter_map(|refund| refund["amount"].as_i64())
            .sum();
        let ours = "select coalesce(sum(amount_minor), 0) from refunds
                    where status in ('pending', 'succeeded')";
        assert_eq!(
            self.sql(ours).await,
            theirs.to_string(),
            "refunded at Stripe"
        );
        let disputes = self.all_at_stripe("disputes").await;
        let theirs: i64 = disputes.iter().map(taken_minor).sum();
        let ours = "select coalesce(sum(case kind when 'dispute_withdrawal' then amount_minor
                                        else -amount_minor end), 0)
                    from ledger_transfers where dispute_id is not null";
        assert_eq!(self.sql(ours).await, theirs.to_string(), "taken by banks");
    }

    /// Every object of a kind that Stripe has, newest first.
    pub(crate) async fn all_at_stripe(&self, objects: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all
                .last()
                .map(|last| format!("&starting_after={}", last["id"].as_str().unwrap()));
            let page = self
                .ask_stripe(&format!(
                    "/v1/{objects}?limit=100{}",
                    after.unwrap_or_default()
                ))
                .await;
            all.extend_from_slice(page["data"].as_array().unwrap());
            if page["has_more"] == false {
                return all;
            }
        }
    }
}

/// What a bank has taken of a dispute, and not given back.
fn taken_minor(dispute: &Value) -> i64 {
    let moved = dispute["balance_transactions"].as_array().unwrap().iter();
    -moved
        .map(|transaction| transaction["amount"].as_i64().unwrap())
        .sum::<i64>()
}

fn captured_minor(charge: &Value) -> Option<i64> {
    charge["captured"].as_bool().filter(|captured| *captured)?;
    charge["amount_captured"].as_i64()
}
