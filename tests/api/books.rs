//! The books: after each test, the money must add up.

use serde_json::Value;

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

/// Each counts what must not be.
pub(crate) const SOUND: [(&str, &str); 7] = [
    (
        "bookings whose paid sum is not that of their applied payments",
        "select count(*) from bookings b where paid_minor <> (select coalesce(sum(amount_minor), 0) from payments p
         where p.booking_id = b.id and disposition = 'applied')",
    ),
    (
        "refunds under way or done without exactly one transfer of the same amount",
        "select count(*) from refunds r where status in ('pending', 'succeeded') and 1 <> (select count(*)
         from ledger_transfers l where l.refund_id = r.id and l.amount_minor = r.amount_minor)",
    ),
    (
        "payments without exactly one transfer of the same amount",
        "select count(*) from payments p where 1 <> (select count(*) from ledger_transfers l
         where l.payment_id = p.id and l.kind = 'capture' and l.amount_minor = p.amount_minor and l.currency = p.currency)",
    ),
    (
        "confirmed bookings that have not been paid",
        "select count(*) from bookings where status = 'confirmed' and paid_minor < due_minor",
    ),
    (
        "live bookings without all their seats",
        "select count(*) from bookings b where live and cardinality(seats) <> (select count(*) from seat_claims c
         where c.booking_id = b.id)",
    ),
    (
        "seats of bookings that have ended",
        "select count(*) from seat_claims c join bookings b on b.id = c.booking_id where not b.live",
    ),
    ("events that nobody has decided", "select count(*) from payment_events where status in ('received', 'failed')"),
];

fn captured_minor(charge: &Value) -> Option<i64> {
    charge["captured"].as_bool().filter(|captured| *captured)?;
    charge["amount_captured"].as_i64()
}
