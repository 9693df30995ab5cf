//! How much memory a process takes, and whether it stays at that.

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

/// A line for a person, and what is wrong. Judged by RSS: PSS also changes with what the other
/// process shares.
pub(crate) fn judge(life: &str, samples: &[Sample]) -> (Option<String>, Option<String>) {
    if samples.len() < SAMPLES_MIN {
        return (None, None);
    }
    let quarter = samples.len() / 4;
    let (second, last) = (
        &samples[quarter..2 * quarter],
        &samples[samples.len() - quarter..],
    );
    let rss = (
        median(second, |sample| sample.rss),
        median(last, |sample| sample.rss),
    );
    let pss = (
        median(second, |sample| sample.pss),
        median(last, |sample| sample.pss),
    );
    let peak = samples
        .iter()
        .map(|sample| sample.rss)
        .max()
        .unwrap_or_default();
    let told = format!(
        "{life}: {} samples, RSS {} KiB in the second quarter, {} in the last; PSS {}, {}; peak RSS {peak}",
        samples.len(),
        rss.0,
        rss.1,
        pss.0,
        pss.1
    );
    let grows = rss.1 * 100 > rss.0 * (100 + GROWTH_MAX_PERCENT);
    (
        Some(told),
        grows.then(|| format!("{life} grows: RSS {} KiB, then {}", rss.0, rss.1)),
    )
}

fn median(samples: &[Sample], what: impl Fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(what).collect();
    values.sort_unstable();
    values[values.len() / 2]
}
