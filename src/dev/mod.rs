//! What only `holdfast dev`, `holdfast simulator` and the tests use: the world around Holdfast, on
//! one machine.

pub mod identity;
pub mod loopback;
pub mod postgres;
mod process;
pub mod simulator;
pub mod test_database;
pub mod webhook_secret;
