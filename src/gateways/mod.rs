//! The world outside, in our words: Stripe, and the issuer that vouches for users. No SQL, no
//! rules.

pub mod identity;
pub mod stripe;
