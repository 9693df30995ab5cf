//! Folders that belong to us or to the server's account and to nobody else.
//! Some lie under `/tmp`, where a stranger may have put something under the same name before.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::error::{LocalPostgresError, Result, about};

const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Creates a folder with this mode, or takes one that is already there if it is no link, belongs to
/// one of `owners` and nobody else may write to it. The folder above must be ours or sticky: then
/// what was checked stays true.
pub(super) fn create(path: &Path, mode: u32, owners: &[u32]) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check(path, owners)?,
        Err(error) => return Err(explain(path, error)),
        Ok(()) => {}
    }
    // The mode that was asked for at creation was narrowed by the umask.
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(about(path))
}

/// Creates a folder and those above it as anybody would.
pub(super) fn create_plain(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| explain(path, error))
}

fn check(path: &Path, owners: &[u32]) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(about(path))?;
    if found.is_symlink() {
        return refuse(path, "is a symbolic link".to_owned());
    }
    if !found.is_dir() {
        return refuse(path, "is not a folder".to_owned());
    }
    if !owners.contains(&found.uid()) {
        return refuse(path, belongs_to(found.uid()));
    }
    if found.mode() & WRITABLE_BY_OTHERS != 0 {
        return refuse(path, "can be written to by other users".to_owned());
    }
    Ok(())
}

/// When we may not create something, the folder above is somebody else's: often the project was
/// used as root before.
fn explain(path: &Path, error: io::Error) -> LocalPostgresError {
    let above = path.ancestors().skip(1).find(|above| above.exists());
    let owner = above.and_then(|above| Some((above, fs::metadata(above).ok()?.uid())));
    match owner {
        Some((above, owner)) if error.kind() == io::ErrorKind::PermissionDenied => {
            LocalPostgresError::FolderNotOurs {
                path: path.to_owned(),
                above: above.to_owned(),
                whose: belongs_to(owner),
            }
        }
        _ => about(path)(error),
    }
}

fn belongs_to(owner: u32) -> String {
    if owner == 0 {
        "belongs to root".to_owned()
    } else {
        format!("belongs to another user (id {owner})")
    }
}

fn refuse(path: &Path, what: String) -> Result<()> {
    Err(LocalPostgresError::FolderRefused {
        path: path.to_owned(),
        what,
    })
}
