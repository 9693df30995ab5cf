//! The settings of payment pages.

use super::reader::{Reader, quote};
use super::settings::CheckoutConfig;

/// Stripe takes URLs of 5,000 characters; the origin and what is appended need some of them.
const PATH_CHARACTERS_MAX: usize = 1_000;

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn checkout(&mut self) -> CheckoutConfig {
        CheckoutConfig {
            success_path: self.path("CHECKOUT_SUCCESS_PATH", "/booking/success"),
            cancel_path: self.path("CHECKOUT_CANCEL_PATH", "/booking/cancel"),
            requires_terms: self.is_required("CHECKOUT_TERMS", "off"),
            requires_billing_address: self.is_required("CHECKOUT_BILLING_ADDRESS", "auto"),
        }
    }

    /// A path of the front end, to which a query can be appended.
    fn path(&mut self, variable: &'static str, default: &str) -> String {
        let path = self.optional(variable);
        let path = path.unwrap_or_else(|| default.to_owned());
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>{}".contains(&byte);
        // Two slashes would begin another host.
        let begins = path.starts_with('/') && !path.starts_with("//");
        if !begins || path.len() > PATH_CHARACTERS_MAX || !path.bytes().all(is_plain) {
            let remedy = format!(
                "must be a path of the front end such as {default}, without a query, not {}",
                quote(&path)
            );
            self.mistake(variable, remedy);
        }
        path
    }

    fn is_required(&mut self, variable: &'static str, default: &str) -> bool {
        match self.optional(variable).as_deref() {
            Some("required") => true,
            None => false,
            Some(value) if value == default => false,
            Some(value) => {
                let remedy = format!("must be {default} or required, not {}", quote(value));
                self.mistake(variable, remedy);
                false
            }
        }
    }
}
