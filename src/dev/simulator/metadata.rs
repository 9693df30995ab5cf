//! Metadata: what may be set, and how a change is applied (<https://docs.stripe.com/metadata>).

use std::collections::BTreeMap;

use super::form::Field;
use super::refusal::Refusal;

const KEYS_MAX: usize = 50;
const KEY_CHARACTERS_MAX: usize = 40;
const VALUE_CHARACTERS_MAX: usize = 500;

/// An object's metadata; values are always strings.
pub(super) type Metadata = BTreeMap<String, String>;

/// What one request asks of an object's metadata.
#[derive(Debug, Clone, Default)]
pub(super) struct MetadataChange {
    param: String,
    clear: bool,
    values: BTreeMap<String, String>,
}

impl MetadataChange {
    /// `metadata=` unsets every key.
    pub(super) fn clear() -> Self {
        Self {
            clear: true,
            ..Self::default()
        }
    }

    /// `metadata[key]=value` sets, `metadata[key]=` unsets.
    pub(super) fn new(param: &str, fields: BTreeMap<String, Field>) -> Result<Self, Refusal> {
        let mut values = BTreeMap::new();
        for (key, field) in fields {
            let name = format!("{param}[{key}]");
            let Field::Text(value) = field else {
                return Err(Refusal::invalid(
                    name,
                    "Metadata keys cannot contain square brackets, and values must be strings.",
                ));
            };
            check(&name, &key, &value)?;
            values.insert(key, value);
        }
        Ok(Self {
            param: param.to_owned(),
            clear: false,
            values,
        })
    }

    /// Changes `metadata`, or leaves it as it is when the result would have too many keys.
    pub(super) fn apply(self, metadata: &mut Metadata) -> Result<(), Refusal> {
        let mut changed = if self.clear {
            Metadata::new()
        } else {
            metadata.clone()
        };
        for (key, value) in self.values {
            if value.is_empty() {
                changed.remove(&key);
            } else {
                changed.insert(key, value);
            }
        }
        if changed.len() > KEYS_MAX {
            return Err(Refusal::invalid(
                self.param,
                format!("You can have at most {KEYS_MAX} metadata keys."),
            ));
        }
        *metadata = changed;
        Ok(())
    }

    /// The metadata of an object that does not exist yet.
    pub(super) fn into_metadata(self) -> Result<Metadata, Refusal> {
        let mut metadata = Metadata::new();
        self.apply(&mut metadata)?;
        Ok(metadata)
    }
}

fn check(name: &str, key: &str, value: &str) -> Result<(), Refusal> {
    let length = key.chars().count();
    if length > KEY_CHARACTERS_MAX {
        return Err(Refusal::invalid(
            name,
            format!(
                "Metadata keys can have up to {KEY_CHARACTERS_MAX} characters, but you passed in a \
                 key of {length} characters. Invalid key: {key}"
            ),
        ));
    }
    let length = value.chars().count();
    if length > VALUE_CHARACTERS_MAX {
        return Err(Refusal::invalid(
            name,
            format!(
                "Metadata values can have up to {VALUE_CHARACTERS_MAX} characters, but you passed \
                 in a value of {length} characters. Invalid value: {value}"
            ),
        ));
    }
    Ok(())
}
