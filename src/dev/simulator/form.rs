//! Decodes `application/x-www-form-urlencoded` with Stripe's nesting: `a[b][0][c]=x` and `a[]=x`.

use std::collections::BTreeMap;

/// A decoded parameter: a string, or parameters with names (arrays have numbers as names).
#[derive(Debug, Clone)]
pub(super) enum Field {
    Text(String),
    Nested(BTreeMap<String, Field>),
}

/// Decodes names and values, in the order they were sent. Invalid escapes are kept as they are.
pub(super) fn pairs(encoded: &str) -> Vec<(String, String)> {
    encoded
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape(name), unescape(value))
        })
        .collect()
}

/// Builds the tree that the bracketed names describe.
pub(super) fn tree(pairs: &[(String, String)]) -> BTreeMap<String, Field> {
    let mut root = BTreeMap::new();
    for (name, value) in pairs {
        let mut path = name.split('[').map(|part| part.trim_end_matches(']'));
        let first = path.next().unwrap_or_default();
        insert(&mut root, first, &path.collect::<Vec<_>>(), value);
    }
    root
}

fn insert(fields: &mut BTreeMap<String, Field>, name: &str, path: &[&str], value: &str) {
    let name = if name.is_empty() {
        array_place(fields, path)
    } else {
        name.to_owned()
    };
    let Some((next, rest)) = path.split_first() else {
        fields.insert(name, Field::Text(value.to_owned()));
        return;
    };
    let field = fields
        .entry(name)
        .or_insert_with(|| Field::Nested(BTreeMap::new()));
    if let Field::Text(_) = field {
        *field = Field::Nested(BTreeMap::new());
    }
    if let Field::Nested(nested) = field {
        insert(nested, next, rest, value);
    }
}

/// `a[]=x` appends; `a[][b]=x` fills the last element until it already has a `b`.
fn array_place(fields: &BTreeMap<String, Field>, path: &[&str]) -> String {
    let length = fields.len();
    let last = length.saturating_sub(1).to_string();
    match (path.first(), fields.get(&last)) {
        (Some(next), Some(Field::Nested(nested))) if !nested.contains_key(*next) => last,
        _ => length.to_string(),
    }
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let escaped = (byte == b'%').then(|| tail.split_at_checked(2)).flatten();
        match escaped.and_then(|(digits, after)| Some((hex::decode(digits).ok()?, after))) {
            Some((decoded, after)) => {
                bytes.extend(decoded);
                rest = after;
            }
            None => bytes.push(if byte == b'+' { b' ' } else { byte }),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
