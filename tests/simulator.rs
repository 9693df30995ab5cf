//! The Stripe simulator over real HTTP: what it answers, what it sends, and how it can be made to
//! misbehave.
#![cfg(feature = "dev")]
#![expect(
    clippy::unwrap_used,
    reason = "in a test, a value that is not there is a failure of the test"
)]

mod simulator {
    mod harness;

    mod chaos;
    mod clock;
    mod deliveries;
    mod disputes;
    mod errors;
    mod events;
    mod faults;
    mod idempotency;
    mod payment_page;
    mod payments;
    mod refunds;
    mod restart;
    mod sessions;
}
