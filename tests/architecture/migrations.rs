//! How migrations are numbered, and what they leave to the code: a trigger refuses, and starts
//! nothing.

use std::fs;

use super::source::{check_tree, complain};

#[test]
fn migrations_are_numbered_without_gaps() {
    let names = fs::read_dir("migrations")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(misnumbered(names.collect()), None);
}

#[test]
fn a_gap_between_migrations_is_reported() {
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

#[test]
fn migrations_start_no_work() {
    check_tree(&["migrations"], hidden_work);
}

#[test]
fn hidden_work_is_reported() {
    let trigger = |body: &str| {
        format!(
            "create table a ();\n\
             create or replace function f() returns trigger language plpgsql as $$\n\
             begin\n  {body}\n  return null;\nend $$;\n"
        )
    };
    let wrong = [
        trigger("perform queue.add_job('holdfast');"),
        trigger("insert into jobs (kind) values ('refund');"),
        trigger("insert\n    into queue._private_jobs (key) values ('refund');"),
        "notify changes;".to_owned(),
        "select pg_notify('changes', '');".to_owned(),
    ];
    for source in wrong {
        assert_eq!(
            hidden_work("migrations/0001_a.sql", &source).len(),
            1,
            "{source}"
        );
    }
    let right = [
        trigger("raise exception 'no';"),
        trigger("insert into booking_events (booking_id) values (new.id);"),
        trigger("-- perform queue.add_job('holdfast'), and notify"),
        "insert into jobs (kind) values ('refund');\nselect add_job('holdfast');".to_owned(),
        "create table notifications ();".to_owned(),
    ];
    for source in right {
        assert_eq!(
            hidden_work("migrations/0001_a.sql", &source),
            Vec::<String>::new(),
            "{source}"
        );
    }
}

fn hidden_work(file: &str, source: &str) -> Vec<String> {
    let code: Vec<_> = source
        .lines()
        .map(|line| line.split("--").next().unwrap())
        .flat_map(str::split_whitespace)
        .collect();
    let code = code.join(" ").to_lowercase();
    let mut words = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let notifies = words.any(|word| ["notify", "pg_notify"].contains(&word));
    let enqueues = code
        .split("create ")
        .filter(|statement| statement.contains(" returns trigger "))
        .filter_map(|statement| statement.split("$$").nth(1))
        .any(|body| {
            let mut inserts = body.match_indices("insert into ").map(|(start, into)| {
                let table = body[start + into.len()..].split([' ', '(']).next().unwrap();
                table.rsplit('.').next().unwrap().ends_with("jobs")
            });
            body.contains("add_job(") || inserts.any(|into_queue| into_queue)
        });
    [
        complain(
            notifies,
            format!("{file} notifies; commits then wait for each other"),
        ),
        complain(
            enqueues,
            format!("{file}: a trigger enqueues a job; a workflow does that"),
        ),
    ]
    .concat()
}
