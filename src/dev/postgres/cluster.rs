//! One cluster of databases on disk: where its files are, whether its server runs, and how to stop
//! it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::account::{Account, command, run};
use super::error::{LocalPostgresError, Result, about};
use super::folder;
use super::patience::wait_until;
use super::settings::Settings;
use crate::dev::process::Process;

/// The port's only use is in the socket's name.
pub(super) const PORT: u16 = 5432;
/// The name of a socket holds at most 103 bytes on macOS, and Postgres adds `/.s.PGSQL.5432`.
const SOCKET_FOLDER_BYTES_MAX: usize = 85;
/// Entered by the server's account, read by nobody else.
const ENTERED_BY_SERVER: u32 = 0o711;
const PRIVATE: u32 = 0o700;
const STOP_PATIENCE: Duration = Duration::from_mins(1);
const TAIL_LINES: usize = 12;

/// Paths of one cluster. All but `data`, `seed` and `sockets` belong to us, also when the server's
/// account is another.
pub(super) struct Cluster {
    /// What was given in the settings, and the major version: a data folder belongs to one.
    pub(super) base: PathBuf,
    pub(super) data: PathBuf,
    /// A disposable cluster begins each time as a copy of this one.
    pub(super) seed: PathBuf,
    /// One file for each process that uses the server.
    pub(super) claims: PathBuf,
    /// Exists while the watcher stops the server.
    pub(super) stopping: PathBuf,
    /// Names the watcher's process.
    pub(super) watcher: PathBuf,
    pub(super) log: PathBuf,
    pub(super) sockets: PathBuf,
    pub(super) durable: bool,
}

impl Cluster {
    /// Creates the folders that are missing and checks those that are there.
    pub(super) fn prepare(settings: &Settings, account: &Account, major: u32) -> Result<Self> {
        let home = home(&settings.directory, account)?;
        let base = home.join(major.to_string());
        let ours = [account.our_id];
        let mode = if account.is_other() {
            ENTERED_BY_SERVER
        } else {
            PRIVATE
        };
        folder::create(&base, mode, &ours)?;
        let claims = base.join("claims");
        folder::create(&claims, PRIVATE, &ours)?;
        let sockets = socket_folder(&base);
        // Ours too: we may have been killed between creating and giving it.
        folder::create(&sockets, PRIVATE, &[account.server_id(), account.our_id])?;
        account.give(&sockets).map_err(about(&sockets))?;
        Ok(Self {
            data: base.join("data"),
            seed: base.join("seed"),
            stopping: base.join("stopping"),
            watcher: base.join("watcher"),
            log: base.join("postgres.log"),
            durable: settings.durable,
            base,
            claims,
            sockets,
        })
    }

    /// One process at a time starts the server. The kernel frees the lock if we die.
    pub(super) fn lock(&self) -> Result<File> {
        let path = self.base.join("lock");
        let file = File::create(&path).map_err(about(&path))?;
        file.lock().map_err(about(&path))?;
        Ok(file)
    }

    /// Whether the server takes connections. A lock file that says so may have been left by a
    /// server that is gone.
    pub(super) fn is_ready(&self) -> bool {
        // The eighth line is what `pg_ctl --wait` looks at, too.
        let line = self.lock_file_line(7);
        line.is_some_and(|line| line == "ready")
            && UnixStream::connect(self.sockets.join(format!(".s.PGSQL.{PORT}"))).is_ok()
    }

    /// The server's first process, whether it takes connections or not.
    pub(super) fn server(&self) -> Option<Process> {
        self.named_process()
            .filter(|process| self.is_served_by(*process))
    }

    /// Whether the server is gone and another process has its number now.
    pub(super) fn lock_file_names_a_stranger(&self) -> bool {
        let process = self.named_process();
        process.is_some_and(|process| !self.is_served_by(process))
    }

    /// Stops the server if it runs, and waits for its end.
    pub(super) fn stop(&self) -> Result<()> {
        let Some(server) = self.server() else {
            return Ok(());
        };
        let mut kill = command("/bin/sh");
        kill.args(["-c", "kill -s \"$1\" \"$2\"", "sh", self.stop_signal()]);
        run(kill.arg(server.id.to_string()))?;
        if wait_until(STOP_PATIENCE, || !server.is_alive()) {
            Ok(())
        } else {
            Err(self.server_error("does not stop"))
        }
    }

    /// A fast shutdown; where nothing is kept, one that does not even write anything.
    pub(super) fn stop_signal(&self) -> &'static str {
        if self.durable { "INT" } else { "QUIT" }
    }

    /// An error about the server, with the end of its log.
    pub(super) fn server_error(&self, what: &str) -> LocalPostgresError {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..);
        LocalPostgresError::Server {
            what: what.to_owned(),
            log: self.log.clone(),
            tail: tail.unwrap_or_default().join("\n"),
        }
    }

    fn named_process(&self) -> Option<Process> {
        Process::find(self.lock_file_line(0)?.parse().ok()?)
    }

    /// A server works in its data folder, which tells it even from another Postgres. A container's
    /// root may not be allowed to look; then the name must do.
    fn is_served_by(&self, process: Process) -> bool {
        let works_in = fs::metadata(format!("/proc/{}/cwd", process.id));
        match (works_in, fs::metadata(&self.data)) {
            (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
            _ => is_named_postgres(process),
        }
    }

    fn lock_file_line(&self, index: usize) -> Option<String> {
        let content = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        Some(content.lines().nth(index)?.trim().to_owned())
    }
}

/// The folder from the settings or, when it lies where the server's account cannot go (`/root`),
/// one under `/var/tmp`.
fn home(directory: &Path, account: &Account) -> Result<PathBuf> {
    folder::create_plain(directory)?;
    let directory = directory.canonicalize().map_err(about(directory))?;
    if !account.is_other() || account.reaches(&directory) {
        return Ok(directory);
    }
    let elsewhere = Path::new("/var/tmp").join(unique_name(&directory));
    folder::create(&elsewhere, ENTERED_BY_SERVER, &[account.our_id])?;
    tracing::info!(
        "PostgreSQL's account cannot enter {}, so its data is in {}",
        directory.display(),
        elsewhere.display()
    );
    Ok(elsewhere)
}

fn socket_folder(base: &Path) -> PathBuf {
    let beside = base.join("run");
    if beside.as_os_str().len() <= SOCKET_FOLDER_BYTES_MAX {
        beside
    } else {
        Path::new("/tmp").join(unique_name(base))
    }
}

fn unique_name(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let start: Vec<u8> = digest.into_iter().take(8).collect();
    format!("holdfast-{}", hex::encode(start))
}

fn is_named_postgres(process: Process) -> bool {
    let file = fs::read_to_string(format!("/proc/{}/comm", process.id));
    let name = file.or_else(|_| {
        let id = process.id.to_string();
        run(command("ps").args(["-o", "comm=", "-p", &id]))
    });
    name.is_ok_and(|name| name.contains("postgres"))
}
