//! Looks the variables up one by one and collects the mistakes.

use std::ops::RangeInclusive;

use reqwest::Url;

use super::mistakes::{ConfigError, Mistake};
use super::stripe_keys::misplaced;

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

    pub(super) fn mistake(&mut self, variable: &'static str, remedy: impl Into<String>) {
        let remedy = remedy.into();
        self.mistakes.push(Mistake { variable, remedy });
    }

    pub(super) fn optional(&self, variable: &str) -> Option<String> {
        let value = (self.lookup)(variable)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The value, or an empty string and a mistake.
    pub(super) fn required(&mut self, variable: &'static str, what: &str) -> String {
        self.optional(variable).unwrap_or_else(|| {
            self.mistake(variable, format!("is missing; set it to {what}"));
            String::new()
        })
    }

    pub(super) fn list(&self, variable: &str) -> Vec<String> {
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
}

/// The value as it may be shown: a secret that was put into the wrong variable is not repeated.
pub(super) fn quote(value: &str) -> String {
    match misplaced(value) {
        Some(hint) => format!("this value ({hint})"),
        None if value.contains('@') => "this value, which may hold a password".to_owned(),
        None => format!("{value:?}"),
    }
}

pub(super) fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    web.then_some(url)
}
