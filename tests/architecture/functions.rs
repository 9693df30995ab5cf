//! What functions take: few parameters, each with a name of its own.

use super::source::{check_tree, code_of};

const PARAMETERS_MAX: usize = 5;

#[test]
fn functions_take_few_parameters_and_no_tuples() {
    check_tree(&["src", "tests", "benches"], crowded);
}

#[test]
fn a_crowded_function_is_reported() {
    let wrong = [
        "fn f(pair: (A, B)) {}",
        "fn f((a, b): (A, &str)) {}",
        "fn f(&self, pair: &'a mut (A, B)) {}",
        "fn f<T: Fn() -> A>(\n    pair: (\n        A,\n        B,\n    ),\n) {}",
        "fn f(a: A, b: B, c: C, d: D, e: E, f: F) {}",
        "fn f(&self, b: B, c: C, d: D, e: E, f: F) {}",
        "async fn f<'a>(a: A, b: Map<A, B>, c: C, d: D, e: E, f: F,) {}",
    ];
    for source in wrong {
        assert_eq!(crowded("src/app.rs", source).len(), 1, "{source}");
    }
    let right = [
        "fn f() {}",
        "fn f(&self, unit: (), boxed: &(dyn Any + Send), grouped: (A)) {}",
        "fn f(pairs: &[(A, B)], act: impl Fn((A, B)) -> (C, D)) -> (A, B) {}",
        "fn f(a: A<(B, C), D>, b: fn(A, B, C) -> (D, E), c: C, d: D, e: E) {}",
        "let f: fn(A, B, C, D, E, F) = |(a, b)| g; // fn f(pair: (A, B))",
        "const F: &str = \"fn f(pair: (A, B))\";",
    ];
    for source in right {
        assert_eq!(
            crowded("src/app.rs", source),
            Vec::<String>::new(),
            "{source}"
        );
    }
}

fn crowded(file: &str, source: &str) -> Vec<String> {
    let code = code_of(source);
    let mut complaints = Vec::new();
    for (name, parameters) in signatures(&code) {
        if parameters.iter().any(|parameter| is_tuple(parameter)) {
            complaints.push(format!(
                "{file}: {name} takes a tuple; a struct names its parts"
            ));
        } else if parameters.len() > PARAMETERS_MAX {
            let count = parameters.len();
            complaints.push(format!(
                "{file}: {name} takes {count} parameters; {PARAMETERS_MAX} are the most"
            ));
        }
    }
    complaints
}

/// The name and the parameters of each function.
fn signatures(code: &str) -> Vec<(&str, Vec<&str>)> {
    let functions = code
        .match_indices("fn ")
        .filter(|(start, _)| !code[..*start].ends_with(|before: char| before.is_alphanumeric()));
    functions
        .filter_map(|(start, word)| {
            let rest = &code[start + word.len()..];
            let end = rest.find(['<', '('])?;
            let (name, rest) = rest.split_at(end);
            let rest = if rest.starts_with('<') {
                &rest[bracketed(rest).len()..]
            } else {
                rest
            };
            let parameters = bracketed(rest.trim_start());
            Some((name, parts(&parameters[1..parameters.len() - 1])))
        })
        .collect()
}

fn is_tuple(parameter: &str) -> bool {
    let (_, kind) = parameter.split_once(": ").unwrap_or_default();
    let words = kind.trim_start_matches('&').split_whitespace();
    let kind: String = words
        .skip_while(|word| word.starts_with('\'') || *word == "mut")
        .collect();
    kind.starts_with('(') && parts(&kind[1..bracketed(&kind).len() - 1]).len() > 1
}

/// The text up to the bracket that closes the one at its start.
fn bracketed(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if text[..at].ends_with(['-', '=']) => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..=at];
        }
    }
    panic!("a bracket is not closed: {text}");
}

/// What stands between the commas that are in no brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut start, mut at, mut found) = (0, 0, Vec::new());
    while let Some(letter) = text[at..].chars().next() {
        if ['(', '[', '{', '<'].contains(&letter) {
            at += bracketed(&text[at..]).len();
            continue;
        }
        if letter == ',' {
            found.push(text[start..at].trim());
            start = at + 1;
        }
        at += letter.len_utf8();
    }
    found.push(text[start..].trim());
    found.retain(|part| !part.is_empty());
    found
}
