//! The runbook is true: its SQL runs as the role of `serve`, the routes that it names are there,
//! and what it refers to is in it.

use std::collections::HashSet;

use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::audiences::{NOBODYS, Route};
use crate::harness::database;

const RUNBOOK: &str = include_str!("../../RUNBOOK.md");
const METHODS: [&str; 4] = ["GET", "POST", "PATCH", "DELETE"];

/// What stands between backticks, each on one line.
fn quoted() -> Vec<String> {
    let outside_of_blocks = RUNBOOK.split("```").step_by(2);
    let spans = outside_of_blocks.flat_map(|text| text.split('`').skip(1).step_by(2));
    spans.map(one_line).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The end of a link to this heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    let kept = kept.collect::<String>();
    kept.to_lowercase().replace(' ', "-")
}

#[tokio::test]
async fn its_sql_runs_as_the_role_of_serve() {
    let database = database().await;
    let mut db = database.options_of_serve().connect().await.unwrap();
    let quoted = quoted();
    let statements = quoted.iter().filter(|text| text.starts_with("select "));
    let mut count = 0;

    for statement in statements {
        let filled = statement
            .replace("'…'", &format!("'{NOBODYS}'"))
            .replace("ID", "1")
            .replace(" N ", " 1 ");
        let run = db.execute(AssertSqlSafe(filled)).await;
        assert!(run.is_ok(), "{statement}: {run:?}");
        count += 1;
    }

    assert!(count > 15, "only {count} were found");
}

#[test]
fn its_routes_are_there() {
    let described: HashSet<_> = Route::all()
        .iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let quoted = quoted();
    let named = quoted.iter().filter_map(|text| {
        let (method, path) = text.split_once(' ')?;
        let path = path.split(['?', ' ']).next()?;
        (METHODS.contains(&method) && path.starts_with("/api/")).then(|| format!("{method} {path}"))
    });

    let missing: Vec<_> = named.filter(|route| !described.contains(route)).collect();

    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn what_it_refers_to_is_in_it() {
    let headings = RUNBOOK.lines().filter_map(|line| line.strip_prefix("## "));
    let headings: Vec<_> = headings.collect();
    let anchors: HashSet<_> = headings.iter().map(|heading| anchor(heading)).collect();
    let links = RUNBOOK.split("](#").skip(1);
    let links: HashSet<_> = links
        .filter_map(|text| text.split(')').next())
        .map(str::to_owned)
        .collect();
    let text = one_line(&RUNBOOK.replace("See \"", "see \""));
    let pages = text
        .split("see \"")
        .skip(1)
        .filter_map(|text| text.split_once('"'));
    let pages: HashSet<_> = pages.map(|(page, _)| page).collect();

    assert_eq!(links, anchors, "each page is in the table, and no other");
    let missing = |page: &&&str| !headings.iter().any(|heading| heading.starts_with(**page));
    assert_eq!(pages.iter().filter(missing).count(), 0, "{pages:?}");
}
