//! What kind of server is wanted.

use std::path::PathBuf;

/// The oldest version that all of this works with.
pub(super) const OLDEST_MAJOR: u32 = 14;

/// Where a server is kept, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where its files are kept, such as `.data/postgres`. Root's may end up under `/var/tmp`
    /// instead, when the account that the server then runs as cannot enter this one.
    pub directory: PathBuf,
    /// `true`: what is committed survives a power cut. `false`: fast and forgetful, for tests;
    /// empty after each stop.
    pub durable: bool,
    /// How long the server outlives its last user.
    pub linger_seconds: u32,
}
