//! Why there is no local Postgres, each time in one sentence that says what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the local Postgres could not be had.
#[expect(missing_docs, reason = "the messages say what the fields are")]
#[derive(Debug, thiserror::Error)]
pub enum LocalPostgresError {
    /// Nothing on this machine, and nothing could be fetched either.
    #[error(
        "no PostgreSQL server (version {oldest} or newer) was found on this machine and none was \
         fetched ({why}): install one (Debian: `apt install postgresql`; macOS: `brew install \
         postgresql@17`) or name the folder of its `initdb` and `postgres` in PG_BIN_DIR"
    )]
    NotFound { oldest: u32, why: String },
    /// `PG_BIN_DIR` is set and of no use.
    #[error(
        "PG_BIN_DIR names {}, where no `initdb` and `postgres` of version {oldest} or newer can be \
         run: correct the variable or unset it",
        directory.display()
    )]
    BinariesUnusable { directory: PathBuf, oldest: u32 },
    /// Postgres refuses to run as root, and there is nobody else to run it as.
    #[error(
        "PostgreSQL does not run as root, and there is no account `postgres` or `nobody` to run it \
         as: create one or run Holdfast as a normal user"
    )]
    AccountMissing,
    /// A folder that we need is not safely ours.
    #[error(
        "{} {what}, so the local PostgreSQL cannot be kept there: run Holdfast as the user it \
         belongs to, or remove it",
        path.display()
    )]
    FolderRefused {
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence.
        what: String,
    },
    /// A folder cannot be made because the one above it is somebody else's.
    #[error(
        "{} cannot be created, because {} {whose}: run Holdfast as that user, or make the folder \
         yours",
        path.display(),
        above.display()
    )]
    FolderNotOurs {
        path: PathBuf,
        above: PathBuf,
        /// Whose it is, as the rest of a sentence.
        whose: String,
    },
    /// The server did not come up, or did not go down.
    #[error("the local PostgreSQL {what}; its log is {}\n{tail}", log.display())]
    Server {
        /// What it did, as the rest of a sentence.
        what: String,
        log: PathBuf,
        tail: String,
    },
    /// A program that we need failed.
    #[error("`{program}` failed: {output}")]
    Program { program: String, output: String },
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

pub(super) type Result<T> = std::result::Result<T, LocalPostgresError>;

/// For `map_err`: says which file an error is about.
pub(super) fn about(path: &Path) -> impl FnOnce(io::Error) -> LocalPostgresError {
    move |source| LocalPostgresError::File {
        path: path.to_owned(),
        source,
    }
}
