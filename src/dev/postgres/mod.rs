//! A local Postgres for development and tests: one cluster per directory on a private Unix socket,
//! shared by every process that asks for it, and stopped soon after the last of them has gone,
//! however it went.
//!
//! `PG_BIN_DIR` names the folder of the server's programs when those found by themselves are not
//! the right ones; with `PG_NO_DOWNLOAD` (any value) none are fetched when there are none on this
//! machine.

mod account;
mod binaries;
mod cluster;
mod download;
mod error;
mod folder;
mod patience;
mod settings;
mod startup;
mod watcher;

use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use account::Account;
use binaries::Binaries;
use cluster::{Cluster, PORT};
pub use error::LocalPostgresError;
pub use settings::Settings;
use watcher::Claim;

/// While this lives (or, if it is never dropped, while this process lives) the server stays up.
pub struct LocalPostgres {
    socket_directory: PathBuf,
    started: bool,
    _claim: Claim,
}

impl LocalPostgres {
    /// Joins the server of this directory, and starts it if need be. Blocks: about a second the
    /// very first time, a tenth of one otherwise, and a download of Postgres if there is none on
    /// this machine.
    pub fn open(settings: &Settings) -> Result<Self, LocalPostgresError> {
        let account = Account::choose()?;
        let binaries = Binaries::find(&account)?;
        let cluster = Cluster::prepare(settings, &account, binaries.major)?;
        let _lock = cluster.lock()?;
        // The claim comes before the look for a stop that has begun; the watcher does it in the
        // other order.
        let claim = Claim::make(&cluster.claims)?;
        watcher::wait_for_stop(&cluster)?;
        // The watcher comes before the server: if we are killed in between, it still finds and
        // stops it.
        watcher::ensure(&cluster, settings.linger_seconds)?;
        let started = startup::ensure(&cluster, &binaries, &account)?;
        Ok(Self {
            socket_directory: cluster.sockets,
            started,
            _claim: claim,
        })
    }

    /// To connect as the superuser to the database `postgres`.
    pub fn connect_options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_directory)
            .port(PORT)
            .username("postgres")
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
    }

    /// Whether the server was not running before.
    pub fn started(&self) -> bool {
        self.started
    }

    /// For a look from outside: `psql -h <this directory> -U postgres`.
    pub fn socket_directory(&self) -> &Path {
        &self.socket_directory
    }
}
