//! Whom the server runs as: ourselves or, when we are root, an account that Postgres accepts.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::{LocalPostgresError, Result};

/// In this order: the account of a packaged Postgres, then the one that every system has.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];
/// Searched after `PATH`, so that the system's own programs are found with any `PATH`.
const SYSTEM_FOLDERS: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// We, and the account that the server runs as.
pub(super) struct Account {
    pub(super) our_id: u32,
    dropped_to: Option<(u32, u32)>,
}

impl Account {
    pub(super) fn choose() -> Result<Self> {
        let our_id = ask_id(&["-u"])?;
        if our_id != 0 {
            return Ok(Self {
                our_id,
                dropped_to: None,
            });
        }
        for name in ACCOUNTS {
            if let (Ok(user), Ok(group)) = (ask_id(&["-u", name]), ask_id(&["-g", name])) {
                return Ok(Self {
                    our_id,
                    dropped_to: Some((user, group)),
                });
            }
        }
        Err(LocalPostgresError::AccountMissing)
    }

    /// Whether the server runs as somebody else than we do.
    pub(super) fn is_other(&self) -> bool {
        self.dropped_to.is_some()
    }

    pub(super) fn server_id(&self) -> u32 {
        self.dropped_to.map_or(self.our_id, |(user, _)| user)
    }

    /// Makes the server's account the owner.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        self.dropped_to
            .map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group)))
    }

    /// A command that the server's account runs.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = command(program);
        if let Some((user, group)) = self.dropped_to {
            // The standard library also gives up root's other groups here.
            command.uid(user).gid(group);
        }
        command
    }

    /// Whether the server's account can walk into the folder.
    pub(super) fn reaches(&self, folder: &Path) -> bool {
        let mut walk = self.command("/bin/sh");
        walk.args(["-c", "cd \"$1\"", "sh"]).arg(folder);
        walk.stderr(Stdio::null());
        walk.status().is_ok_and(|status| status.success())
    }
}

/// A command that we run ourselves, free of whatever this process was started with.
///
/// It gets a process group of its own, so that a Ctrl-C in our terminal is not for it, speaks
/// English, and does not see the `PG…` variables, which are meant for another server.
pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .process_group(0);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    let mut path = env::var_os("PATH").unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push(SYSTEM_FOLDERS);
    command.env("PATH", path).env("LC_ALL", "C");
    command
}

/// Runs a command to its end and returns what it wrote.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output = command
        .output()
        .map_err(|error| program_failed(&program, &error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(program_failed(&program, said.trim()))
    }
}

fn ask_id(arguments: &[&str]) -> Result<u32> {
    let answer = run(command("id").args(arguments))?;
    let program = OsString::from("id");
    let number = answer.trim().parse();
    number.map_err(|_| program_failed(&program, answer.trim()))
}

fn program_failed(program: &OsStr, output: &str) -> LocalPostgresError {
    LocalPostgresError::Program {
        program: program.to_string_lossy().into_owned(),
        output: output.to_owned(),
    }
}
