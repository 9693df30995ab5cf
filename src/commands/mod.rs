//! What the `holdfast` command can do.

#[cfg(feature = "dev")]
mod dev;
mod doctor;
mod failure;
mod migrate;
mod output;
mod progress;
mod seed;
mod serve;
#[cfg(feature = "dev")]
mod simulator;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;
use holdfast::config::{self, LogConfig};
use holdfast::telemetry;

use failure::Failure;

#[derive(Subcommand)]
#[expect(
    clippy::doc_markdown,
    reason = "the comments are the manual page, where backticks would be shown"
)]
pub(crate) enum Command {
    /// Bring up everything on this machine, with nothing configured.
    ///
    /// Starts a Postgres of its own (or uses DATABASE_URL), the Stripe simulator and an issuer of
    /// session tokens, loads some shows, and serves the API. Data is kept under .data/. Real
    /// Stripe keys of the environment are not used.
    #[cfg(feature = "dev")]
    Dev,
    /// Serve the API. Ends on SIGTERM or Ctrl-C, after the requests that are under way.
    ///
    /// Needs DATABASE_URL, STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET, CLERK_ISSUER and APP_ORIGINS.
    Serve,
    /// Bring the schema of the database up to date. Only ever forward.
    ///
    /// Where a later release has migrated it further, says whether this one works on it as well.
    Migrate,
    /// Check settings, database, migrations, issuer, clock and Stripe key, a line each.
    Doctor,
    /// Serve the Stripe simulator alone, for tests of front ends and of other backends.
    #[cfg(feature = "dev")]
    Simulator(simulator::Settings),
    /// Load shows for the coming two weeks, unless there is one.
    Seed,
    /// Replay all events of Stripe's, compare with what is stored, and check all sums.
    ///
    /// Changes nothing, and may run beside servers: it sees all as it was when it began. A line for
    /// each difference, and exit status 1 if there is one. On a terminal it shows how far it has
    /// come. Needs DATABASE_URL alone, of a primary, and past a pooler that gives each transaction
    /// another session.
    Verify,
}

/// Runs a command to its end.
pub(crate) fn run(command: &Command) -> Result<ExitCode, Failure> {
    config::load_dotenv()?;
    match LogConfig::read(config::environment) {
        Ok(log) => telemetry::init(&log),
        // These two tell it together with all other mistakes.
        Err(_) if matches!(command, Command::Serve | Command::Doctor) => {}
        Err(error) => return Err(error.into()),
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            match command {
                #[cfg(feature = "dev")]
                Command::Dev => dev::run().await?,
                Command::Serve => serve::run().await?,
                Command::Migrate => migrate::run().await?,
                Command::Doctor => return doctor::run().await,
                #[cfg(feature = "dev")]
                Command::Simulator(settings) => simulator::run(settings).await?,
                Command::Seed => seed::run().await?,
                Command::Verify => return verify::run().await,
            }
            Ok(ExitCode::SUCCESS)
        })
}
