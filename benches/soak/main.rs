//! A shop in bad weather: two real processes on one database, a Stripe that misbehaves by chance, a
//! few dozen buyers, a database and an issuer that fail now and then, and somebody who kills one of
//! the processes. At the end nothing may be lost, and memory must be flat.
//!
//! `cargo bench --bench soak -- --minutes 10 --seed 7`. What the processes logged stays in
//! `target/soak/`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what cannot be set up ends the run"
)]
#![expect(clippy::indexing_slicing, reason = "a missing member ends the run")]
#![expect(clippy::arithmetic_side_effects, reason = "an overflow ends the run")]
#![expect(clippy::print_stdout, reason = "it reports to a person")]

#[path = "../../tests/invariants/mod.rs"]
mod invariants;
#[path = "../surroundings/mod.rs"]
#[expect(dead_code, reason = "hostile callers need more of it")]
mod surroundings;

mod balancer;
mod buyer;
mod end;
mod gate;
mod reconcile;
mod weather;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::sync::watch;

use buyer::Buyer;
use world::World;

/// Runs two processes through bad weather and checks what is left.
#[derive(Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Settings {
    /// How long buyers come.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// What the weather and the buyers are drawn from.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How many there are at once.
    #[arg(long, default_value_t = 24)]
    buyers: u64,
    /// How long a booking holds its seats.
    #[arg(long, default_value_t = 6)]
    hold_seconds: u64,
    /// Leave both processes alive.
    #[arg(long)]
    no_kills: bool,
    /// Leave the database and the issuer as they should be, and Stripe there.
    #[arg(long)]
    no_weather: bool,
    /// Leave Stripe as it should be.
    #[arg(long)]
    no_chaos: bool,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Between two looks at the memory.
const SAMPLE: Duration = Duration::from_secs(2);
/// Between two payments by ghosts.
const GHOSTS: Duration = Duration::from_secs(4);
/// Between two black-outs.
const BLACK_OUT: Duration = Duration::from_secs(9);
/// Between two looks at how full the house is.
const BOX_OFFICE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let world = Arc::new(World::new(&settings).await);
    println!(
        "{} buyers for {} minutes, seed {}",
        settings.buyers, settings.minutes, settings.seed
    );
    let (close, closing) = watch::channel(false);
    let mut tasks = vec![
        tokio::spawn(Arc::clone(&world).sample(closing.clone())),
        tokio::spawn(Arc::clone(&world).sell(closing.clone())),
    ];
    if !settings.no_chaos {
        tasks.push(tokio::spawn(Arc::clone(&world).haunt(closing.clone())));
        tasks.push(tokio::spawn(Arc::clone(&world).black_out(closing.clone())));
    }
    let all = Duration::from_mins(1).mul_f64(settings.minutes);
    if !settings.no_weather {
        tasks.push(tokio::spawn(Arc::clone(&world).storm(closing.clone())));
        let stripe = Arc::clone(&world).lose_stripe(all, closing.clone());
        tasks.push(tokio::spawn(stripe));
    }
    if !settings.no_kills {
        tasks.push(tokio::spawn(
            Arc::clone(&world).kill(settings.seed, closing.clone()),
        ));
    }
    for number in 0..settings.buyers {
        let buyer = Buyer::new(Arc::clone(&world), settings.seed, number);
        tasks.push(tokio::spawn(buyer.come_and_go(closing.clone())));
    }
    let over = Instant::now() + all;
    while Instant::now() < over && tasks.iter().all(|task| !task.is_finished()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    close.send_replace(true);
    let mut wrong = Vec::new();
    for task in tasks {
        wrong.extend(
            task.await
                .err()
                .map(|error| format!("a part of the soak itself broke: {error}")),
        );
    }
    wrong.extend(end::come_to_an_end(&world).await);
    for complaint in &wrong {
        println!("WRONG: {complaint}");
    }
    println!(
        "{}",
        if wrong.is_empty() {
            "all is well"
        } else {
            "not all is well"
        }
    );
    ExitCode::from(u8::from(!wrong.is_empty()))
}

impl World {
    /// Looks at the memory of both processes now and then.
    async fn sample(self: Arc<Self>, mut closing: watch::Receiver<bool>) {
        while sleeps(SAMPLE, &mut closing).await {
            for process in &self.processes {
                process.lock().await.sample();
            }
        }
    }

    /// Kills the second process now and then; the first lives through it all, so that its memory
    /// can be judged.
    async fn kill(self: Arc<Self>, seed: u64, mut closing: watch::Receiver<bool>) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut seconds =
            |least: f64, most: f64| Duration::from_secs_f64(random.random_range(least..most));
        while sleeps(seconds(10.0, 25.0), &mut closing).await {
            let mut process = self.processes[1].lock().await;
            process.kill();
            self.tally("kills");
            tokio::time::sleep(seconds(0.0, 2.0)).await;
            process.start().await;
        }
    }

    /// Pays sessions whose link nobody was given.
    async fn haunt(self: Arc<Self>, mut closing: watch::Receiver<bool>) {
        while sleeps(GHOSTS, &mut closing).await {
            self.pay_unanswered().await;
        }
    }

    /// Takes Stripe away now and then: for the next calls it is not there, or does not answer.
    async fn black_out(self: Arc<Self>, mut closing: watch::Receiver<bool>) {
        let away = json!({
            "route": "*", "kind": "status", "status": 503, "should_retry": false, "times": 12,
        });
        let silent = json!({ "route": "*", "kind": "hang", "times": 2 });
        let silent_after = json!({ "route": "*", "kind": "hang", "after": true, "times": 2 });
        for fault in [away, silent, silent_after].iter().cycle() {
            if !sleeps(BLACK_OUT, &mut closing).await {
                return;
            }
            self.knob("faults", fault.clone()).await;
            self.tally("black-outs of Stripe");
        }
    }

    /// Puts another show on sale when one is nearly sold out.
    async fn sell(self: Arc<Self>, mut closing: watch::Receiver<bool>) {
        loop {
            if self.free_seats().await < 40 {
                self.open_show().await;
            }
            if !sleeps(BOX_OFFICE, &mut closing).await {
                return;
            }
        }
    }
}

/// Sleeps; false if the shop has closed meanwhile.
pub(crate) async fn sleeps(duration: Duration, closing: &mut watch::Receiver<bool>) -> bool {
    // An error of the channel means that the shop has closed too.
    tokio::time::timeout(duration, closing.wait_for(|closing| *closing))
        .await
        .is_err()
}
