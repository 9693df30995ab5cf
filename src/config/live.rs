//! What must not be with a live key: each of these lets somebody else into real money, or lets them
//! read it.

use std::net::IpAddr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::reader::Reader;
use super::secret::Secret;
use super::settings::Config;

/// A secret of Stripe's has 38; one that can be guessed lets anybody say that they have paid.
const WEBHOOK_SECRET_LENGTH_MIN: usize = 24;

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    /// Refuses what only a test key may have.
    pub(super) fn check_live(&mut self, config: &Config) {
        let urls = [
            ("CLERK_ISSUER", &config.identity.issuer),
            ("CLERK_JWKS_URL", &config.identity.jwks_url),
        ];
        let origins = config.app_origins.iter().map(|url| ("APP_ORIGINS", url));
        for (variable, url) in urls.into_iter().chain(origins) {
            // Of one that is derived from another, or is none at all, the other one is told.
            let is_derived =
                variable == "CLERK_JWKS_URL" && url.starts_with(&config.identity.issuer);
            if url.starts_with("http://") && !is_derived {
                let remedy = "is not encrypted (http) while STRIPE_SECRET_KEY is a live key; \
                     use https, or a test key";
                self.mistake(variable, remedy);
            }
        }
        for secret in &config.stripe.webhook_secrets {
            let secret = secret.reveal();
            if !secret.is_empty() && secret.len() < WEBHOOK_SECRET_LENGTH_MIN {
                let remedy = format!(
                    "is shorter than {WEBHOOK_SECRET_LENGTH_MIN} characters while \
                     STRIPE_SECRET_KEY is a live key; copy it from the webhook endpoint in \
                     Stripe's dashboard"
                );
                self.mistake("STRIPE_WEBHOOK_SECRET", remedy);
            }
        }
        if config.rate_limit_per_minute.is_none() {
            let remedy = "is 0, which lifts the limit, while STRIPE_SECRET_KEY is a live key; \
                 raise it instead";
            self.mistake("RATE_LIMIT_PER_MINUTE", remedy);
        }
        self.check_live_database("DATABASE_URL", &config.database_url);
    }

    /// Refuses a database that only a test key may have.
    pub(super) fn check_live_database(&mut self, variable: &'static str, url: &Secret) {
        let database = url.reveal().parse::<PgConnectOptions>();
        if database.is_ok_and(|options| is_readable_on_the_way(&options)) {
            let remedy = "names another host without demanding TLS while STRIPE_SECRET_KEY is a \
                 live key; add ?sslmode=verify-full (or require)";
            self.mistake(variable, remedy);
        }
    }
}

/// Whether what is said to this database could be read, or changed, between here and there.
fn is_readable_on_the_way(database: &PgConnectOptions) -> bool {
    let host = database.get_host();
    let is_socket = database.get_socket().is_some() || host.starts_with('/');
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse();
    let is_here = host == "localhost" || ip.is_ok_and(|ip: IpAddr| ip.is_loopback());
    let is_encrypted = matches!(
        database.get_ssl_mode(),
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull
    );
    !is_socket && !is_here && !is_encrypted
}
