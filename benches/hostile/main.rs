//! Hostile callers: each scenario does its worst, within its limits and for a bounded time, and
//! prints what honest callers get beside it. It fails where that is not what is promised.
//!
//! `cargo bench --bench hostile -- hoard` does so to one real process with default settings; `--
//! all` runs all scenarios. Another setting, to compare with: `--set HOLDS_PER_USER=0`; then
//! nothing is judged. What the process logged stays in `target/hostile/`. `-- verify-storm` runs in
//! one process, beside a simulator that is called no faster than Stripe would allow, and has its
//! own settings.

#![expect(clippy::unwrap_used, reason = "what cannot be set up ends the run")]
#![expect(clippy::indexing_slicing, reason = "a missing member ends the run")]
#![expect(clippy::arithmetic_side_effects, reason = "an overflow ends the run")]
#![expect(clippy::print_stdout, reason = "it reports to a person")]

#[path = "../surroundings/mod.rs"]
#[expect(dead_code, reason = "the soak kills, and judges memory")]
mod surroundings;

mod bodies;
mod connection;
mod connections;
mod hoard;
mod honest;
mod readers;
mod report;
mod usage;
mod verify_storm;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use holdfast::http::files::raise_limit;

/// Lets hostile callers at one process, and says what honest ones get.
#[derive(Parser)]
struct Settings {
    /// What they do.
    scenario: Scenario,
    /// For how long: longer than the server listens to what does not come to its end.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(15..=50))]
    seconds: u64,
    /// A setting of the process, as NAME=VALUE; can be given several times.
    #[arg(long, value_parser = setting)]
    set: Vec<(String, String)>,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// One account holds all that it can of a show, and holds it again whenever that ends.
    Hoard,
    /// Many ask Stripe through `verify` all the time.
    VerifyStorm,
    /// Many connections, silent, or with heads that are too large or do not end.
    Connections,
    /// Many webhooks of the largest size that are not Stripe's.
    Bodies,
    /// Many read the catalogue without a pause.
    Readers,
    /// Each of them, one after the other.
    All,
}

impl Settings {
    fn lasting(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn includes(&self, scenario: Scenario) -> bool {
        [scenario, Scenario::All].contains(&self.scenario)
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("give NAME=VALUE")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    // Each connection of a stranger is a file of ours, too.
    raise_limit();
    let mut reports = Vec::new();
    if settings.includes(Scenario::Hoard) {
        reports.push(hoard::run(&settings).await);
    }
    if settings.includes(Scenario::VerifyStorm) {
        reports.extend(verify_storm::run().await);
    }
    if settings.includes(Scenario::Connections) {
        reports.extend(connections::run(&settings).await);
    }
    if settings.includes(Scenario::Bodies) {
        reports.push(bodies::run(&settings).await);
    }
    if settings.includes(Scenario::Readers) {
        reports.push(readers::run(&settings).await);
    }
    println!();
    if !settings.set.is_empty() {
        println!("nothing is promised of these settings");
        return ExitCode::SUCCESS;
    }
    let wrong = reports.iter().filter(|report| !report.complain()).count();
    ExitCode::from(u8::from(wrong > 0))
}
