//! Holdfast, a booking backend with Stripe Checkout: a seat is never sold twice, a payment is never
//! lost.
//!
//! The layers, from the top: `routes`, `controllers`, `http`, `workflows`, `app`, `repositories`
//! and `gateways`, `connection`, `error` with `config` and `telemetry`, `domain`. Each knows only
//! those below it; `tests/architecture.rs` sees to it.

pub mod app;
pub mod config;
pub mod connection;
pub mod controllers;
#[cfg(feature = "dev")]
pub mod dev;
pub mod domain;
pub mod error;
pub mod gateways;
pub mod http;
pub mod jobs;
pub mod repositories;
pub mod routes;
pub mod settlement;
pub mod telemetry;
pub mod workflows;
