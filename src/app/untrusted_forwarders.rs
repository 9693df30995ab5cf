//! Who forwards requests and is not believed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// How many are counted at once.
const COUNTED_MAX: usize = 20;

/// Counts the requests of those who send most. Anybody may send the header, from as many addresses
/// as they have.
#[derive(Default)]
pub struct UntrustedForwarders(Mutex<HashMap<IpAddr, u64>>);

impl UntrustedForwarders {
    /// Counts a request; whether this forwarder is to be noted, as with the first, the tenth and
    /// the hundredth.
    ///
    /// Where as many are counted as can be, a new one takes the place of one with the fewest, and
    /// its count: so whoever sends more than a twentieth of all stays, however many others come.
    /// <https://doi.org/10.1007/978-3-540-30570-5_27>
    pub fn count(&self, forwarder: IpAddr) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = counts.get(&forwarder).copied();
        let before = before.unwrap_or_else(|| make_room(&mut counts));
        let count = before.saturating_add(1);
        counts.insert(forwarder, count);
        let tens = count.checked_ilog10().unwrap_or_default();
        10_u64.checked_pow(tens) == Some(count)
    }
}

/// Takes one with the fewest away where there is no room for another, and returns its count.
fn make_room(counts: &mut HashMap<IpAddr, u64>) -> u64 {
    if counts.len() < COUNTED_MAX {
        return 0;
    }
    let fewest = counts.iter().min_by_key(|(_, count)| **count);
    let fewest = fewest.map(|(forwarder, _)| *forwarder);
    fewest
        .and_then(|forwarder| counts.remove(&forwarder))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::arithmetic_side_effects,
        reason = "an overflow is a failed test"
    )]

    use super::*;

    fn stranger(number: u32) -> IpAddr {
        IpAddr::V4((0xc633_6400 + number).into())
    }

    #[test]
    fn the_first_are_noted_at_once_and_again_by_powers_of_ten() {
        let forwarders = UntrustedForwarders::default();

        let noted: Vec<_> = (1..=1_000)
            .filter(|_| forwarders.count(stranger(1)))
            .collect();

        assert_eq!(noted, [1, 10, 100, 1_000]);
    }

    #[test]
    fn who_sends_most_is_noted_though_many_others_came_before_and_come_meanwhile() {
        let forwarders = UntrustedForwarders::default();
        let proxy = IpAddr::from([10, 0, 0, 1]);
        for number in 0..1_000 {
            forwarders.count(stranger(number));
        }

        let mut noted = false;
        for number in 1_000..11_000 {
            forwarders.count(stranger(number));
            noted |= forwarders.count(proxy);
        }

        assert!(noted);
    }

    #[test]
    fn strangers_make_few_notes_however_many_they_are() {
        let forwarders = UntrustedForwarders::default();

        let noted = (0..100_000).filter(|number| forwarders.count(stranger(*number)));

        // The first twenty, and those that have taken over their counts.
        assert!(noted.count() <= 100);
    }
}
