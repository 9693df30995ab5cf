//! How many files the process may have open, of which every connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are not for clients: 46 connections to Postgres; up to 1,000 to Stripe, which a live
/// account may ask a hundred times a second, and which may take ten seconds to answer; the issuer,
/// the listener, the log.
const RESERVE: usize = 1_280;
/// Beyond so many it is the memory that counts: each may have 32 KiB of a head, and as much of a
/// body, in hands: one gigabyte.
const CONNECTIONS_MAX: usize = 16_384;

/// Raises the limit on open files as far as the process may: the soft one is made for programs of
/// the time of `select`, and is 1,024 on most systems.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("the limit on open files stays as it is: {error}");
    }
}

/// For how many connections there are files: what the reserve leaves, or half where that is little.
pub(super) fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current;
    let files = files.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    });
    of_files(files)
}

fn of_files(files: usize) -> usize {
    let left = files.saturating_sub(RESERVE).max(files >> 1);
    left.min(CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_left_where_there_are_files_enough_and_half_of_them_else() {
        for (files, connections) in [
            (64, 32),
            (1_024, 512),
            (2_560, 1_280),
            (4_096, 2_816),
            (1 << 20, CONNECTIONS_MAX),
            (usize::MAX, CONNECTIONS_MAX),
        ] {
            assert_eq!(of_files(files), connections, "{files}");
        }
    }
}
