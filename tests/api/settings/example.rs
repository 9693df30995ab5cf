//! `.env.example` and the comments in `config.rs` name every setting.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use holdfast::config::{Config, LogConfig, STRIPE_API_BASE_DEFAULT};

use super::GOOD;

/// Variables that only the local Postgres reads, which `serve` does not contain.
const OF_THE_LOCAL_POSTGRES: [&str; 2] = ["PG_BIN_DIR", "PG_NO_DOWNLOAD"];

const EXAMPLE: &str = include_str!("../../../.env.example");

/// The variables that the settings are read from; each secret may also be in a file.
fn asked() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let lookup = |variable: &str| {
        asked.borrow_mut().insert(variable.to_owned());
        None
    };
    Config::read(lookup).unwrap_err();
    Config::read_roles(lookup).unwrap_err();
    LogConfig::read(lookup).unwrap();
    let (files, variables): (BTreeSet<_>, BTreeSet<_>) = asked
        .into_inner()
        .into_iter()
        .partition(|variable| variable.ends_with("_FILE"));
    let of_files = files.iter().map(|name| name.trim_end_matches("_FILE"));
    let secrets = [
        "DATABASE_URL",
        "MIGRATION_DATABASE_URL",
        "STRIPE_SECRET_KEY",
        "STRIPE_WEBHOOK_SECRET",
    ];
    assert_eq!(of_files.collect::<Vec<_>>(), secrets);
    variables
}

/// Whether a line sets a variable; `true` beside it where the line is commented out.
fn setting(line: &str) -> Option<(&str, &str, bool)> {
    let commented = line.strip_prefix("# ");
    let (variable, value) = commented.unwrap_or(line).split_once('=')?;
    let is_name = variable
        .chars()
        .all(|letter| letter.is_ascii_uppercase() || letter == '_');
    is_name.then_some((variable, value, commented.is_some()))
}

#[test]
fn the_example_has_every_variable_once_each_with_a_comment() {
    let lines: Vec<_> = EXAMPLE.lines().collect();
    let listed: Vec<_> = lines
        .iter()
        .filter_map(|line| setting(line))
        .map(|(variable, ..)| variable.to_owned())
        .collect();
    let known: BTreeSet<_> = asked()
        .into_iter()
        .chain(OF_THE_LOCAL_POSTGRES.map(str::to_owned))
        .collect();

    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), known);
    assert_eq!(listed.len(), known.len(), "{listed:?}");
    for pair in lines.windows(2) {
        let explained = pair[0].starts_with("# ") && setting(pair[0]).is_none();
        assert!(
            setting(pair[1]).is_none() || explained,
            "{} has no comment",
            pair[1]
        );
    }
}

#[test]
fn the_comments_of_the_settings_name_every_variable_once() {
    let comments = include_str!("../../../src/config/settings.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("/// `"));
    let named: Vec<_> = comments
        .filter_map(|comment| comment.split_once("`: "))
        .map(|(name, _)| name.to_owned())
        .collect();

    assert_eq!(named.iter().cloned().collect::<BTreeSet<_>>(), asked());
    assert_eq!(named.len(), asked().len(), "{named:?}");
}

#[test]
fn the_example_stands_as_it_is_and_with_all_its_comments_taken_away() {
    let settings: Vec<_> = EXAMPLE.lines().filter_map(setting).collect();
    let uncommented: Vec<_> = settings
        .iter()
        .map(|(variable, value, _)| format!("{variable}={value}"))
        .collect();

    for text in [EXAMPLE, &uncommented.join("\n")] {
        let entries: Result<BTreeMap<_, _>, _> = dotenvy::from_read_iter(text.as_bytes()).collect();
        let entries: BTreeMap<String, String> = entries.unwrap();
        let config = Config::read(|variable| entries.get(variable).cloned()).unwrap();
        LogConfig::read(|variable| entries.get(variable).cloned()).unwrap();
        let defaults = ["127.0.0.1:3000", "600s", "300", STRIPE_API_BASE_DEFAULT];
        for default in defaults {
            assert!(
                format!("{config:?}").contains(default),
                "{default}: {config:?}"
            );
        }
    }
    let required: BTreeSet<_> = settings
        .iter()
        .filter(|(.., commented)| !commented)
        .map(|(name, ..)| *name)
        .collect();
    assert_eq!(
        required,
        GOOD.iter().map(|(variable, _)| *variable).collect()
    );
}
