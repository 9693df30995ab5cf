//! What the `holdfast` command can do.

#[cfg(feature = "dev")]
mod dev;
mod doctor;
#[cfg(feature = "dev")]
mod exposure;
mod failure;
mod migrate;
mod output;
mod progress;
mod seed;
mod serve;
mod signals;
#[cfg(feature = "dev")]
mod simulator;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use holdfast::config::{Environment, LogConfig};
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
    /// Starts a Postgres of its own, the Stripe simulator and an issuer of session tokens, loads
    /// some shows, and serves the API. Data is kept under .data/. Real Stripe keys and the
    /// database of the environment are not used. Settings of the API itself are also read from a
    /// file .env of this folder.
    #[cfg(feature = "dev")]
    Dev(dev::Settings),
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
    /// Changes nothing, and may run beside servers: what it makes is in a schema of its own, which
    /// goes with it. A line for each difference, and exit status 1 if there is one. On a terminal
    /// it shows how far it has come; Ctrl-C ends it, and what was found is said. Needs DATABASE_URL
    /// alone, of a primary.
    Verify(verify::Settings),
}

/// Runs a command to its end, with the settings of the environment and of this file.
pub(crate) fn run(command: &Command, env_file: Option<&Path>) -> Result<ExitCode, Failure> {
    let environment = match (env_file, command) {
        (Some(file), _) => Environment::with_file(file)?,
        #[cfg(feature = "dev")]
        (None, Command::Dev(_)) => Environment::with_file_of_folder()?,
        (None, _) => Environment::default(),
    };
    let environment = &environment;
    match LogConfig::read(|variable| environment.get(variable)) {
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
                Command::Dev(settings) => dev::run(settings, environment).await?,
                Command::Serve => serve::run(environment).await?,
                Command::Migrate => migrate::run(environment).await?,
                Command::Doctor => return doctor::run(environment).await,
                #[cfg(feature = "dev")]
                Command::Simulator(settings) => simulator::run(settings).await?,
                Command::Seed => seed::run(environment).await?,
                Command::Verify(settings) => return verify::run(settings, environment).await,
            }
            Ok(ExitCode::SUCCESS)
        })
}
