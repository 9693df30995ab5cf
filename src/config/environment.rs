//! Where settings come from: the environment of the process, and beneath it a file that was named.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Who may write to a file besides its owner.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// The account that may write everywhere anyway.
const ROOT: u32 = 0;

/// The variables of the process, and those of a file for what the process does not have. Nothing of
/// the file gets into the environment of the process: who reads a variable that is no setting of
/// ours, such as a proxy, does not find it there.
#[derive(Debug, Default)]
pub struct Environment {
    file: HashMap<String, String>,
}

impl Environment {
    /// The process's environment, and beneath it this file.
    ///
    /// The file is refused where somebody else owns it or may write to it: it decides where the
    /// secret key is sent.
    pub fn with_file(path: &Path) -> Result<Self, EnvFileError> {
        let refuse = |reason| EnvFileError {
            path: path.to_owned(),
            reason,
        };
        Self::read(path).map_err(refuse)
    }

    /// The same with the file `.env` of the present folder, if there is one.
    pub fn with_file_of_folder() -> Result<Self, EnvFileError> {
        match Self::with_file(Path::new(".env")) {
            Err(error) if error.is_missing() => Ok(Self::default()),
            found => found,
        }
    }

    fn read(path: &Path) -> Result<Self, Reason> {
        let file = File::open(path).map_err(Reason::Unreadable)?;
        let metadata = file.metadata().map_err(Reason::Unreadable)?;
        let owner = metadata.uid();
        if owner != ROOT && owner != rustix::process::geteuid().as_raw() {
            return Err(Reason::OfSomebodyElse);
        }
        if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(Reason::WritableByOthers);
        }
        let entries = dotenvy::from_read_iter(file).collect::<dotenvy::Result<_>>();
        entries
            .map(|file| Self { file })
            .map_err(|error| match error {
                dotenvy::Error::LineParse(line, _) => {
                    let variable = line.split_once('=').map(|(variable, _)| variable.trim());
                    Reason::Line(variable.unwrap_or_default().to_owned())
                }
                dotenvy::Error::Io(error) => Reason::Unreadable(error),
                error => Reason::Unreadable(io::Error::other(error)),
            })
    }

    /// The value of a variable, if it is set and is UTF-8.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub fn get(&self, variable: &str) -> Option<String> {
        let of_process = std::env::var(variable).ok();
        of_process.or_else(|| self.file.get(variable).cloned())
    }
}

/// A file of settings that is not read. Never contains what the file holds.
#[derive(Debug, thiserror::Error)]
#[error("the file {}: {reason}", path.display())]
pub struct EnvFileError {
    path: PathBuf,
    reason: Reason,
}

impl EnvFileError {
    fn is_missing(&self) -> bool {
        matches!(&self.reason, Reason::Unreadable(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error(
        "it belongs to somebody else, who could send your keys anywhere with it; \
         make a copy that is yours"
    )]
    OfSomebodyElse,
    #[error(
        "others may write to it, and could send your keys anywhere with it; \
         run `chmod go-w` on it"
    )]
    WritableByOthers,
    #[error("the line {0:?} cannot be read; write it as NAME=value, with quotes around spaces")]
    Line(String),
}
