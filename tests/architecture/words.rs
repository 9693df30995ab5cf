//! Words that are not said any more: each had a standard name in the field, or two meanings.

use super::source::{check_tree, code_of};

/// Names that no code has, as whole identifiers.
const NAMES: &[&str] = &[
    "Faults", "Lines", "Mood", "Offer", "Standing", "Told", "Verdict", "Wish", "Word", "acts",
    "arrivals", "arrive", "books", "looks", "news", "openings", "plot", "readings", "relay",
    "scene", "sound", "stage", "tell", "together", "turns", "vault", "wire", "wish", "wishes",
];

/// What is not said anywhere, in comments and texts neither. In two pieces each, so that this file
/// does not say it.
const PHRASES: &[[&str; 2]] = &[
    ["carry_", "out"],
    ["inqu", "iry"],
    ["price_", "fault"],
    ["program", "me"],
    ["settling_", "db"],
    ["unlimited_", "pool"],
    ["ver", "dict"],
];

/// What has another meaning where it does not stand so.
const DECLARATIONS: &[&str] = &["struct Paid", "trait Serve"];

#[test]
fn no_code_speaks_the_old_dictionary() {
    check_tree(&["src", "tests", "benches"], old_words);
}

#[test]
fn an_old_word_is_reported() {
    let wrong = [
        "struct Wish {}",
        "fn tell(change: Change) {}",
        "let wish = body();",
        "mod relay;",
        "self.arrivals",
        "pub(crate) struct Paid {}",
    ];
    for source in wrong {
        assert_eq!(old_words("src/app.rs", source).len(), 1, "{source}");
    }
    for phrase in PHRASES {
        let comment = format!("// The {} is final.", phrase.concat());
        assert_eq!(old_words("src/app.rs", &comment).len(), 1, "{comment}");
    }
    let right = [
        "text.lines()",
        "struct LineItem {}",
        "fn retell() {}",
        "// Tell nobody; the buyer books, and all stand together.",
        "const QUERY: &str = \"books\";",
        "Status::Paid",
    ];
    for source in right {
        assert_eq!(
            old_words("src/app.rs", source),
            Vec::<String>::new(),
            "{source}"
        );
    }
}

fn old_words(file: &str, source: &str) -> Vec<String> {
    let code = code_of(source);
    let coded = [NAMES, DECLARATIONS].concat();
    let named = coded
        .into_iter()
        .filter(|word| has_word(&code, word))
        .map(str::to_owned);
    let said = PHRASES
        .iter()
        .map(|phrase| phrase.concat())
        .filter(|phrase| has_word(source, phrase));
    named
        .chain(said)
        .map(|word| format!("{file} says {word}; what is the plain name of it?"))
        .collect()
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word).any(|(start, _)| {
        let (before, after) = (&text[..start], &text[start + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}
