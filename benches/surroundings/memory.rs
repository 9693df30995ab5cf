//! How much memory a process takes, and whether it stays at that.

use std::fmt;
use std::fs;

/// What `/proc/PID/smaps_rollup` says, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) rss: u64,
    pub(crate) pss: u64,
}

/// A life with fewer samples is too short to be judged.
const SAMPLES_MIN: usize = 24;
/// How much the last quarter of a life may be above the second.
const GROWTH_MAX_PERCENT: u64 = 10;

impl Sample {
    /// `None` if the process is gone.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let kib = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse().ok()
        };
        Some(Self {
            rss: kib("Rss:")?,
            pss: kib("Pss:")?,
        })
    }
}

/// How much memory a life took.
pub(crate) struct Usage {
    samples: usize,
    second_quarter: Sample,
    last_quarter: Sample,
    peak_rss: u64,
}

impl Usage {
    /// `None` if the life was too short.
    pub(crate) fn of(samples: &[Sample]) -> Option<Self> {
        if samples.len() < SAMPLES_MIN {
            return None;
        }
        let quarter = samples.len() / 4;
        Some(Self {
            samples: samples.len(),
            second_quarter: typical(&samples[quarter..2 * quarter]),
            last_quarter: typical(&samples[samples.len() - quarter..]),
            peak_rss: samples.iter().map(|sample| sample.rss).max()?,
        })
    }

    /// What is wrong. Judged by RSS: PSS also changes with what the other process shares.
    pub(crate) fn complaint(&self) -> Option<String> {
        let (before, after) = (self.second_quarter.rss, self.last_quarter.rss);
        let grows = after * 100 > before * (100 + GROWTH_MAX_PERCENT);
        grows.then(|| format!("grows: RSS {before} KiB, then {after}"))
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (self.second_quarter, self.last_quarter);
        write!(
            formatter,
            "{} samples, RSS {} KiB in the second quarter, {} in the last; PSS {}, {}; peak RSS {}",
            self.samples, before.rss, after.rss, before.pss, after.pss, self.peak_rss
        )
    }
}

/// The median of each figure.
fn typical(samples: &[Sample]) -> Sample {
    Sample {
        rss: median(samples, |sample| sample.rss),
        pss: median(samples, |sample| sample.pss),
    }
}

fn median(samples: &[Sample], what: impl Fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(what).collect();
    values.sort_unstable();
    values[values.len() / 2]
}
