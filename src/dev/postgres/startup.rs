//! From nothing to a server that takes connections. The caller holds the cluster's lock.

use std::fs::{self, File};
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use super::account::{Account, run};
use super::binaries::Binaries;
use super::cluster::{Cluster, PORT};
use super::error::{LocalPostgresError, Result, about};
use super::folder;
use super::patience::wait_until;

/// The recovery after a crash can take a while.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// For a server that another process was starting when it was killed.
const OTHERS_PATIENCE: Duration = Duration::from_secs(10);
const LOG_BYTES_MAX: u64 = 16 << 20;
const PRIVATE: u32 = 0o700;

const SETTINGS: [&str; 6] = [
    "listen_addresses=",
    "lc_messages=C",
    "timezone=UTC",
    "log_timezone=UTC",
    "max_connections=200",
    "max_wal_size=2GB",
];
/// For a cluster that nobody misses: no waiting for the disk, nothing for replicas, no work behind
/// a test's back.
const DISPOSABLE_SETTINGS: [&str; 7] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "log_checkpoints=off",
];

/// Makes sure that the server takes connections; returns whether it had to be started.
pub(super) fn ensure(cluster: &Cluster, binaries: &Binaries, account: &Account) -> Result<bool> {
    // A server that is not ready: who started it was killed, or the folder of its socket was
    // cleaned away.
    if cluster.server().is_some() && !wait_until(OTHERS_PATIENCE, || cluster.is_ready()) {
        cluster.stop()?;
    }
    if cluster.is_ready() {
        return Ok(false);
    }
    fill(cluster, binaries, account)?;
    let mut child = spawn(cluster, binaries, account)?;
    let mut ended = None;
    let ready = wait_until(START_PATIENCE, || {
        ended = child.try_wait().ok().flatten();
        ended.is_some() || cluster.is_ready()
    });
    if let Some(status) = ended {
        return Err(cluster.server_error(&format!("ended while starting ({status})")));
    }
    if !ready {
        cluster.stop()?;
        return Err(cluster.server_error("was not ready within a minute"));
    }
    // If it stops before we do, somebody has to take note of its end.
    thread::spawn(move || child.wait());
    Ok(true)
}

/// Puts a data folder there that the server can start on.
fn fill(cluster: &Cluster, binaries: &Binaries, account: &Account) -> Result<()> {
    let first = if cluster.durable {
        &cluster.data
    } else {
        &cluster.seed
    };
    if !first.join("PG_VERSION").exists() {
        initialise(cluster, first, binaries, account)?;
    }
    if !cluster.durable {
        renew(&cluster.data, account)?;
        let content = cluster.seed.join(".");
        run(account
            .command("cp")
            .arg("-a")
            .arg(content)
            .arg(&cluster.data))?;
    }
    // Postgres would take the stranger for a running server. Otherwise the file stays, since
    // Postgres finds out from it whether processes of a server that was killed are still at work.
    if cluster.lock_file_names_a_stranger() {
        let lock_file = cluster.data.join("postmaster.pid");
        fs::remove_file(&lock_file).map_err(about(&lock_file))?;
    }
    Ok(())
}

/// Beside the real place and then renamed, so that a killed `initdb` never leaves half a cluster.
fn initialise(cluster: &Cluster, to: &Path, binaries: &Binaries, account: &Account) -> Result<()> {
    let new = cluster.base.join("new");
    // Of the two, macOS and some small images have only the second.
    let made = create_databases(&new, "C.UTF-8", cluster, binaries, account)
        .or_else(|_| create_databases(&new, "C", cluster, binaries, account));
    made?;
    fs::rename(&new, to).map_err(about(to))
}

fn create_databases(
    new: &Path,
    locale: &str,
    cluster: &Cluster,
    binaries: &Binaries,
    account: &Account,
) -> Result<()> {
    renew(new, account)?;
    let mut initdb = account.command(binaries.folder.join("initdb"));
    initdb.arg("-D").arg(new);
    initdb.args([
        "--username=postgres",
        "--encoding=UTF8",
        "--no-instructions",
    ]);
    // The folder of the socket lets nobody else in.
    initdb.args(["--auth=trust", &format!("--locale={locale}")]);
    if !cluster.durable {
        initdb.arg("--no-sync");
    }
    run(&mut initdb).map(drop)
}

/// An empty folder of the server's account.
fn renew(path: &Path, account: &Account) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(about(path))?;
    }
    folder::create(path, PRIVATE, &[account.our_id])?;
    account.give(path).map_err(about(path))
}

fn spawn(cluster: &Cluster, binaries: &Binaries, account: &Account) -> Result<Child> {
    let about_log = || about(&cluster.log);
    if fs::metadata(&cluster.log).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        fs::remove_file(&cluster.log).map_err(about_log())?;
    }
    let log = File::options().create(true).append(true).open(&cluster.log);
    let log = log.map_err(about_log())?;
    let program = binaries.folder.join("postgres");
    let mut postgres = account.command(&program);
    postgres.arg("-D").arg(&cluster.data);
    postgres.arg("-k").arg(&cluster.sockets);
    postgres.arg("-p").arg(PORT.to_string());
    let disposable = DISPOSABLE_SETTINGS.iter().filter(|_| !cluster.durable);
    for setting in SETTINGS.iter().chain(disposable) {
        postgres.args(["-c", setting]);
    }
    let copy = log.try_clone().map_err(about_log())?;
    let spawned = postgres.stdout(copy).stderr(log).spawn();
    spawned.map_err(|source| LocalPostgresError::File {
        path: program,
        source,
    })
}
