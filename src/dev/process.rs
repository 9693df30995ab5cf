//! Names a process so that the name dies with it: whoever gets the same number later is another
//! process.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A process by its number and the moment it started, in the kernel's clock ticks.
///
/// Where the kernel does not say the moment (no `/proc`), it is 0 for everyone and only the number
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) started: u64,
}

impl Process {
    /// The process that asks.
    pub(crate) fn current() -> Self {
        let id = std::process::id();
        Self::find(id).unwrap_or(Self { id, started: 0 })
    }

    /// The living process with this number; `None` too for a zombie that nobody reaped.
    pub(crate) fn find(id: u32) -> Option<Self> {
        if !Path::new("/proc/self").exists() {
            return answers_to_kill(id).then_some(Self { id, started: 0 });
        }
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The program's name stands in parentheses and may itself hold spaces and parentheses.
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some(Self { id, started })
    }

    pub(crate) fn is_alive(self) -> bool {
        Self::find(self.id) == Some(self)
    }

    /// Reads what `Display` writes.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (id, started) = name.trim().split_once('-')?;
        Some(Self {
            id: id.parse().ok()?,
            started: started.parse().ok()?,
        })
    }
}

impl fmt::Display for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.id, self.started)
    }
}

fn answers_to_kill(id: u32) -> bool {
    let mut kill = Command::new("/bin/kill");
    kill.arg("-0").arg(id.to_string()).stderr(Stdio::null());
    kill.status().is_ok_and(|status| status.success())
}
