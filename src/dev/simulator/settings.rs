//! What a simulator is started with.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};

/// How a simulator starts.
#[derive(Debug)]
pub struct Options {
    /// Port 0 takes any free port.
    pub bind: SocketAddr,
    /// The webhook endpoints of the account.
    pub endpoints: Vec<Endpoint>,
    /// Keeps the account over restarts; without it, everything is forgotten.
    pub data_file: Option<PathBuf>,
    /// `Some`: the clock stands still there until it is moved. `None`: it follows the system's.
    pub now: Option<DateTime<Utc>>,
}

/// A webhook endpoint. Two with the same address are one whose secret is being rolled: it gets both
/// signatures.
#[derive(Clone)]
pub struct Endpoint {
    /// Where events are posted: a plain `http` address, since the merchant is on this machine.
    pub url: String,
    /// The signing key: the whole string, `whsec_` included.
    pub secret: String,
    /// The version events are labelled with; without it, the one that the simulator renders.
    pub api_version: Option<String>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
