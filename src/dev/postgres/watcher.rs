//! Who shares the server, and the small shell process that stops it when nobody does any more.
//! A process that is killed cannot say goodbye, so the watcher looks for itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::account::command;
use super::cluster::Cluster;
use super::error::{Result, about};
use super::patience::wait_until;
use crate::dev::process::Process;

const WATCHER: &str = include_str!("watcher.sh");
/// A shutdown writes out what is in memory.
const STOP_PATIENCE: Duration = Duration::from_mins(1);

static CLAIMS: AtomicU32 = AtomicU32::new(0);

/// A file that says that this process uses the server; it counts as long as the process lives.
pub(super) struct Claim(PathBuf);

impl Claim {
    pub(super) fn make(claims: &Path) -> Result<Self> {
        let number = CLAIMS.fetch_add(1, Ordering::Relaxed);
        let path = claims.join(format!("{}-{number}", Process::current()));
        File::create(&path).map_err(about(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // If the file cannot be removed, it loses its meaning when this process ends.
        drop(fs::remove_file(&self.0));
    }
}

/// Waits until a stop that has begun is over; finishes it if its watcher was killed halfway.
/// The caller holds the cluster's lock and has made its claim.
pub(super) fn wait_for_stop(cluster: &Cluster) -> Result<()> {
    wait_until(STOP_PATIENCE, || {
        !cluster.stopping.exists() || !is_running(cluster)
    });
    if !cluster.stopping.exists() {
        return Ok(());
    }
    if is_running(cluster) {
        return Err(cluster.server_error("is being stopped and does not stop"));
    }
    cluster.stop()?;
    fs::remove_dir(&cluster.stopping).map_err(about(&cluster.stopping))
}

/// Starts the watcher unless there is one. The caller holds the cluster's lock and has made its
/// claim.
pub(super) fn ensure(cluster: &Cluster, linger_seconds: u32) -> Result<()> {
    if is_running(cluster) {
        return Ok(());
    }
    let mut shell = command("/bin/sh");
    shell.args(["-c", WATCHER, "holdfast-postgres-watcher"]);
    shell.args([
        &cluster.claims,
        &cluster.stopping,
        &cluster.data,
        &cluster.watcher,
    ]);
    shell
        .arg(linger_seconds.to_string())
        .arg(cluster.stop_signal());
    shell.arg(if cluster.durable { "no" } else { "yes" });
    let spawned = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = spawned.map_err(about(Path::new("/bin/sh")))?;
    if let Some(watcher) = Process::find(child.id()) {
        fs::write(&cluster.watcher, watcher.to_string()).map_err(about(&cluster.watcher))?;
    }
    // Nobody else would take note of its end while this process lives.
    thread::spawn(move || child.wait());
    Ok(())
}

fn is_running(cluster: &Cluster) -> bool {
    let name = fs::read_to_string(&cluster.watcher).ok();
    name.and_then(|name| Process::parse(&name))
        .is_some_and(Process::is_alive)
}
