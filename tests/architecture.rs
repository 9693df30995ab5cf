//! The rules of the house that a machine can check: who may import whom, what has one place, how
//! files and functions look, and which words are not said.
//!
//! Each rule is a function over the text of one file, or of all, and has a test that a wrong text
//! is reported.

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
    mod circles;
    mod form;
    mod functions;
    mod layers;
    mod migrations;
    mod places;
    mod source;
    mod words;
}
