//! What only admins do.

pub mod movies;
pub mod shows;
