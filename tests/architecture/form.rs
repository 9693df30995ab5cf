//! How files look: short, with a first line that says what they are, and with nothing left to do.

use super::source::{check_tree, code_of, complain, expand, module_of};

const FILE_LINES_MAX: usize = 400;
const LINE_COLUMNS_MAX: usize = 100;

/// Names that say nothing: whatever is put there has a better place.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "types", "misc",
];

#[test]
fn files_are_short_and_say_what_they_are() {
    check_tree(&["src", "tests"], misformed);
}

#[test]
fn a_misformed_file_is_reported() {
    let long = format!("//! Long.\n{}", "\n".repeat(FILE_LINES_MAX));

    assert_eq!(misformed("src/app.rs", "use std::fs;\n").len(), 1);
    assert_eq!(misformed("tests/api/app.rs", &long).len(), 1);
    assert_eq!(misformed("src/domain/helpers.rs", "//! Helps.\n").len(), 1);
    assert_eq!(misformed("src/types/mod.rs", "//! Types.\n").len(), 1);
    assert_eq!(
        misformed("src/app.rs", "//! An inner one.\nmod utils {}\n").len(),
        1
    );
    assert_eq!(
        misformed("src/app.rs", "//! What the process shares.\n"),
        Vec::<String>::new()
    );
}

fn misformed(file: &str, source: &str) -> Vec<String> {
    let names = expand(&code_of(source), "mod ")
        .into_iter()
        .map(|path| path[0].clone());
    let empty = names
        .chain(module_of(file))
        .find(|name| EMPTY_NAMES.contains(&name.as_str()));
    let opening = if file.contains(".sql") { "-- " } else { "//! " };
    let lines = source.lines().count();
    [
        complain(
            !source.starts_with(opening),
            format!("{file} does not begin with what it is, `{opening}…`"),
        ),
        complain(
            lines > FILE_LINES_MAX,
            format!("{file} has {lines} lines; {FILE_LINES_MAX} are the most"),
        ),
        empty
            .map(|name| format!("{file}: a module called {name} has no subject"))
            .into_iter()
            .collect(),
    ]
    .concat()
}

#[test]
fn lines_fit_on_a_screen() {
    let benches = ["benches/hostile", "benches/soak", "benches/surroundings"];
    check_tree(&[&["src", "tests"], &benches[..]].concat(), wide);
}

#[test]
fn a_wide_line_is_reported() {
    let columns = |count: usize| format!("//! A file.\nlet text = \"{}\";", "ü".repeat(count - 14));
    let url = format!(
        "// See https://stripe.example/{}.",
        "x".repeat(LINE_COLUMNS_MAX)
    );

    assert_eq!(wide("src/app.rs", &columns(LINE_COLUMNS_MAX + 1)).len(), 1);
    assert_eq!(
        wide("src/app.rs", &format!("{}{url}", "x".repeat(95))).len(),
        1
    );
    assert_eq!(
        wide("src/app.rs", &columns(LINE_COLUMNS_MAX)),
        Vec::<String>::new()
    );
    assert_eq!(wide("src/app.rs", &url), Vec::<String>::new());
}

/// A long URL cannot be broken, so it does not count.
fn wide(file: &str, source: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(source.lines()) {
        let urls = line.split(' ').filter(|word| word.contains("://"));
        let url_columns: usize = urls.map(|url| url.chars().count()).sum();
        let columns = line.chars().count();
        if columns - url_columns > LINE_COLUMNS_MAX {
            complaints.push(format!(
                "{file}:{number} has {columns} columns; {LINE_COLUMNS_MAX} are the most"
            ));
        }
    }
    complaints
}

#[test]
fn nothing_is_left_to_be_done() {
    check_tree(&["src", "tests", "migrations"], unfinished);
}

#[test]
fn a_note_of_something_to_do_is_reported() {
    for word in UNFINISHED {
        let note = word.concat();
        assert_eq!(
            unfinished("src/app.rs", &format!("// {note}: fix")).len(),
            1,
            "{note}"
        );
    }
    assert_eq!(
        unfinished("src/app.rs", "let tomorrow = todos;"),
        Vec::<String>::new()
    );
}

/// In two pieces each, so that this file does not contain them.
const UNFINISHED: [[&str; 2]; 3] = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"]];

fn unfinished(file: &str, source: &str) -> Vec<String> {
    let word = UNFINISHED
        .iter()
        .map(|word| word.concat())
        .find(|word| source.contains(word));
    word.map(|word| format!("{file} says {word}: do it, or write it down elsewhere"))
        .into_iter()
        .collect()
}
