//! What the `holdfast` command can do.

#[cfg(feature = "dev")]
mod dev;
mod doctor;
mod migrate;
mod seed;
mod serve;
#[cfg(feature = "dev")]
mod simulator;

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use holdfast::app;
use holdfast::config::{self, LogConfig, Secret};
use holdfast::error::{Error, explain};
use holdfast::telemetry;
use sqlx::PgConnection;

/// Anything that ends a command, told to a person.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Subcommand)]
#[expect(
    clippy::doc_markdown,
    reason = "the comments are the manual page, where backticks would be shown"
)]
pub(crate) enum Command {
    /// Bring up everything on this machine, with nothing configured.
    ///
    /// Starts a Postgres of its own (or uses DATABASE_URL), the Stripe simulator and an issuer of
    /// session tokens, loads a programme, and serves the API. Data is kept under .data/. Real
    /// Stripe keys of the environment are not used.
    #[cfg(feature = "dev")]
    Dev,
    /// Serve the API. Ends on SIGTERM or Ctrl-C, after the requests that are under way.
    ///
    /// Needs DATABASE_URL, STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET, CLERK_ISSUER and APP_ORIGINS.
    Serve,
    /// Bring the schema of the database up to date. Only ever forward.
    Migrate,
    /// Check settings, database, migrations, issuer, clock and Stripe key, a line each.
    Doctor,
    /// Serve the Stripe simulator alone, for tests of front ends and of other backends.
    #[cfg(feature = "dev")]
    Simulator(simulator::Settings),
    /// Load a programme for the coming two weeks, unless there is one.
    Seed,
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
            }
            Ok(ExitCode::SUCCESS)
        })
}

/// A connection to the database, or the reason why there is none.
async fn connect(url: &Secret) -> Result<PgConnection, Failure> {
    app::connect(url)
        .await
        .map_err(|error| unreachable(&error).into())
}

fn unreachable(error: &Error) -> String {
    format!(
        "the database cannot be reached: {}; check DATABASE_URL and that Postgres runs",
        explain(error)
    )
}

fn outdated(pending: usize) -> String {
    format!("{pending} migrations are to be applied; run `holdfast migrate`")
}

/// Writes a line for a person.
fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
