//! How migrations are numbered.

use std::fs;

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
