//! The settings: every environment variable is read here and nowhere else, and all mistakes are
//! reported at once.

mod checkout;
mod environment;
mod identity;
mod live;
mod log;
mod mistakes;
mod reader;
mod secret;
mod serving;
mod settings;
mod stripe;
mod stripe_keys;

use std::num::NonZeroU32;
use std::time::Duration;

pub use environment::{EnvFileError, Environment};
pub use mistakes::{ConfigError, Mistake};
use reader::Reader;
pub use secret::Secret;
pub use settings::{
    BIND_DEFAULT, CheckoutConfig, Config, IdentityConfig, LogConfig, Roles,
    STRIPE_API_BASE_DEFAULT, StripeConfig, StripeLimits,
};
use settings::{
    HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX, HOLDS_PER_USER_DEFAULT, HOLDS_PER_USER_MAX,
    RATE_LIMIT_PER_MINUTE_DEFAULT,
};
use stripe_keys::is_live;

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
            holds_per_user: NonZeroU32::new(reader.number(
                "HOLDS_PER_USER",
                HOLDS_PER_USER_DEFAULT,
                0..=HOLDS_PER_USER_MAX,
            )),
            rate_limit_per_minute: NonZeroU32::new(reader.number(
                "RATE_LIMIT_PER_MINUTE",
                RATE_LIMIT_PER_MINUTE_DEFAULT,
                0..=1_000_000,
            )),
            trusted_proxies: reader.networks("TRUSTED_PROXIES"),
            stripe: reader.stripe(),
            checkout: reader.checkout(),
            identity: reader.identity(&app_origins),
            log: reader.log(),
            app_origins,
        };
        if config.stripe.livemode() {
            reader.check_live(&config);
        }
        reader.finish(config)
    }

    /// Reads only what the owner of the tables needs: the databases, which are held to what a live
    /// key demands where there is one.
    pub fn read_roles(lookup: impl Fn(&str) -> Option<String>) -> Result<Roles, ConfigError> {
        let mut reader = Reader::new(lookup);
        let serve = reader.database_url();
        let owner = reader.migration_database_url();
        if is_live(&reader.secret("STRIPE_SECRET_KEY")) {
            reader.check_live_database("DATABASE_URL", &serve);
            if let Some(owner) = &owner {
                reader.check_live_database("MIGRATION_DATABASE_URL", owner);
            }
        }
        reader.finish(Roles { serve, owner })
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
