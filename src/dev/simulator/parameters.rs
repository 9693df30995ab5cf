//! Reads the parameters of one request: each is taken out once and typed, and what is left over is
//! unknown to the API.

use std::collections::BTreeMap;

use super::form::Field;
use super::metadata::MetadataChange;
use super::refusal::Refusal;

/// The parameters not yet taken, at the top of a request or below a name such as `line_items[0]`.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    prefix: String,
    fields: BTreeMap<String, Field>,
}

impl Parameters {
    pub(super) fn new(fields: BTreeMap<String, Field>) -> Self {
        Self {
            prefix: String::new(),
            fields,
        }
    }

    /// The full name of a parameter at this level, as errors give it in `param`.
    pub(super) fn name(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}[{name}]", self.prefix)
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// A string. Stripe takes an empty one as an attempt to unset what cannot be unset, and refuses
    /// it.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        let param = self.name(name);
        match self.fields.remove(name) {
            None => Ok(None),
            Some(Field::Nested(_)) => Err(Refusal::invalid(param, "Invalid string.")),
            Some(Field::Text(text)) if text.is_empty() => Err(Refusal::invalid(
                &param,
                format!(
                    "You passed an empty string for '{param}'. We assume empty values are an \
                     attempt to unset a parameter; however '{param}' cannot be unset. You should \
                     remove '{param}' from your request or supply a non-empty value."
                ),
            )
            .code("parameter_invalid_empty")),
            Some(Field::Text(text)) => Ok(Some(text)),
        }
    }

    /// A string that must be there.
    pub(super) fn required(&mut self, name: &str) -> Result<String, Refusal> {
        let param = self.name(name);
        self.text(name)?.ok_or_else(|| Refusal::missing(&param))
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        let param = self.name(name);
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            Refusal::invalid(param, format!("Invalid integer: {text}"))
                .code("parameter_invalid_integer")
        })
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        let param = self.name(name);
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| Refusal::invalid(param, format!("Invalid boolean: {text}")))
    }

    /// A string out of a closed set.
    pub(super) fn choice(&mut self, name: &str, known: &[&str]) -> Result<Option<String>, Refusal> {
        let param = self.name(name);
        match self.text(name)? {
            Some(text) if !known.contains(&text.as_str()) => Err(Refusal::invalid(
                param,
                format!("Invalid {name}: must be one of {}", known.join(", ")),
            )),
            chosen => Ok(chosen),
        }
    }

    /// The parameters below `name`, such as `payment_intent_data[…]`.
    pub(super) fn nested(&mut self, name: &str) -> Result<Option<Self>, Refusal> {
        let prefix = self.name(name);
        match self.fields.remove(name) {
            None => Ok(None),
            Some(Field::Nested(fields)) => Ok(Some(Self { prefix, fields })),
            Some(Field::Text(_)) => Err(Refusal::invalid(prefix, "Invalid object")),
        }
    }

    /// The elements of an array of objects, in the order of their numbers.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Self>>, Refusal> {
        let Some(mut array) = self.array(name)? else {
            return Ok(None);
        };
        let places: Vec<String> = array.places()?;
        let elements: Result<Vec<Self>, Refusal> = places
            .iter()
            .filter_map(|place| array.nested(place).transpose())
            .collect();
        elements.map(Some)
    }

    /// The elements of an array of strings; nothing sent is an empty array.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Refusal> {
        let Some(mut array) = self.array(name)? else {
            return Ok(Vec::new());
        };
        let places: Vec<String> = array.places()?;
        places
            .iter()
            .filter_map(|place| array.text(place).transpose())
            .collect()
    }

    /// Keys to set or to unset, checked against Stripe's limits.
    pub(super) fn metadata(&mut self, name: &str) -> Result<MetadataChange, Refusal> {
        let param = self.name(name);
        match self.fields.remove(name) {
            None => Ok(MetadataChange::default()),
            Some(Field::Text(text)) if text.is_empty() => Ok(MetadataChange::clear()),
            Some(Field::Text(_)) => Err(Refusal::invalid(param, "Invalid object")),
            Some(Field::Nested(fields)) => MetadataChange::new(&param, fields),
        }
    }

    /// Drops parameters that the API knows and that change nothing here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.fields.remove(*name);
        }
    }

    /// Every parameter must have been taken: Stripe refuses those it does not know.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => {
                let param = self.name(name);
                Err(
                    Refusal::invalid(&param, format!("Received unknown parameter: {param}"))
                        .code("parameter_unknown"),
                )
            }
        }
    }

    fn array(&mut self, name: &str) -> Result<Option<Self>, Refusal> {
        let param = self.name(name);
        self.nested(name)
            .map_err(|_| Refusal::invalid(param, "Invalid array"))
    }

    fn places(&self) -> Result<Vec<String>, Refusal> {
        let mut places: Vec<(usize, String)> = Vec::new();
        for place in self.fields.keys() {
            let number = place
                .parse()
                .map_err(|_| Refusal::invalid(&self.prefix, "Invalid array"))?;
            places.push((number, place.clone()));
        }
        places.sort();
        Ok(places.into_iter().map(|(_, place)| place).collect())
    }
}
