//! How many calls each lane may make: a share that is its own, and what others leave of theirs.
//! Pure: it is told the time.

use std::time::Instant;

use super::lane::{Lane, PerLane};
use crate::config::StripeLimits;

/// The share of each lane, in hundredths of what Stripe grants to the account. They are a hundred.
const SHARES: PerLane<u32> = PerLane {
    create: 40,
    expire: 20,
    refunds: 16,
    verify: 12,
    background: 12,
};

/// What is kept of shares that nobody has used, in hundredths of a second's worth of calls.
const LEFT_MAX: u32 = 20;

/// One call, in the unit that buckets are filled in: so much comes in a second, of a bucket that
/// lets one call through in a second.
const CALL: u64 = 1_000_000_000;

/// Calls that may go, and those that come with time, up to a second's worth.
struct Bucket {
    per_second: u64,
    level: u64,
}

/// What one lane may do.
struct LaneBudget {
    /// Its own share. What it does not use overflows, for others.
    share: Bucket,
    /// Stripe limits each endpoint, too, and the calls of a lane go to one most of the time.
    endpoint: Bucket,
    /// Calls that want to go.
    waiting: usize,
}

pub(super) struct Budget {
    lanes: PerLane<LaneBudget>,
    /// What lanes have left.
    left: u64,
    left_max: u64,
    filled_at: Instant,
}

impl Budget {
    pub(super) fn new(limits: StripeLimits, now: Instant) -> Self {
        let lane = |share: u32| LaneBudget {
            share: Bucket::full(hundredths(limits.of_account, share)),
            endpoint: Bucket::full(limits.of_endpoint),
            waiting: 0,
        };
        Self {
            lanes: PerLane {
                create: lane(SHARES.create),
                expire: lane(SHARES.expire),
                refunds: lane(SHARES.refunds),
                verify: lane(SHARES.verify),
                background: lane(SHARES.background),
            },
            left: 0,
            left_max: CALL.saturating_mul(hundredths(limits.of_account, LEFT_MAX).into()),
            filled_at: now,
        }
    }

    /// A call has come that wants to go.
    pub(super) fn join(&mut self, lane: Lane) {
        let waiting = &mut self.lanes.of_mut(lane).waiting;
        *waiting = waiting.saturating_add(1);
    }

    /// It has gone, or does not want to any more.
    pub(super) fn leave(&mut self, lane: Lane) {
        let waiting = &mut self.lanes.of_mut(lane).waiting;
        *waiting = waiting.saturating_sub(1);
    }

    /// Whether a call may go now, which then counts. The share of its lane goes first, so that what
    /// others have left is there for whoever has none; of those, the first lane that waits gets it.
    pub(super) fn take(&mut self, lane: Lane, now: Instant) -> bool {
        self.fill(now);
        let may_borrow = self.left >= CALL && !self.is_wanted_before(lane);
        let of_lane = self.lanes.of_mut(lane);
        if !of_lane.endpoint.has_call() {
            return false;
        }
        if of_lane.share.has_call() {
            of_lane.share.take();
        } else if may_borrow {
            self.left = self.left.saturating_sub(CALL);
        } else {
            return false;
        }
        of_lane.endpoint.take();
        true
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at);
        // No bucket holds more than comes in a second.
        let passed = u64::try_from(passed.as_nanos()).unwrap_or(CALL).min(CALL);
        self.filled_at = self.filled_at.max(now);
        let PerLane {
            create,
            expire,
            refunds,
            verify,
            background,
        } = &mut self.lanes;
        for lane in [create, expire, refunds, verify, background] {
            lane.endpoint.fill(passed);
            self.left = self.left.saturating_add(lane.share.fill(passed));
        }
        self.left = self.left.min(self.left_max);
    }

    /// Whether what is left is wanted in a lane that comes before this one.
    fn is_wanted_before(&self, lane: Lane) -> bool {
        let PerLane {
            create,
            expire,
            refunds,
            verify,
            background: _,
        } = &self.lanes;
        let before: &[&LaneBudget] = match lane {
            Lane::Create => &[],
            Lane::Expire => &[create],
            Lane::Refunds => &[create, expire],
            Lane::Verify => &[create, expire, refunds],
            Lane::Background => &[create, expire, refunds, verify],
        };
        before
            .iter()
            .any(|lane| lane.waiting > 0 && lane.endpoint.has_call())
    }
}

fn hundredths(whole: u32, part: u32) -> u32 {
    // At least one call, whatever Stripe grants.
    whole.saturating_mul(part).div_ceil(100).max(1)
}

impl Bucket {
    fn full(per_second: u32) -> Self {
        let per_second = u64::from(per_second.max(1));
        Self {
            per_second,
            level: per_second.saturating_mul(CALL),
        }
    }

    /// Adds what comes in so many nanoseconds; what there is no room for.
    fn fill(&mut self, nanoseconds: u64) -> u64 {
        let comes = nanoseconds.saturating_mul(self.per_second);
        let level = self.level.saturating_add(comes);
        self.level = level.min(self.per_second.saturating_mul(CALL));
        level.saturating_sub(self.level)
    }

    fn has_call(&self) -> bool {
        self.level >= CALL
    }

    fn take(&mut self) {
        self.level = self.level.saturating_sub(CALL);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use Lane::{Background, Create, Expire, Refunds, Verify};

    /// As long as a call of the whole budget of a sandbox takes.
    const STEP: Duration = Duration::from_millis(40);

    /// Every lane of `lanes` always has calls that wait, the last the first to try; how many went
    /// of each within so many steps.
    fn storm<const N: usize>(budget: &mut Budget, now: &mut Instant, lanes: [Lane; N]) -> [u32; N] {
        for lane in lanes {
            budget.join(lane);
        }
        let mut gone = [0; N];
        for _ in 0..250 {
            *now = now.checked_add(STEP).unwrap();
            for place in (0..N).rev() {
                while budget.take(lanes[place], *now) {
                    gone[place] = u32::saturating_add(gone[place], 1);
                }
            }
        }
        for lane in lanes {
            budget.leave(lane);
        }
        gone
    }

    /// A budget whose shares were all used a moment ago.
    fn used(limits: StripeLimits, now: Instant) -> Budget {
        let mut budget = Budget::new(limits, now);
        for lane in [Create, Expire, Refunds, Verify, Background] {
            while budget.take(lane, now) {}
        }
        budget
    }

    #[test]
    fn whoever_is_alone_gets_what_all_others_leave() {
        for lane in [Create, Expire, Refunds, Verify, Background] {
            let mut now = Instant::now();
            let mut budget = used(StripeLimits::SANDBOX, now);
            // The shares of the others fill up first.
            now += Duration::from_secs(1);
            while budget.take(lane, now) {}

            let [gone] = storm(&mut budget, &mut now, [lane]);

            assert!(
                (249..=251).contains(&gone),
                "{lane:?}: {gone} in ten seconds"
            );
        }
    }

    #[test]
    fn all_together_never_get_more_than_stripe_grants() {
        for limits in [StripeLimits::SANDBOX, StripeLimits::LIVE] {
            let mut now = Instant::now();
            let mut budget = used(limits, now);
            let all = [Create, Expire, Refunds, Verify, Background];

            let gone = storm(&mut budget, &mut now, all);

            let sum: u32 = gone.iter().sum();
            assert!(sum <= 10 * limits.of_account, "{gone:?}");
            assert!(
                gone.iter().all(|gone| *gone <= 10 * limits.of_endpoint),
                "{gone:?}"
            );
        }
    }

    #[test]
    fn each_lane_keeps_its_share_however_many_others_wait() {
        let mut now = Instant::now();
        let mut budget = used(StripeLimits::SANDBOX, now);
        let all = [Create, Expire, Refunds, Verify, Background];

        let gone = storm(&mut budget, &mut now, all);

        assert_eq!(gone, [100, 50, 40, 30, 30]);
    }

    #[test]
    fn a_share_is_there_at_once_when_its_owner_comes() {
        let mut now = Instant::now();
        let mut budget = used(StripeLimits::SANDBOX, now);
        storm(&mut budget, &mut now, [Verify, Background]);

        let at_once = (0..100).take_while(|_| budget.take(Create, now)).count();

        assert_eq!(at_once, 10, "a second's worth");
    }

    #[test]
    fn what_others_leave_goes_to_the_first_lane_that_waits() {
        let mut now = Instant::now();
        let mut budget = used(StripeLimits::SANDBOX, now);
        // The idle lanes overflow.
        now += Duration::from_secs(1);

        let [created, verified] = storm(&mut budget, &mut now, [Create, Verify]);

        // A second's worth at the start, and what is left of the shares of the three others.
        assert!((220..=230).contains(&created), "{created}");
        assert!((30..=34).contains(&verified), "{verified}");
    }

    #[test]
    fn a_lane_that_its_endpoint_holds_back_leaves_the_rest_to_others() {
        let mut now = Instant::now();
        let mut budget = used(StripeLimits::LIVE, now);

        // The last tries first.
        let [verified, created] = storm(&mut budget, &mut now, [Verify, Create]);

        assert_eq!(created, 250, "25 a second, whatever the account may do");
        assert!(verified >= 240, "{verified}");
    }
}
