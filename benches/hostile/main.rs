//! Callers who want to harm others, each within their limits: what do the others notice?
//!
//! `cargo bench --bench hostile`. Everything runs in one process, on a database of its own, beside
//! a simulator that is called no faster than Stripe would allow.

#![expect(clippy::unwrap_used, reason = "what cannot be set up ends the run")]
#![expect(clippy::indexing_slicing, reason = "a missing member ends the run")]
#![expect(clippy::arithmetic_side_effects, reason = "an overflow ends the run")]
#![expect(clippy::print_stdout, reason = "it reports to a person")]

mod verify_storm;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let wrong = verify_storm::run().await;
    for complaint in &wrong {
        println!("WRONG: {complaint}");
    }
    ExitCode::from(u8::from(!wrong.is_empty()))
}
