//! `holdfast simulator`: the Stripe simulator alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use holdfast::dev::simulator::{Endpoint, Options, Simulator};

use super::exposure::{EXPOSE_HELP, check_exposure};
use super::failure::Failure;
use super::output::say;

/// How the simulator starts.
#[derive(Args)]
pub(crate) struct Settings {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:12111")]
    bind: SocketAddr,
    #[arg(long, help = EXPOSE_HELP)]
    expose: bool,
    /// Where events are posted, such as `http://localhost:3000/api/stripe`.
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,
    /// The secret that events are signed with.
    #[arg(long, default_value = "whsec_simulator")]
    secret: String,
    /// A file that keeps the account over restarts.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Misbehaves by chance, and the same again with the same seed. `/_simulator/chaos` sets what,
    /// and how often.
    #[arg(long, value_name = "SEED")]
    chaos: Option<u64>,
}

pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    check_exposure(settings.bind, settings.expose)?;
    let endpoints = settings.forward_to.iter().map(|url| Endpoint {
        url: url.clone(),
        secret: settings.secret.clone(),
        api_version: None,
    });
    let options = Options {
        bind: settings.bind,
        endpoints: endpoints.collect(),
        data_file: settings.data.clone(),
        now: None,
    };
    let simulator = Simulator::start(options).await?;
    if let Some(seed) = settings.chaos {
        simulator.start_chaos(seed);
    }
    say(&format!("STRIPE_API_BASE={}", simulator.url()))?;
    say("STRIPE_SECRET_KEY=sk_test_simulator")?;
    say(&format!("STRIPE_WEBHOOK_SECRET={}", settings.secret))?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
