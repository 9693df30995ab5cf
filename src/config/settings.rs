//! The settings. The comment of each names its variable, its default, and what it means.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;

use super::secret::Secret;
use super::stripe_keys::is_live;

/// Stripe's own API, used unless `STRIPE_API_BASE` names another.
pub const STRIPE_API_BASE_DEFAULT: &str = "https://api.stripe.com";
/// Where `serve` listens unless `BIND` says otherwise.
pub const BIND_DEFAULT: &str = "127.0.0.1:3000";
/// How long a booking holds its seats unless `HOLD_SECONDS` says otherwise.
pub(super) const HOLD_SECONDS_DEFAULT: u32 = 600;
/// Unpaid bookings of one user unless `HOLDS_PER_USER` says otherwise.
pub(super) const HOLDS_PER_USER_DEFAULT: u32 = 3;
/// As many holds of one user are counted at most.
pub(super) const HOLDS_PER_USER_MAX: u32 = 100;
/// Requests per minute and caller unless `RATE_LIMIT_PER_MINUTE` says otherwise.
pub(super) const RATE_LIMIT_PER_MINUTE_DEFAULT: u32 = 300;
/// The longest hold: a session outlives the hold, and lives at most 24 hours at Stripe.
pub(super) const HOLD_SECONDS_MAX: u32 = 82_800;

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
    /// `HOLDS_PER_USER`: default 3, at most 100, 0 = off. Unpaid bookings that one user may have at
    /// once, one of them per show.
    pub holds_per_user: Option<NonZeroU32>,
    /// `RATE_LIMIT_PER_MINUTE`: default 300, 0 = off. Requests per minute and caller; what holds
    /// seats, asks Stripe or spends has a tenth of it, and at least ten.
    pub rate_limit_per_minute: Option<NonZeroU32>,
    /// `TRUSTED_PROXIES`: default none, comma-separated. The networks of our proxies, as CIDRs:
    /// only their `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Stripe's side.
    pub stripe: StripeConfig,
    /// Payment pages.
    pub checkout: CheckoutConfig,
    /// Who vouches for users.
    pub identity: IdentityConfig,
    /// How logs are written.
    pub log: LogConfig,
}

/// Who works on the database.
#[derive(Debug, Clone)]
pub struct Roles {
    /// As `serve` does.
    pub serve: Secret,
    /// `MIGRATION_DATABASE_URL`: default `DATABASE_URL`. The same database, as the owner of its
    /// tables: with another role, `migrate` gives that of `serve` what it needs, and `verify` makes
    /// its copies.
    pub owner: Option<Secret>,
}

impl Roles {
    /// As the owner of the tables.
    pub fn of_owner(&self) -> &Secret {
        self.owner.as_ref().unwrap_or(&self.serve)
    }
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
    /// `APP_NAME`: default `holdfast`. How our objects at Stripe name us, so that several
    /// installations on one account leave each other's alone.
    pub app_name: String,
    /// How often Stripe may be called: no setting, but what it grants to the account of the key.
    pub limits: StripeLimits,
}

/// Where payment pages lead to, and what they ask for besides the money.
#[derive(Debug, Clone)]
pub struct CheckoutConfig {
    /// `CHECKOUT_SUCCESS_PATH`: default `/booking/success`. Where the front end receives who has
    /// paid; the session is appended as `session_id`.
    pub success_path: String,
    /// `CHECKOUT_CANCEL_PATH`: default `/booking/cancel`. Where it receives who has gone back; the
    /// booking is appended as `booking`.
    pub cancel_path: String,
    /// `CHECKOUT_TERMS`: `off` (default), or `required`: the buyer agrees to the terms that the
    /// account names in Stripe's dashboard.
    pub requires_terms: bool,
    /// `CHECKOUT_BILLING_ADDRESS`: `auto` (default): where the method needs one; or `required`.
    pub requires_billing_address: bool,
}

/// How many calls a second Stripe takes. <https://docs.stripe.com/rate-limits>
#[derive(Debug, Clone, Copy)]
pub struct StripeLimits {
    /// Of one account, in all.
    pub of_account: u32,
    /// Of one account, to one endpoint.
    pub of_endpoint: u32,
    /// How many calls may be made again at once, where few were made before.
    pub retries_at_once: u32,
}

impl StripeLimits {
    /// With a live key.
    pub const LIVE: Self = Self {
        of_account: 100,
        of_endpoint: 25,
        retries_at_once: 10,
    };
    /// With a test key.
    pub const SANDBOX: Self = Self {
        of_account: 25,
        of_endpoint: 25,
        retries_at_once: 10,
    };
    /// A simulator has no limits, and these are out of reach.
    pub const SIMULATED: Self = Self {
        of_account: 100_000,
        of_endpoint: 100_000,
        retries_at_once: 100_000,
    };
}

impl StripeConfig {
    /// Whether the key moves real money; events of the other mode are not ours.
    pub fn livemode(&self) -> bool {
        is_live(self.secret_key.reveal())
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
