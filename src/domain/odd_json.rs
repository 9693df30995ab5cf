//! JSON that is signed and yet more than can be read: numbers beyond a double, halves of surrogate
//! pairs, and depth without a bound. JSON allows all three.
//! <https://www.rfc-editor.org/rfc/rfc8259#section-9>

/// How deep values may lie. Stripe's own lie less than twenty deep, with everything expanded;
/// `serde_json` gives up at 128, and so would Postgres' stack, later.
const DEPTH_MAX: usize = 64;

/// The characters of `\ud800\udc00` after the first backslash.
const PAIR_LENGTH: usize = 11;
/// The characters of `\ud800` after the backslash.
const UNIT_LENGTH: usize = 5;

/// The same JSON with null for what is no number of ours or lies too deep, and U+FFFD for half a
/// surrogate pair. What is no JSON stays none, except where it lies too deep.
pub fn simplify(body: &str) -> String {
    let mut simple = String::with_capacity(body.len());
    let mut depth: usize = 0;
    let mut rest = body;
    while let Some((token, after)) = split_token(rest) {
        rest = after;
        let is_closing = matches!(token, "}" | "]");
        if matches!(token, "{" | "[") {
            depth = depth.saturating_add(1);
            if depth == DEPTH_MAX.saturating_add(1) {
                simple.push_str("null");
            }
        }
        if depth <= DEPTH_MAX {
            push_simple(&mut simple, token);
        }
        if is_closing {
            depth = depth.saturating_sub(1);
        }
    }
    simple
}

/// The first string, number or character, and what comes after it.
fn split_token(text: &str) -> Option<(&str, &str)> {
    let first = text.chars().next()?;
    let length = match first {
        '"' => string_length(text),
        '-' | '0'..='9' => number_length(text),
        _ => first.len_utf8(),
    };
    text.split_at_checked(length)
}

/// Up to the quotation mark that is not escaped, or to the end.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let mut bytes = text.bytes().enumerate().skip(1);
    let end = bytes.find(|(_, byte)| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |(index, _)| index.saturating_add(1))
}

fn number_length(text: &str) -> usize {
    let is_part = |letter: char| letter.is_ascii_digit() || "+-.eE".contains(letter);
    text.find(|letter| !is_part(letter)).unwrap_or(text.len())
}

fn push_simple(simple: &mut String, token: &str) {
    if token.starts_with('"') {
        push_string(simple, token);
    } else if token.parse::<f64>().is_ok_and(f64::is_infinite) {
        simple.push_str("null");
    } else {
        simple.push_str(token);
    }
}

/// Copies a string, escape by escape.
fn push_string(simple: &mut String, string: &str) {
    let mut rest = string;
    while let Some((before, escape)) = rest.split_once('\\') {
        simple.push_str(before);
        let (length, is_half) = match code_unit(escape) {
            Some(0xD800..=0xDBFF) if is_followed_by_low(escape) => (PAIR_LENGTH, false),
            Some(0xD800..=0xDFFF) => (UNIT_LENGTH, true),
            _ => (escape.chars().next().map_or(0, char::len_utf8), false),
        };
        let (escaped, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        simple.push('\\');
        simple.push_str(if is_half { "ufffd" } else { escaped });
        rest = after;
    }
    simple.push_str(rest);
}

/// The code unit that is escaped here, after the backslash: `ud800`.
fn code_unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix('u')?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_followed_by_low(escape: &str) -> bool {
    let next = escape
        .get(UNIT_LENGTH..)
        .and_then(|rest| rest.strip_prefix('\\'));
    matches!(next.and_then(code_unit), Some(0xDC00..=0xDFFF))
}
