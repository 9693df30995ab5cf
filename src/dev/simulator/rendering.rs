//! Puts a rendered object together out of parts.

use serde_json::Value;

/// `object` with the fields of `more`.
pub(super) fn merge(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}
