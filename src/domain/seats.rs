//! Seat labels and the seats of a show: rows of numbered seats, in natural order.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::field_errors::FieldErrors;
use super::ids::ShowId;
use super::money::Money;
use super::refusal::SEATS_REPEATED_MAX;

/// The most rows of one show.
const ROWS_MAX: usize = 100;
/// The most seats of one row.
const ROW_SEATS_MAX: u32 = 200;
/// The most seats of one show: the largest halls have about this many.
const SHOW_SEATS_MAX: usize = 5_000;
/// The longest row name, in letters.
const ROW_NAME_LETTERS_MAX: usize = 3;

/// The longest label that anybody can ask for, in characters.
const LABEL_CHARACTERS_MAX: usize = 32;

/// Whether a seat can be called so: by 1 to 32 letters and digits of any script, spaces, `-` and
/// `.`.
pub fn is_label(text: &str) -> bool {
    let is_of_label = |character: char| character.is_alphanumeric() || " -.".contains(character);
    (1..=LABEL_CHARACTERS_MAX).contains(&text.chars().count()) && text.chars().all(is_of_label)
}

/// One row of seats, as an admin describes it: `{"row": "A", "seats": 10, "tier": "regular"}` is A1
/// to A10.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeatRow {
    /// One to three upper-case letters.
    pub row: String,
    /// How many seats, from 1.
    pub seats: u32,
    /// The name of one of the show's tiers.
    pub tier: String,
}

/// One seat of a show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Row and number, such as `A10`.
    pub(crate) label: String,
    /// The tier that prices it.
    pub(crate) tier: String,
    /// False for a blocked seat.
    pub(crate) sellable: bool,
}

/// The seats of a show and what they cost, apart from who has them.
#[derive(Debug)]
pub struct Layout {
    /// Grows with each change.
    pub(crate) version: i64,
    /// In natural order.
    pub(crate) seats: Vec<PricedSeat>,
}

/// One seat of a layout.
#[derive(Debug)]
pub struct PricedSeat {
    pub(crate) label: String,
    pub(crate) tier: String,
    pub(crate) price: Money,
    /// False for a blocked seat.
    pub(crate) sellable: bool,
}

/// The seats of a show that somebody has.
#[derive(Debug)]
pub struct TakenSeats {
    pub(crate) show_id: ShowId,
    /// Of the layout that they belong to.
    pub(crate) layout_version: i64,
    pub(crate) all: Vec<String>,
    /// Labels of those that somebody is still paying for; the others are sold.
    pub(crate) held: Vec<String>,
}

/// Whether a seat can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SeatState {
    /// It can be booked.
    Free,
    /// Someone is paying for it.
    Held,
    /// It is sold.
    Sold,
    /// It is not for sale.
    Blocked,
}

impl Layout {
    /// The seats in natural order, each with its state.
    pub fn with_states<'a>(
        &'a self,
        taken: &'a TakenSeats,
    ) -> impl Iterator<Item = (&'a PricedSeat, SeatState)> {
        let sold = taken
            .all
            .iter()
            .map(|label| (label.as_str(), SeatState::Sold));
        let held = taken
            .held
            .iter()
            .map(|label| (label.as_str(), SeatState::Held));
        // Of a seat that is in both, the later counts.
        let taken: HashMap<&str, SeatState> = sold.chain(held).collect();
        self.seats.iter().map(move |seat| {
            let otherwise = if seat.sellable {
                SeatState::Free
            } else {
                SeatState::Blocked
            };
            (
                seat,
                taken.get(seat.label.as_str()).copied().unwrap_or(otherwise),
            )
        })
    }
}

/// The seats that `rows` describe, in natural order; `blocked` ones are not sellable.
pub(super) fn lay_out(rows: &[SeatRow], blocked: &[String]) -> Result<Vec<Seat>, FieldErrors> {
    let mut errors = FieldErrors::default();
    check_rows(&mut errors, rows);
    let blocked: BTreeSet<&str> = blocked.iter().map(String::as_str).collect();
    let mut seats: Vec<Seat> = rows
        .iter()
        .take(ROWS_MAX)
        .flat_map(|row| (1..=row.seats.min(ROW_SEATS_MAX)).map(move |number| (row, number)))
        .map(|(row, number)| {
            let label = format!("{}{number}", row.row);
            Seat {
                sellable: !blocked.contains(label.as_str()),
                label,
                tier: row.tier.clone(),
            }
        })
        .collect();
    seats.sort_by(|a, b| natural_key(&a.label).cmp(&natural_key(&b.label)));
    check_seats(&mut errors, &seats, &blocked);
    errors.finish(seats)
}

fn check_rows(errors: &mut FieldErrors, rows: &[SeatRow]) {
    errors.add_if(
        !(1..=ROWS_MAX).contains(&rows.len()),
        "rows",
        format!("must be 1 to {ROWS_MAX} rows"),
    );
    for (index, row) in rows.iter().enumerate() {
        let letters = row.row.len();
        let upper_case = row.row.bytes().all(|byte| byte.is_ascii_uppercase());
        errors.add_if(
            !upper_case || !(1..=ROW_NAME_LETTERS_MAX).contains(&letters),
            format!("rows[{index}].row"),
            format!("must be 1 to {ROW_NAME_LETTERS_MAX} upper-case letters"),
        );
        errors.add_if(
            !(1..=ROW_SEATS_MAX).contains(&row.seats),
            format!("rows[{index}].seats"),
            format!("must be between 1 and {ROW_SEATS_MAX}"),
        );
    }
}

fn check_seats(errors: &mut FieldErrors, seats: &[Seat], blocked: &BTreeSet<&str>) {
    errors.add_if(
        seats.len() > SHOW_SEATS_MAX,
        "rows",
        format!("have more than {SHOW_SEATS_MAX} seats"),
    );
    let labels: BTreeSet<&str> = seats.iter().map(|seat| seat.label.as_str()).collect();
    errors.add_if(labels.len() < seats.len(), "rows", "name a row twice");
    let unknown: Vec<&str> = blocked.difference(&labels).copied().collect();
    if !unknown.is_empty() {
        let known = unknown.iter().filter(|label| is_label(label));
        let repeated: Vec<&str> = known.copied().take(SEATS_REPEATED_MAX).collect();
        let message = format!("names seats that are in no row: {}", repeated.join(", "));
        errors.add("blocked", message);
    }
}

/// Sorts labels as people do: A2 before A10, row Z before row AA.
pub fn sort_naturally(labels: &mut [String]) {
    labels.sort_by(|a, b| natural_key(a).cmp(&natural_key(b)));
}

/// Orders A2 before A10, and row Z before row AA.
fn natural_key(label: &str) -> (usize, &str, u64) {
    let digits_from = label
        .find(|character: char| character.is_ascii_digit())
        .unwrap_or(label.len());
    let (row, number) = label.split_at(digits_from);
    (row.len(), row, number.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Refusal;

    #[test]
    fn a_label_is_short_and_of_letters_digits_spaces_dashes_and_dots() {
        let long = "é".repeat(LABEL_CHARACTERS_MAX);
        for (text, is_one) in [
            ("A1", true),
            ("Loge 3-4.b", true),
            ("東12", true),
            ("Ряд ٣", true),
            (long.as_str(), true),
            (&format!("{long}é"), false),
            ("", false),
            ("A,1", false),
            ("A\u{0}1", false),
            ("A\n1", false),
            ("<b>", false),
        ] {
            assert_eq!(is_label(text), is_one, "{text:?}");
        }
    }

    fn row(row: &str, seats: u32) -> SeatRow {
        SeatRow {
            row: row.to_owned(),
            seats,
            tier: "regular".to_owned(),
        }
    }

    fn wrong_fields(rows: &[SeatRow], blocked: &[String]) -> Vec<String> {
        let refusal = Refusal::from(lay_out(rows, blocked).unwrap_err());
        let Refusal::ValidationFailed(errors) = refusal else {
            panic!("{refusal:?}");
        };
        errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn seats_come_in_natural_order() {
        let rows = [row("AA", 1), row("B", 2), row("A", 11)];

        let seats = lay_out(&rows, &["A2".to_owned()]).unwrap();

        let labels: Vec<&str> = seats.iter().map(|seat| seat.label.as_str()).collect();
        assert_eq!(labels[..3], ["A1", "A2", "A3"]);
        assert_eq!(labels[9..], ["A10", "A11", "B1", "B2", "AA1"]);
        assert!(!seats[1].sellable);
        assert!(seats[0].sellable);
    }

    #[test]
    fn all_that_is_wrong_with_a_layout_is_named() {
        for (rows, blocked, fields) in [
            (vec![], vec![], vec!["rows"]),
            (vec![row("a", 1)], vec![], vec!["rows[0].row"]),
            (vec![row("A", 0)], vec![], vec!["rows[0].seats"]),
            (vec![row("A", u32::MAX)], vec![], vec!["rows[0].seats"]),
            (vec![row("A", 1), row("A", 2)], vec![], vec!["rows"]),
            (vec![row("A", 1)], vec!["B1".to_owned()], vec!["blocked"]),
            (
                vec![row("", 0)],
                vec!["B1".to_owned()],
                vec!["rows[0].row", "rows[0].seats", "blocked"],
            ),
        ] {
            assert_eq!(wrong_fields(&rows, &blocked), fields);
        }
    }

    #[test]
    fn the_largest_layout_is_bounded() {
        let rows: Vec<SeatRow> = (b'A'..=b'Z')
            .map(|letter| row(&char::from(letter).to_string(), ROW_SEATS_MAX))
            .collect();

        assert_eq!(wrong_fields(&rows, &[]), ["rows"]);
    }
}
