//! The settings of the issuer of session tokens.

use super::reader::{Reader, quote, web_url};
use super::settings::IdentityConfig;

impl<L: Fn(&str) -> Option<String>> Reader<L> {
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
