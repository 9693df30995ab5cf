//! Reads JSON, and names the place of what is wrong with it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::refusal::Refusal;

/// How JSON writes the character U+0000; the four digits have no other form.
const NUL_ESCAPE: &[u8] = br"\u0000";

/// Reads a JSON object; what is missing, unknown, of the wrong type, or not to be stored is named
/// by its path.
pub(super) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    let value = parsed.map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            field_refusal(&path, &inner.to_string())
        } else {
            malformed(&inner)
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    // Serde would take a list of a struct's members as well.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::field("", "must be a JSON object"));
    }
    refuse_nul(body)?;
    Ok(value)
}

/// Refuses the one character that a string of JSON can have and a text of Postgres cannot. In a
/// body that parses, it can only be an escape.
fn refuse_nul(body: &[u8]) -> Result<(), Refusal> {
    if !body
        .windows(NUL_ESCAPE.len())
        .any(|bytes| bytes == NUL_ESCAPE)
    {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    match nul_path(&value) {
        Some(path) => Err(Refusal::field(
            path.trim_start_matches('.'),
            "must not contain the character U+0000",
        )),
        None => Ok(()),
    }
}

/// Where the first string with a NUL is: `.rows[0].row`.
fn nul_path(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| nul_path(item).map(|path| format!("[{index}]{path}")))
        }
        Value::Object(members) => {
            let mut members = members.iter();
            members.find_map(|(name, member)| nul_path(member).map(|path| format!(".{name}{path}")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::MalformedRequest(format!("The body is not JSON: {error}."))
}

/// Of a member that is missing or given twice, serde names the struct; this names the member.
pub(super) fn field_refusal(path: &str, message: &str) -> Refusal {
    let path = if path == "." { "" } else { path };
    let message = message.split(" at line ").next().unwrap_or_default();
    for (start, sentence) in [
        ("missing field `", "is missing"),
        ("duplicate field `", "is given twice"),
    ] {
        if let Some(name) = message
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix('`'))
        {
            let field = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            return Refusal::field(field, sentence);
        }
    }
    Refusal::field(path, format!("cannot be read: {message}"))
}
