//! The rules of the house that a machine can check: who may import whom, where SQL and settings
//! are, how files look.
//!
//! Each rule is a function over the text of one file, and has a test that a wrong text is reported.

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

mod architecture {
    mod form;
    mod layers;
    mod migrations;
    mod places;
    mod source;
}
