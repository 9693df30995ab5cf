//! The rules of the house that a machine can check: who may import whom, where SQL and settings
//! are, how files look.
//!
//! Each rule is a function over the text of one file, and has a test that a wrong text is told.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a text that breaks a rule's reader is a failed test"
)]

use std::fs;
use std::path::Path;

const FILE_LINES_MAX: usize = 400;

/// Each layer and the layers it may use. The order is the proof that there are no cycles: a layer
/// may name only layers that come after it.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["commands", "error"]),
    (
        "commands",
        &[
            "dev",
            "routes",
            "jobs",
            "workflows",
            "app",
            "repositories",
            "error",
            "config",
            "telemetry",
        ],
    ),
    ("dev", &[]),
    ("routes", &["controllers", "http", "app"]),
    (
        "controllers",
        &[
            "http",
            "workflows",
            "app",
            "repositories",
            "gateways",
            "error",
            "domain",
        ],
    ),
    ("http", &["app", "repositories", "error", "domain"]),
    (
        "jobs",
        &[
            "workflows",
            "app",
            "repositories",
            "gateways",
            "error",
            "domain",
        ],
    ),
    (
        "workflows",
        &[
            "app",
            "repositories",
            "gateways",
            "error",
            "config",
            "domain",
        ],
    ),
    (
        "app",
        &["repositories", "gateways", "error", "config", "domain"],
    ),
    ("repositories", &["error", "domain"]),
    ("gateways", &["error", "config", "domain"]),
    ("error", &["domain"]),
    ("telemetry", &["config"]),
    ("config", &["domain"]),
    ("domain", &[]),
];

/// Layers whose members are strangers: two endpoints, two tables, two workflows never meet.
const STRANGERS: &[&str] = &["controllers", "workflows", "repositories", "gateways"];

/// Names that say nothing: whatever is put there has a better place.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "types", "misc",
];

/// Where SQL may be.
const SQL_PLACES: &[&str] = &[
    "src/repositories/",
    // It makes and drops databases for the tests of everything else, before there is a schema to
    // have a repository for.
    "src/dev/test_database.rs",
];

/// Where the environment may be read.
const ENVIRONMENT_PLACES: &[&str] = &[
    "src/config.rs",
    // The local Postgres needs PATH, and clears away what is meant for other servers; `serve` does
    // not contain it.
    "src/dev/postgres/",
];

#[test]
fn the_layers_have_no_cycles() {
    for (index, (layer, uses)) in LAYERS.iter().enumerate() {
        for used in *uses {
            let position = LAYERS.iter().position(|(name, _)| name == used);
            assert!(
                position.is_some_and(|position| position > index),
                "{layer} -> {used}"
            );
        }
    }
}

#[test]
fn modules_import_only_what_their_layer_allows() {
    check_tree(&["src"], wrong_imports);
}

#[test]
fn a_wrong_import_is_told() {
    let wrong = [
        (
            "src/domain/booking.rs",
            "use crate::repositories::bookings;",
        ),
        (
            "src/domain/booking.rs",
            "use crate::{\n    app::App,\n    domain::money,\n};",
        ),
        (
            "src/repositories/bookings.rs",
            "fn f() { crate::http::problem::new() }",
        ),
        (
            "src/routes/public.rs",
            "use crate::repositories::{movies, shows};",
        ),
        ("src/dev/identity/mod.rs", "use crate::config::Secret;"),
        ("src/workflows/checkout.rs", "use crate::dev::simulator;"),
        (
            "src/commands/serve.rs",
            "use holdfast::{app::{App, Clock}, domain::money};",
        ),
        ("src/main.rs", "use holdfast::routes;"),
        ("src/app.rs", "use super::routes;"),
        ("src/plumbing/pipe.rs", "fn f() {}"),
    ];
    for (file, source) in wrong {
        assert_ne!(
            wrong_imports(file, source),
            Vec::<String>::new(),
            "{file}: {source}"
        );
    }
    let right = [
        (
            "src/commands/serve.rs",
            "use holdfast::{app::{App, Clock}, routes};\nuse super::Failure;",
        ),
        (
            "src/controllers/bookings.rs",
            "use crate::domain::money;\n// use crate::routes;\n/// See crate::routes.",
        ),
        (
            "src/domain/booking.rs",
            "use super::money::Money;\nmod tests { use super::*; }",
        ),
        ("src/config/check.rs", "use super::{Config, Secret};"),
        ("src/lib.rs", "pub mod app;"),
    ];
    for (file, source) in right {
        assert_eq!(
            wrong_imports(file, source),
            Vec::<String>::new(),
            "{file}: {source}"
        );
    }
}

fn wrong_imports(file: &str, source: &str) -> Vec<String> {
    let module = module_of(file);
    let Some(layer) = module.first().filter(|layer| *layer != "lib") else {
        return Vec::new();
    };
    let Some((_, uses)) = LAYERS.iter().find(|(name, _)| name == layer) else {
        return vec![format!("{file}: {layer} is no layer")];
    };
    let layers = paths(&module, source)
        .into_iter()
        .filter_map(|path| path.into_iter().next());
    let named = layers.filter(|used| LAYERS.iter().any(|(name, _)| name == used));
    let wrong = named.filter(|used| used != layer && !uses.contains(&used.as_str()));
    wrong
        .map(|used| format!("{file}: {layer} must not use {used}"))
        .collect()
}

#[test]
fn strangers_do_not_import_each_other() {
    check_tree(&["src"], acquaintances);
}

#[test]
fn strangers_that_meet_are_told() {
    let wrong = [
        ("src/repositories/bookings.rs", "use super::shows;"),
        (
            "src/repositories/bookings.rs",
            "use super::{shows::Filter};",
        ),
        (
            "src/controllers/bookings.rs",
            "use crate::controllers::catalogue::ShowView;",
        ),
        (
            "src/workflows/checkout.rs",
            "use crate::{app::App, workflows::{settlement}};",
        ),
        (
            "src/gateways/stripe/client.rs",
            "use super::super::identity::Keys;",
        ),
    ];
    for (file, source) in wrong {
        assert_eq!(acquaintances(file, source).len(), 1, "{file}: {source}");
    }
    let right = [
        (
            "src/gateways/stripe/client.rs",
            "use super::webhook::APP;\nuse crate::gateways::stripe::Probe;",
        ),
        (
            "src/workflows/checkout.rs",
            "use crate::repositories::{attempts, bookings};",
        ),
        ("src/domain/booking.rs", "use super::money::Money;"),
        ("src/repositories/mod.rs", "use self::bookings::Filter;"),
    ];
    for (file, source) in right {
        assert_eq!(
            acquaintances(file, source),
            Vec::<String>::new(),
            "{file}: {source}"
        );
    }
}

fn acquaintances(file: &str, source: &str) -> Vec<String> {
    let module = module_of(file);
    let [layer, own, ..] = module.as_slice() else {
        return Vec::new();
    };
    if !STRANGERS.contains(&layer.as_str()) {
        return Vec::new();
    }
    let is_module = |name: &str| name.starts_with(|first: char| first.is_ascii_lowercase());
    let others = paths(&module, source)
        .into_iter()
        .filter_map(|path| match path.as_slice() {
            [of, name, ..] if of == layer && name != own && is_module(name) => Some(name.clone()),
            _ => None,
        });
    others
        .map(|name| format!("{file} must not know {layer}::{name}"))
        .collect()
}

#[test]
fn only_repositories_contain_sql() {
    check_tree(&["src"], stray_sql);
}

#[test]
fn stray_sql_is_told() {
    let wrong = [
        "sqlx::query!(\"select 1\")",
        "sqlx::query_scalar(text)",
        "use sqlx::{PgPool, query_as};",
        "raw_sql(text)",
    ];
    for source in wrong {
        assert_eq!(
            stray_sql("src/controllers/bookings.rs", source).len(),
            1,
            "{source}"
        );
        assert_eq!(
            stray_sql("src/repositories/bookings.rs", source),
            Vec::<String>::new()
        );
    }
    let right =
        "use axum::extract::Query;\nuse sqlx::PgPool;\nlet query = url.query(); // not sqlx::query";
    assert_eq!(
        stray_sql("src/controllers/bookings.rs", right),
        Vec::<String>::new()
    );
}

fn stray_sql(file: &str, source: &str) -> Vec<String> {
    let functions = ["query", "query_as", "query_scalar", "query_file", "raw_sql"];
    let code = code_of(source);
    let imported = expand(&code, "sqlx::")
        .into_iter()
        .any(|path| functions.contains(&path[0].as_str()));
    let stray = imported || code.contains("raw_sql(");
    complain(
        stray && !is_in(file, SQL_PLACES),
        format!("{file} contains SQL; its place is repositories/"),
    )
}

#[test]
fn only_config_reads_the_environment() {
    check_tree(&["src"], stray_settings);
}

#[test]
fn a_stray_setting_is_told() {
    let wrong = [
        "std::env::var(\"HOME\")",
        "use std::env::{args, var};",
        "use std::env;\nenv::vars_os()",
    ];
    for source in wrong {
        assert_eq!(stray_settings("src/app.rs", source).len(), 1, "{source}");
        assert_eq!(
            stray_settings("src/config.rs", source),
            Vec::<String>::new()
        );
    }
    assert_eq!(
        stray_settings(
            "src/app.rs",
            "env!(\"CARGO_PKG_VERSION\"); std::env::args()"
        ),
        Vec::<String>::new()
    );
}

fn stray_settings(file: &str, source: &str) -> Vec<String> {
    let reads = expand(&code_of(source), "env::")
        .into_iter()
        .any(|path| path[0].starts_with("var"));
    complain(
        reads && !is_in(file, ENVIRONMENT_PLACES),
        format!("{file} reads the environment; config.rs does that"),
    )
}

#[test]
fn files_are_short_and_say_what_they_are() {
    check_tree(&["src", "tests"], unkempt);
}

#[test]
fn an_unkempt_file_is_told() {
    let long = format!("//! Long.\n{}", "\n".repeat(FILE_LINES_MAX));

    assert_eq!(unkempt("src/app.rs", "use std::fs;\n").len(), 1);
    assert_eq!(unkempt("tests/api/app.rs", &long).len(), 1);
    assert_eq!(unkempt("src/domain/helpers.rs", "//! Helps.\n").len(), 1);
    assert_eq!(unkempt("src/types/mod.rs", "//! Types.\n").len(), 1);
    assert_eq!(
        unkempt("src/app.rs", "//! An inner one.\nmod utils {}\n").len(),
        1
    );
    assert_eq!(
        unkempt("src/app.rs", "//! What the process shares.\n"),
        Vec::<String>::new()
    );
}

fn unkempt(file: &str, source: &str) -> Vec<String> {
    let names = expand(&code_of(source), "mod ")
        .into_iter()
        .map(|path| path[0].clone());
    let empty = names
        .chain(module_of(file))
        .find(|name| EMPTY_NAMES.contains(&name.as_str()));
    let lines = source.lines().count();
    [
        complain(
            !source.starts_with("//! "),
            format!("{file} does not begin with what it is, `//! …`"),
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
fn nothing_is_left_to_be_done() {
    check_tree(&["src", "tests", "migrations"], unfinished);
}

#[test]
fn a_note_of_something_to_do_is_told() {
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

#[test]
fn migrations_are_numbered_without_gaps() {
    let names = fs::read_dir("migrations")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(misnumbered(names.collect()), None);
}

#[test]
fn a_gap_between_migrations_is_told() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let second = Some("0002_b.sql".to_owned());

    assert_eq!(
        misnumbered(names(&["0001_a.sql", "0003_c.sql"])),
        Some("0003_c.sql".to_owned())
    );
    assert_eq!(misnumbered(names(&["0002_b.sql"])), second);
    assert_eq!(
        misnumbered(names(&["0001_a.sql", "0001_b.sql"])),
        Some("0001_b.sql".to_owned())
    );
    assert_eq!(
        misnumbered(names(&["0001_a.sql", "2_b.sql"])),
        Some("2_b.sql".to_owned())
    );
    assert_eq!(
        misnumbered(names(&["0001_a.sql", "0002_b.txt"])),
        Some("0002_b.txt".to_owned())
    );
    assert_eq!(misnumbered(names(&["0002_b.sql", "0001_a.sql"])), None);
}

/// The first name that is not `0001_<something>.sql` for the first, `0002_…` for the second, and so
/// on.
fn misnumbered(mut names: Vec<String>) -> Option<String> {
    names.sort();
    let fits = |name: &str, number: usize| {
        name.starts_with(&format!("{number:04}_"))
            && name.split_once('.').is_some_and(|(_, end)| end == "sql")
    };
    (1..)
        .zip(names)
        .find(|(number, name)| !fits(name, *number))
        .map(|(_, name)| name)
}

/// Reads every file under the folders, and fails with all that `rule` has to say of them.
fn check_tree(folders: &[&str], rule: fn(&str, &str) -> Vec<String>) {
    let files: Vec<String> = folders
        .iter()
        .flat_map(|folder| files_in(Path::new(folder)))
        .collect();
    assert!(files.len() > 1, "there is nothing in {folders:?}");
    let complaints: Vec<_> = files
        .iter()
        .flat_map(|file| rule(file, &fs::read_to_string(file).unwrap()))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn files_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files =
        entries.flat_map(
            |path| match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => files_in(&path),
                Some("rs" | "sql") => vec![path.to_str().unwrap().to_owned()],
                _ => Vec::new(),
            },
        );
    files.collect()
}

fn complain(wrong: bool, complaint: String) -> Vec<String> {
    wrong.then_some(complaint).into_iter().collect()
}

fn is_in(file: &str, places: &[&str]) -> bool {
    places.iter().any(|place| file.starts_with(place))
}

/// `["repositories", "bookings"]` from `src/repositories/bookings.rs`, `["repositories"]` from its
/// `mod.rs`.
fn module_of(file: &str) -> Vec<String> {
    let inside = file
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    inside.split('/').map(str::to_owned).collect()
}

/// The source without its comments.
fn code_of(source: &str) -> String {
    let lines = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path into this crate that the source of `module` names, from the root.
fn paths(module: &[String], source: &str) -> Vec<Vec<String>> {
    let code = code_of(source);
    let mut found: Vec<_> = ["crate::", "holdfast::"]
        .iter()
        .flat_map(|root| expand(&code, root))
        .collect();
    for path in expand(&code, "super::") {
        let ups = path.iter().take_while(|name| *name == "super").count() + 1;
        let base = module.len().saturating_sub(ups);
        found.push(
            module[..base]
                .iter()
                .chain(path.iter().skip(ups - 1))
                .cloned()
                .collect(),
        );
    }
    found
}

/// The paths that follow each whole-word `prefix`, with their braces multiplied out; none of them
/// is empty.
fn expand(code: &str, prefix: &str) -> Vec<Vec<String>> {
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
fn tree(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(inside) = text.strip_prefix('{') {
        return branches(inside).into_iter().flat_map(tree).collect();
    }
    let name: String = text
        .chars()
        .take_while(|letter| letter.is_alphanumeric() || "_*".contains(*letter))
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
