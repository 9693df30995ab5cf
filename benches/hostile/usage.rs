//! What a process has used of the machine, as Linux counts it.

use std::fs;
use std::time::Duration;

/// A tick of the CPU time that Linux shows to programs.
const TICK: Duration = Duration::from_millis(10);
/// Where the ticks of the process are among the fields after its name, and those of the system for
/// it; see `man 5 proc_pid_stat`.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

pub(crate) struct Usage {
    pub(crate) rss_mib: u64,
    /// The most that it ever was.
    pub(crate) peak_rss_mib: u64,
    pub(crate) cpu: Duration,
}

impl Usage {
    pub(crate) fn of(id: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
            kib.parse::<u64>().unwrap() >> 10
        };
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |field: usize| fields[field].parse::<u32>().unwrap();
        Self {
            rss_mib: mib("VmRSS:"),
            peak_rss_mib: mib("VmHWM:"),
            cpu: TICK * (ticks(USER_TICKS) + ticks(SYSTEM_TICKS)),
        }
    }
}
