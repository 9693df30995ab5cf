//! The settings of Stripe.

use super::reader::{Reader, quote, split, web_url};
use super::secret::Secret;
use super::settings::{STRIPE_API_BASE_DEFAULT, StripeConfig, StripeLimits};
use super::stripe_keys::{is_live, misplaced, mode_of};

/// How our objects at Stripe name us unless `APP_NAME` says otherwise.
const APP_NAME_DEFAULT: &str = "holdfast";
/// Readable in Stripe's dashboard, and far below the 500 characters that a value of metadata may
/// have.
/// <https://docs.stripe.com/metadata#data>
const APP_NAME_BYTES_MAX: usize = 40;

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn stripe(&mut self) -> StripeConfig {
        let secret_key = self.required_secret(
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
        let webhook_secrets = self.webhook_secrets();
        let api_base = self.api_base(&secret_key);
        StripeConfig {
            limits: limits(&secret_key, &api_base),
            webhook_secrets,
            api_base,
            app_name: self.app_name(),
            secret_key: Secret::new(secret_key),
            publishable_key,
        }
    }

    fn app_name(&mut self) -> String {
        const VARIABLE: &str = "APP_NAME";
        let name = self.optional(VARIABLE);
        let name = name.unwrap_or_else(|| APP_NAME_DEFAULT.to_owned());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.len() > APP_NAME_BYTES_MAX || !name.bytes().all(is_plain) {
            let remedy = format!(
                "must have 1 to {APP_NAME_BYTES_MAX} letters, digits, dots, _ and -, not {}",
                quote(&name)
            );
            self.mistake(VARIABLE, remedy);
        }
        name
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
                format!(
                    "is a {public} key while STRIPE_SECRET_KEY is a {secret} key; \
                     use two of the same mode"
                ),
            ),
            _ => {}
        }
    }

    fn webhook_secrets(&mut self) -> Vec<Secret> {
        const VARIABLE: &str = "STRIPE_WEBHOOK_SECRET";
        let secrets = split(&self.required_secret(
            VARIABLE,
            "the whsec_… that `stripe listen` or the dashboard shows for the endpoint",
        ));
        for secret in &secrets {
            if secret.strip_prefix("whsec_").is_none_or(str::is_empty) {
                let hint = misplaced(secret)
                    .filter(|_| !secret.starts_with("whsec_"))
                    .unwrap_or("this is none");
                self.mistake(
                    VARIABLE,
                    format!(
                        "must be the signing secret of the webhook endpoint, whsec_… \
                         (`stripe listen` prints it); {hint}"
                    ),
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
                self.mistake(VARIABLE, "must not end in /v1, which is added");
            }
            Some(_) if base != STRIPE_API_BASE_DEFAULT && is_live(secret_key) => {
                self.mistake(
                    VARIABLE,
                    "is not Stripe while STRIPE_SECRET_KEY is a live key; \
                 use a test key, or remove it",
                );
            }
            Some(_) => {}
        }
        base
    }
}

fn limits(secret_key: &str, api_base: &str) -> StripeLimits {
    if api_base != STRIPE_API_BASE_DEFAULT {
        StripeLimits::SIMULATED
    } else if is_live(secret_key) {
        StripeLimits::LIVE
    } else {
        StripeLimits::SANDBOX
    }
}
