//! Looks the variables up one by one and collects the mistakes.

use std::fs::File;
use std::io::Read as _;
use std::ops::RangeInclusive;

use reqwest::Url;

use super::mistakes::{ConfigError, Mistake};
use super::stripe_keys::misplaced;

/// The largest file of a secret: several times what the longest one needs.
const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;

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

    /// The value of a secret, which may also be in a file that `NAME_FILE` names; or an empty
    /// string where it is not there or, with a mistake, where it cannot be had.
    pub(super) fn secret(&mut self, variable: &'static str) -> String {
        let of_file = format!("{variable}_FILE");
        match (self.optional(variable), self.optional(&of_file)) {
            (value, None) => value.unwrap_or_default(),
            (None, Some(path)) => read_secret(&path).unwrap_or_else(|why| {
                self.mistake(variable, format!("{of_file} names a file that {why}"));
                String::new()
            }),
            (Some(_), Some(_)) => {
                self.mistake(
                    variable,
                    format!("is set beside {of_file}; keep one of the two"),
                );
                String::new()
            }
        }
    }

    /// The same, and a mistake where it is not there.
    pub(super) fn required_secret(&mut self, variable: &'static str, what: &str) -> String {
        let before = self.mistakes.len();
        let value = self.secret(variable);
        if value.is_empty() && self.mistakes.len() == before {
            self.mistake(variable, format!("is missing; set it to {what}"));
        }
        value
    }

    pub(super) fn list(&self, variable: &str) -> Vec<String> {
        split(&self.optional(variable).unwrap_or_default())
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

/// What a comma-separated value lists.
pub(super) fn split(value: &str) -> Vec<String> {
    let items = value
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}

/// What a file of a secret holds, or why it is of no use.
fn read_secret(path: &str) -> Result<String, String> {
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut content = String::new();
    let read = file
        .take(SECRET_FILE_BYTES_MAX.saturating_add(1))
        .read_to_string(&mut content);
    match read.map(u64::try_from) {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(Ok(read)) if read <= SECRET_FILE_BYTES_MAX => {
            let value = content.trim();
            let value = (!value.is_empty()).then(|| value.to_owned());
            value.ok_or_else(|| "is empty".to_owned())
        }
        Ok(_) => Err(format!("has more than {SECRET_FILE_BYTES_MAX} bytes")),
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
