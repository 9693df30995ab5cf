//! Who may reach what is made for one developer.

use std::net::SocketAddr;

use super::failure::Failure;

/// The help of the flag `--expose`.
pub(super) const EXPOSE_HELP: &str =
    "Let other machines in, by an address that is not loopback: whoever comes can become admin";

/// Refuses an address that other machines reach, unless that is wanted.
pub(super) fn check_exposure(bind: SocketAddr, expose: bool) -> Result<(), Failure> {
    if bind.ip().is_loopback() || expose {
        return Ok(());
    }
    let why = "other machines could reach it, pay, sign in and become admin as they like";
    Err(format!("{bind} is not a loopback address: {why}; add --expose if they may").into())
}
