//! The settings: every environment variable is read here and nowhere else, and all mistakes are
//! told at once.

mod check;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use check::Reader;

/// Stripe's own API, used unless `STRIPE_API_BASE` names another.
pub const STRIPE_API_BASE_DEFAULT: &str = "https://api.stripe.com";
/// Where `serve` listens unless `BIND` says otherwise.
pub const BIND_DEFAULT: &str = "127.0.0.1:3000";
/// How long a booking holds its seats unless `HOLD_SECONDS` says otherwise.
pub const HOLD_SECONDS_DEFAULT: u32 = 600;
/// Requests per minute and caller unless `RATE_LIMIT_PER_MINUTE` says otherwise.
pub const RATE_LIMIT_PER_MINUTE_DEFAULT: u32 = 300;
/// The longest hold: a session outlives the hold, and lives at most 24 hours at Stripe.
const HOLD_SECONDS_MAX: u32 = 82_800;

/// Everything `serve` needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// `DATABASE_URL`: required. Postgres, as `postgres://user:password@host/database`.
    pub database_url: Secret,
    /// `BIND`: default `127.0.0.1:3000`. The address that the API listens on.
    pub bind: SocketAddr,
    /// `APP_ORIGINS`: required, comma-separated. Front ends: CORS, redirect URLs, and the default
    /// of `azp`.
    pub app_origins: Vec<String>,
    /// `HOLD_SECONDS`: default 600, from 1 to 82800. How long a booking holds its seats unpaid.
    pub hold: Duration,
    /// `RATE_LIMIT_PER_MINUTE`: default 300, 0 = off. Requests per minute and caller.
    pub rate_limit_per_minute: Option<NonZeroU32>,
    /// Stripe's side.
    pub stripe: StripeConfig,
    /// Who vouches for users.
    pub identity: IdentityConfig,
    /// How logs are written.
    pub log: LogConfig,
}

/// How Stripe is reached and recognised.
#[derive(Debug, Clone)]
pub struct StripeConfig {
    /// `STRIPE_SECRET_KEY`: required. `sk_test_…`, `sk_live_…`, `rk_test_…` or `rk_live_…`.
    pub secret_key: Secret,
    /// `STRIPE_WEBHOOK_SECRET`: required. `whsec_…`, several separated by commas while one is
    /// rolled.
    pub webhook_secrets: Vec<Secret>,
    /// `STRIPE_PUBLISHABLE_KEY`: optional. `pk_…`, for front ends that embed Checkout.
    pub publishable_key: Option<String>,
    /// `STRIPE_API_BASE`: default `https://api.stripe.com`, without `/v1`. Tests and `dev` name a
    /// simulator.
    pub api_base: String,
}

impl StripeConfig {
    /// Whether the key moves real money; events of the other mode are not ours.
    pub fn livemode(&self) -> bool {
        check::mode_of(self.secret_key.reveal(), &["sk", "rk"]) == Some("live")
    }

    /// Whether a simulator stands in for Stripe.
    pub fn simulated(&self) -> bool {
        self.api_base != STRIPE_API_BASE_DEFAULT
    }
}

/// Who vouches for users: Clerk, or any issuer with a JWKS.
#[derive(Debug, Clone)]
pub struct IdentityConfig {
    /// `CLERK_ISSUER`: required. The `iss` of session tokens.
    pub issuer: String,
    /// `CLERK_JWKS_URL`: default `{issuer}/.well-known/jwks.json`. The issuer's public keys.
    pub jwks_url: String,
    /// `CLERK_AUTHORIZED_PARTIES`: default `APP_ORIGINS`, comma-separated. The `azp` values that
    /// are let in.
    pub authorized_parties: Vec<String>,
}

/// How logs are written.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// `LOG_FORMAT`: `pretty` (default) or `json`.
    pub json: bool,
    /// `RUST_LOG`: default `info`. A filter of the crate `tracing-subscriber`.
    pub filter: String,
}

/// A value that must not be shown: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<secret>")
    }
}

/// Every mistake in the settings, each with its variable and its remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentences())]
pub struct ConfigError(pub Vec<Mistake>);

/// One variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong and what to do about it. Never contains a secret.
    pub remedy: String,
}

impl ConfigError {
    fn sentences(&self) -> String {
        let lines = self
            .0
            .iter()
            .map(|mistake| format!("  {}: {}", mistake.variable, mistake.remedy));
        let count = self.0.len();
        let head = format!(
            "{count} setting{} to fix:",
            if count == 1 { "" } else { "s" }
        );
        std::iter::once(head)
            .chain(lines)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Adds the variables of a file `.env` here or above to the environment; what is set already stays.
pub fn load_dotenv() -> Result<(), DotenvError> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(dotenvy::Error::LineParse(line, _)) => {
            let variable = line
                .split_once('=')
                .map(|(variable, _)| variable.trim().to_owned());
            Err(DotenvError::Line(variable.unwrap_or_default()))
        }
        Err(error) => Err(DotenvError::Unreadable(error)),
    }
}

/// What is wrong with a file `.env`. Never contains what it holds.
#[derive(Debug, thiserror::Error)]
pub enum DotenvError {
    /// The line that sets this variable, or that sets none, is malformed.
    #[error(
        "the file .env: the line {0:?} cannot be read; write it as NAME=value, with quotes around spaces"
    )]
    Line(String),
    /// It is there but cannot be opened.
    #[error("the file .env cannot be opened")]
    Unreadable(#[source] dotenvy::Error),
}

/// The value of an environment variable that is set, is not empty, and is UTF-8.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
pub fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

impl Config {
    /// Reads everything that `serve` needs through `lookup`. An empty value counts as none.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let app_origins = reader.origins("APP_ORIGINS");
        let config = Self {
            database_url: reader.database_url(),
            bind: reader.bind(),
            hold: Duration::from_secs(
                reader
                    .number("HOLD_SECONDS", HOLD_SECONDS_DEFAULT, 1..=HOLD_SECONDS_MAX)
                    .into(),
            ),
            rate_limit_per_minute: NonZeroU32::new(reader.number(
                "RATE_LIMIT_PER_MINUTE",
                RATE_LIMIT_PER_MINUTE_DEFAULT,
                0..=1_000_000,
            )),
            stripe: reader.stripe(),
            identity: reader.identity(&app_origins),
            log: reader.log(),
            app_origins,
        };
        reader.finish(config)
    }

    /// Reads only `DATABASE_URL`.
    pub fn read_database_url(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Secret, ConfigError> {
        let mut reader = Reader::new(lookup);
        let database_url = reader.database_url();
        reader.finish(database_url)
    }
}

impl LogConfig {
    /// Reads `LOG_FORMAT` and `RUST_LOG` through `lookup`.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let log = reader.log();
        reader.finish(log)
    }
}
