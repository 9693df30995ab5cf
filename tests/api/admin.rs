//! What an admin sees of Stripe's reports, and does about them.

mod audit_log;
mod bookings;
mod discrepancies;
mod payment_events;
mod verification;

use serde_json::Value;

use crate::harness::TestApp;

/// A pending booking of A2, paid at Stripe, and the event that says so, which nobody was sent.
async fn paid_unheard(harness: &TestApp) -> (Value, String) {
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let session = &booking["checkout"]["sessionId"];
    let events = harness
        .pay_unheard(serde_json::json!({ "session": session }))
        .await;
    (booking, events["checkout.session.completed"].clone())
}
