//! Checks the settings one by one and collects the mistakes.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use reqwest::Url;
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;

use super::{
    BIND_DEFAULT, ConfigError, IdentityConfig, LogConfig, Mistake, STRIPE_API_BASE_DEFAULT, Secret,
    StripeConfig,
};

/// Looks variables up and remembers what is wrong with them.
pub(super) struct Reader<L> {
    lookup: L,
    mistakes: Vec<Mistake>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn new(lookup: L) -> Self {
        let mistakes = Vec::new();
        Self { lookup, mistakes }
    }

    /// `value` if nothing was wrong.
    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.mistakes.is_empty() {
            Ok(value)
        } else {
            Err(ConfigError(self.mistakes))
        }
    }

    fn mistake(&mut self, variable: &'static str, remedy: impl Into<String>) {
        let remedy = remedy.into();
        self.mistakes.push(Mistake { variable, remedy });
    }

    fn optional(&self, variable: &str) -> Option<String> {
        let value = (self.lookup)(variable)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The value, or an empty string and a mistake.
    fn required(&mut self, variable: &'static str, what: &str) -> String {
        self.optional(variable).unwrap_or_else(|| {
            self.mistake(variable, format!("is missing; set it to {what}"));
            String::new()
        })
    }

    fn list(&self, variable: &str) -> Vec<String> {
        let value = self.optional(variable).unwrap_or_default();
        let items = value
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        items.map(str::to_owned).collect()
    }

    pub(super) fn number(
        &mut self,
        variable: &'static str,
        default: u32,
        bounds: RangeInclusive<u32>,
    ) -> u32 {
        let Some(text) = &self.optional(variable) else {
            return default;
        };
        match text.parse() {
            Ok(number) if bounds.contains(&number) => number,
            _ => {
                let (first, last) = bounds.into_inner();
                self.mistake(
                    variable,
                    format!(
                        "must be a whole number from {first} to {last}, not {}",
                        quote(text)
                    ),
                );
                default
            }
        }
    }

    pub(super) fn bind(&mut self) -> SocketAddr {
        let text = self
            .optional("BIND")
            .unwrap_or_else(|| BIND_DEFAULT.to_owned());
        text.parse().unwrap_or_else(|_| {
            let remedy = format!(
                "must be an address and a port such as {BIND_DEFAULT}, not {}",
                quote(&text)
            );
            self.mistake("BIND", remedy);
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    pub(super) fn database_url(&mut self) -> Secret {
        let url = self.required(
            "DATABASE_URL",
            "a Postgres URL such as postgres://user:password@localhost/holdfast",
        );
        let known = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !url.is_empty() && !known {
            self.mistake(
                "DATABASE_URL",
                "must begin with postgres:// or postgresql://",
            );
        }
        if known && url.parse::<PgConnectOptions>().is_err() {
            let form =
                "postgres://user:password@host:5432/database, with %40 for an @ in the password";
            self.mistake(
                "DATABASE_URL",
                format!("cannot be read; write it as {form}"),
            );
        }
        Secret::new(url)
    }

    /// Origins as browsers send them: scheme, host and port, no path.
    pub(super) fn origins(&mut self, variable: &'static str) -> Vec<String> {
        let origins = self.list(variable);
        if origins.is_empty() {
            self.mistake(
                variable,
                "is missing; set it to the origin of your front end, such as http://localhost:5173",
            );
        }
        for origin in &origins {
            let bare =
                web_url(origin).is_some_and(|url| url.origin().ascii_serialization() == *origin);
            if !bare {
                self.mistake(
                    variable,
                    format!(
                        "{} must be scheme, host and port only, such as http://localhost:5173",
                        quote(origin)
                    ),
                );
            }
        }
        origins
    }

    pub(super) fn stripe(&mut self) -> StripeConfig {
        let secret_key = self.required(
            "STRIPE_SECRET_KEY",
            "your secret key, sk_test_… or sk_live_…",
        );
        if !secret_key.is_empty() && mode_of(&secret_key, &["sk", "rk"]).is_none() {
            let hint = misplaced(&secret_key).unwrap_or("this is none");
            self.mistake(
                "STRIPE_SECRET_KEY",
                format!("must be a secret key, sk_test_…, sk_live_… or rk_…; {hint}"),
            );
        }
        let publishable_key = self.optional("STRIPE_PUBLISHABLE_KEY");
        self.check_publishable(publishable_key.as_deref(), &secret_key);
        StripeConfig {
            webhook_secrets: self.webhook_secrets(),
            api_base: self.api_base(&secret_key),
            secret_key: Secret::new(secret_key),
            publishable_key,
        }
    }

    fn check_publishable(&mut self, publishable_key: Option<&str>, secret_key: &str) {
        let Some(key) = publishable_key else { return };
        match (mode_of(key, &["pk"]), mode_of(secret_key, &["sk", "rk"])) {
            (None, _) => {
                let hint = misplaced(key).unwrap_or("this is none");
                self.mistake(
                    "STRIPE_PUBLISHABLE_KEY",
                    format!("must be a publishable key, pk_test_… or pk_live_…; {hint}"),
                );
            }
            (Some(public), Some(secret)) if public != secret => self.mistake(
                "STRIPE_PUBLISHABLE_KEY",
                format!("is a {public} key while STRIPE_SECRET_KEY is a {secret} key; use two of the same mode"),
            ),
            _ => {}
        }
    }

    fn webhook_secrets(&mut self) -> Vec<Secret> {
        const VARIABLE: &str = "STRIPE_WEBHOOK_SECRET";
        let secrets = self.list(VARIABLE);
        if secrets.is_empty() {
            self.mistake(
                VARIABLE,
                "is missing; set it to the whsec_… that `stripe listen` or the dashboard shows for the endpoint",
            );
        }
        for secret in &secrets {
            if secret.strip_prefix("whsec_").is_none_or(str::is_empty) {
                let hint = misplaced(secret)
                    .filter(|_| !secret.starts_with("whsec_"))
                    .unwrap_or("this is none");
                self.mistake(
                    VARIABLE,
                    format!("must be the signing secret of the webhook endpoint, whsec_… (`stripe listen` prints it); {hint}"),
                );
            }
        }
        secrets.into_iter().map(Secret::new).collect()
    }

    fn api_base(&mut self, secret_key: &str) -> String {
        const VARIABLE: &str = "STRIPE_API_BASE";
        let base = self
            .optional(VARIABLE)
            .unwrap_or_else(|| STRIPE_API_BASE_DEFAULT.to_owned());
        let base = base.trim_end_matches('/').to_owned();
        match web_url(&base) {
            None => self.mistake(
                VARIABLE,
                format!(
                    "must be an http or https URL such as http://127.0.0.1:12111, not {}",
                    quote(&base)
                ),
            ),
            Some(_) if base.ends_with("/v1") => {
                self.mistake(VARIABLE, "must not end in /v1, which is added")
            }
            Some(_)
                if base != STRIPE_API_BASE_DEFAULT
                    && mode_of(secret_key, &["sk", "rk"]) == Some("live") =>
            {
                self.mistake(
                    VARIABLE,
                    "is not Stripe while STRIPE_SECRET_KEY is a live key; use a test key, or remove it",
                );
            }
            Some(_) => {}
        }
        base
    }

    pub(super) fn log(&mut self) -> LogConfig {
        let format = self
            .optional("LOG_FORMAT")
            .unwrap_or_else(|| "pretty".to_owned());
        if !["pretty", "json"].contains(&format.as_str()) {
            self.mistake("LOG_FORMAT", "must be pretty or json");
        }
        let filter = self
            .optional("RUST_LOG")
            .unwrap_or_else(|| "info".to_owned());
        if filter.parse::<EnvFilter>().is_err() {
            self.mistake(
                "RUST_LOG",
                "is not a log filter; an example is info,holdfast=debug",
            );
        }
        let json = format == "json";
        LogConfig { json, filter }
    }

    pub(super) fn identity(&mut self, app_origins: &[String]) -> IdentityConfig {
        let issuer = self.required(
            "CLERK_ISSUER",
            "the issuer of session tokens, such as https://your-app.clerk.accounts.dev",
        );
        let issuer = issuer.trim_end_matches('/').to_owned();
        if !issuer.is_empty() && web_url(&issuer).is_none() {
            self.mistake(
                "CLERK_ISSUER",
                format!(
                    "must begin with https:// (or http:// on your machine), not {}",
                    quote(&issuer)
                ),
            );
        }
        let jwks_url = self.optional("CLERK_JWKS_URL");
        if let Some(url) = jwks_url.as_deref().filter(|url| web_url(url).is_none()) {
            self.mistake(
                "CLERK_JWKS_URL",
                format!(
                    "must begin with https:// (or http:// on your machine), not {}",
                    quote(url)
                ),
            );
        }
        let parties = self.list("CLERK_AUTHORIZED_PARTIES");
        IdentityConfig {
            jwks_url: jwks_url.unwrap_or_else(|| format!("{issuer}/.well-known/jwks.json")),
            authorized_parties: if parties.is_empty() {
                app_origins.to_vec()
            } else {
                parties
            },
            issuer,
        }
    }
}

/// `test` or `live`, if `key` is one of `kinds`, such as `sk_test_…`.
pub(super) fn mode_of(key: &str, kinds: &[&str]) -> Option<&'static str> {
    let mut parts = key.splitn(3, '_');
    let known = kinds.contains(&parts.next()?);
    let mode = match parts.next()? {
        "test" => "test",
        "live" => "live",
        _ => return None,
    };
    let filled = parts.next().is_some_and(|rest| !rest.is_empty());
    (known && filled).then_some(mode)
}

/// Which other variable a Stripe value belongs to.
fn misplaced(value: &str) -> Option<&'static str> {
    let belongs = [
        ("sk_", "an sk_… value belongs in STRIPE_SECRET_KEY"),
        ("rk_", "an rk_… value belongs in STRIPE_SECRET_KEY"),
        ("pk_", "a pk_… value belongs in STRIPE_PUBLISHABLE_KEY"),
        ("whsec_", "a whsec_… value belongs in STRIPE_WEBHOOK_SECRET"),
    ];
    belongs
        .into_iter()
        .find(|(start, _)| value.starts_with(start))
        .map(|(_, hint)| hint)
}

/// The value as it may be shown: a secret that was put into the wrong variable is not repeated.
fn quote(value: &str) -> String {
    match misplaced(value) {
        Some(hint) => format!("this value ({hint})"),
        None if value.contains('@') => "this value, which may hold a password".to_owned(),
        None => format!("{value:?}"),
    }
}

fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    web.then_some(url)
}
