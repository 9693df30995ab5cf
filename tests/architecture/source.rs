//! How the rules read the tree: its files, their code without comments and texts, and the paths
//! that the code names.

use std::fs;
use std::path::Path;

/// Reads every file under the folders, and fails with all that `rule` has to say of them.
pub(crate) fn check_tree(folders: &[&str], rule: fn(&str, &str) -> Vec<String>) {
    let files = read_tree(folders);
    let sources = files
        .iter()
        .map(|(file, source)| (file.as_str(), source.as_str()));
    check_sources(sources, rule);
}

/// Fails with all that `rule` has to say of these files and their texts.
pub(crate) fn check_sources<'a>(
    sources: impl IntoIterator<Item = (&'a str, &'a str)>,
    rule: fn(&str, &str) -> Vec<String>,
) {
    let complaints: Vec<_> = sources
        .into_iter()
        .flat_map(|(file, source)| rule(file, source))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Every file under the folders, with its text.
pub(crate) fn read_tree(folders: &[&str]) -> Vec<(String, String)> {
    let files: Vec<String> = folders
        .iter()
        .flat_map(|folder| files_in(Path::new(folder)))
        .collect();
    assert!(files.len() > 1, "there is nothing in {folders:?}");
    files
        .into_iter()
        .map(|file| {
            let source = fs::read_to_string(&file).unwrap();
            (file, source)
        })
        .collect()
}

fn files_in(folder: &Path) -> Vec<String> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let files = paths.into_iter().flat_map(|path| {
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => files_in(&path),
            Some("rs" | "sql") => vec![path.to_str().unwrap().to_owned()],
            _ => Vec::new(),
        }
    });
    files.collect()
}

pub(crate) fn complain(wrong: bool, complaint: String) -> Vec<String> {
    wrong.then_some(complaint).into_iter().collect()
}

pub(crate) fn is_in(file: &str, places: &[&str]) -> bool {
    places.iter().any(|place| file.starts_with(place))
}

/// `["repositories", "bookings"]` from `src/repositories/bookings.rs`, `["repositories"]` from its
/// `mod.rs`.
pub(crate) fn module_of(file: &str) -> Vec<String> {
    let inside = file
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    inside.split('/').map(str::to_owned).collect()
}

/// The source with spaces for its comments and for what its literals hold; each line stays where it
/// is.
pub(crate) fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(letter) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if is_literal(rest, &code) {
            literal_bytes(rest)
        } else {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
            continue;
        };
        let (hidden, after) = rest.split_at(length);
        code.extend(
            hidden
                .chars()
                .map(|letter| if letter == '\n' { '\n' } else { ' ' }),
        );
        rest = after;
    }
    code
}

/// Whether a text or a letter begins here, and not a lifetime.
fn is_literal(rest: &str, before: &str) -> bool {
    let inside_name = before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    let raw = rest.strip_prefix("br").or(rest.strip_prefix('r'));
    let is_raw = raw.is_some_and(|raw| raw.trim_start_matches('#').starts_with('"'));
    let mut letters = rest.strip_prefix('\'').unwrap_or_default().chars();
    let is_letter = letters.next() == Some('\\') || letters.next() == Some('\'');
    rest.starts_with('"') || is_letter || (is_raw && !inside_name)
}

/// How long the literal is that begins here.
fn literal_bytes(rest: &str) -> usize {
    let quote = rest.find(['"', '\'']).unwrap();
    let opening = &rest[..quote];
    let end = format!(
        "{}{}",
        &rest[quote..=quote],
        "#".repeat(opening.matches('#').count())
    );
    let mut at = quote + 1;
    while !rest[at..].starts_with(&end) {
        let skipped = usize::from(rest[at..].starts_with('\\') && !opening.contains('r'));
        let letters = rest[at..].chars().take(skipped + 1);
        at += letters.map(char::len_utf8).sum::<usize>();
    }
    at + end.len()
}

/// Every path into this crate that the source of `module` names, from the root.
pub(crate) fn paths(module: &[String], source: &str) -> Vec<Vec<String>> {
    let code = code_of(source);
    ["crate", "holdfast", "super"]
        .iter()
        .flat_map(|root| {
            expand(&code, &format!("{root}::"))
                .into_iter()
                .map(|path| [vec![(*root).to_owned()], path].concat())
        })
        .map(|path| absolute(module, &path))
        .collect()
}

/// The path from the root of the crate.
pub(crate) fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let from_here = ups > 0 || path[0] == "self";
    let base = if from_here {
        &module[..module.len().saturating_sub(ups)]
    } else {
        &[]
    };
    base.iter()
        .chain(path.iter().skip(ups.max(1)))
        .cloned()
        .collect()
}

/// The paths that follow each whole-word `prefix`, with their braces multiplied out; none of them
/// is empty.
pub(crate) fn expand(code: &str, prefix: &str) -> Vec<Vec<String>> {
    let whole = |start: usize| {
        !code[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    };
    let starts = code
        .match_indices(prefix)
        .map(|(start, _)| start)
        .filter(|start| whole(*start));
    // The second of two in `super::super::` is part of the first one's path.
    let starts = starts.filter(|start| !code[..*start].ends_with(prefix));
    starts
        .flat_map(|start| tree(&code[start + prefix.len()..]))
        .collect()
}

/// The paths of a use tree, such as `a::{b, c::d}`, as far as it goes.
pub(crate) fn tree(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(inside) = text.strip_prefix('{') {
        return branches(inside).into_iter().flat_map(tree).collect();
    }
    let name: String = text
        .chars()
        .take_while(|letter| letter.is_alphanumeric() || "_*@".contains(*letter))
        .collect();
    let rest = text[name.len()..]
        .strip_prefix("::")
        .map(tree)
        .filter(|rest| !rest.is_empty());
    match rest {
        _ if name.is_empty() => Vec::new(),
        None => vec![vec![name]],
        Some(rest) => rest
            .into_iter()
            .map(|path| [vec![name.clone()], path].concat())
            .collect(),
    }
}

/// What stands between the commas up to the closing brace.
fn branches(inside: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, letter) in inside.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth > 0 => {}
            ',' | '}' => {
                found.push(&inside[start..at]);
                start = at + 1;
                if letter == '}' {
                    return found;
                }
            }
            _ => {}
        }
    }
    panic!("a brace is not closed: {inside}");
}
