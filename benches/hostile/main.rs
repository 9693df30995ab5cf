//! Hostile callers: each scenario does its worst, within its limits and for a bounded time, and prints
//! what honest callers get beside it.
//!
//! `cargo bench --bench hostile -- hoard --seconds 40` does so to one real process with default
//! settings. Another setting, to compare with: `--set HOLDS_PER_USER=0`. What the process logged stays
//! in `target/hostile/`. `-- verify-storm` runs in one process, beside a simulator that is called no
//! faster than Stripe would allow, and takes neither.

#![expect(clippy::unwrap_used, reason = "what cannot be set up ends the run")]
#![expect(clippy::indexing_slicing, reason = "a missing member ends the run")]
#![expect(clippy::arithmetic_side_effects, reason = "an overflow ends the run")]
#![expect(clippy::print_stdout, reason = "it reports to a person")]

#[path = "../soak/memory.rs"]
#[expect(dead_code, reason = "the soak judges memory")]
mod memory;
#[path = "../soak/process.rs"]
#[expect(dead_code, reason = "the soak kills and samples")]
mod process;

mod hoard;
mod verify_storm;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use world::World;

/// Lets hostile callers at one process, and says what honest ones get.
#[derive(Parser)]
struct Settings {
    /// What they do.
    scenario: Scenario,
    /// For how long.
    #[arg(long, default_value_t = 40)]
    seconds: u64,
    /// A setting of the process, as NAME=VALUE; can be given several times.
    #[arg(long, value_parser = setting)]
    set: Vec<(String, String)>,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// One account holds all that it can of a show, and holds it again whenever that ends.
    Hoard,
    /// Many ask Stripe through `verify` all the time.
    VerifyStorm,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("give NAME=VALUE")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let lasting = Duration::from_secs(settings.seconds);
    match settings.scenario {
        Scenario::Hoard => {
            let world = World::new(hoard::SETTINGS, &settings.set).await;
            hoard::run(&world, lasting).await;
            ExitCode::SUCCESS
        }
        Scenario::VerifyStorm => {
            let wrong = verify_storm::run().await;
            for complaint in &wrong {
                println!("WRONG: {complaint}");
            }
            ExitCode::from(u8::from(!wrong.is_empty()))
        }
    }
}
