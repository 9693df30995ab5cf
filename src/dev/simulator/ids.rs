//! Makes ids that look like Stripe's.

use rand::distr::{Alphanumeric, SampleString as _};

const SESSION_CHARACTERS: usize = 58;
const OBJECT_CHARACTERS: usize = 24;

/// An id such as `pi_3SxT…`; `prefix` is without the underscore.
pub(super) fn object_id(prefix: &str) -> String {
    format!("{prefix}_{}", random(OBJECT_CHARACTERS))
}

/// Sessions carry the mode in their id, and long random parts: who knows the id can pay.
pub(super) fn session_id() -> String {
    format!("cs_test_a1{}", random(SESSION_CHARACTERS))
}

/// The secret half of a `client_secret`.
pub(super) fn secret() -> String {
    random(OBJECT_CHARACTERS)
}

fn random(characters: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), characters)
}
