//! Puts rendered objects together, and writes them as Stripe does.

use serde_json::Value;

/// `object` with the fields of `more`.
pub(super) fn merge(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

/// Two spaces of indentation, as Stripe sends and answers.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
