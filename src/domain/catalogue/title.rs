//! Titles and names that people read.

use crate::domain::field_errors::FieldErrors;

const CHARACTERS_MAX: usize = 200;

pub(super) fn check(errors: &mut FieldErrors, field: &str, title: &str) {
    let characters = title.trim().chars().count();
    errors.add_if(
        !(1..=CHARACTERS_MAX).contains(&characters),
        field,
        format!("must have 1 to {CHARACTERS_MAX} characters"),
    );
}
