//! Waiting for another process, which does not say when it is done.

use std::thread;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks again and again until `done`, at most for `patience`; returns what it saw last.
pub(super) fn wait_until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !done() {
        if begun.elapsed() > patience {
            return false;
        }
        thread::sleep(LOOK_EVERY);
    }
    true
}
