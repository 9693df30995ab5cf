//! Operations with several steps, or with several callers. They know nothing of HTTP, and nothing
//! of each other.

pub mod checkout;
pub mod seed;
pub mod settlement;
