//! What only `holdfast dev`, `holdfast simulator` and the tests use: the world around Holdfast, on one machine.

pub mod simulator;
