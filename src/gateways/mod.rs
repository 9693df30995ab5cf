//! The world outside, in our words: Stripe, and the issuer that vouches for users. No SQL, no
//! rules.

pub mod identity;
mod odd_json;
pub mod stripe;

// Whatever is sent to us may hold what cannot be read exactly.
use odd_json::simplify;
