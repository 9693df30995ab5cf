//! Which call to Stripe may go now. Calls of a lane go in the order in which they have come.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::breaker::{Breaker, RateLimited};
use super::budget::Budget;
use super::error::{StripeError, Unanswered};
use super::lane::{Lane, PerLane};
use crate::config::StripeLimits;

/// A question of a buyer's is given up after so long in the queue: what we know answers them.
const VERIFY_QUEUE_MAX: Duration = Duration::from_secs(1);

/// The lanes of a process. Several processes do not know of each other: each takes what Stripe
/// grants to the account, and the breaker helps where that is too much.
/// <https://docs.stripe.com/rate-limits>
pub(super) struct Lanes {
    budget: Mutex<Budget>,
    breaker: Mutex<Breaker>,
    /// Who is the first of a lane.
    queues: PerLane<tokio::sync::Mutex<()>>,
    /// How soon the budget may let the next go.
    pause: Duration,
}

impl Lanes {
    pub(super) fn new(limits: StripeLimits) -> Self {
        let of_account = limits.of_account.max(1);
        Self {
            budget: Mutex::new(Budget::new(limits, Instant::now())),
            breaker: Mutex::default(),
            queues: PerLane::default(),
            pause: Duration::from_secs(1)
                .checked_div(of_account)
                .unwrap_or_default(),
        }
    }

    /// Waits until a call may go. [`Unanswered::NotSent`] where its lane pauses, or is too full for
    /// one that cannot wait.
    pub(super) async fn enter(&self, lane: Lane) -> Result<(), StripeError> {
        let entered = match lane {
            Lane::Verify => {
                let entered = timeout(VERIFY_QUEUE_MAX, self.wait(lane)).await;
                let full = |_| Err("too many ask about payments".to_owned());
                entered.unwrap_or_else(full)
            }
            Lane::Create | Lane::Expire | Lane::Refunds | Lane::Background => self.wait(lane).await,
        };
        entered.map_err(|why| StripeError::Unavailable(Unanswered::NotSent(why)))
    }

    async fn wait(&self, lane: Lane) -> Result<(), String> {
        let _waiting = Waiting::new(self, lane);
        let _first = self.queues.of(lane).lock().await;
        loop {
            let now = Instant::now();
            if let Some(pause) = self.breaker().refuses(lane, now) {
                return Err(format!("Stripe has had enough for {pause:?}: this waits"));
            }
            if self.budget().take(lane, now) {
                return Ok(());
            }
            sleep(self.pause).await;
        }
    }

    /// Stripe has refused a call because there were too many.
    pub(super) fn note_limited(&self, limited: RateLimited) {
        self.breaker().note_limited(limited, Instant::now());
    }

    /// Stripe has taken a call, whatever it said.
    pub(super) fn note_taken(&self) {
        self.breaker().note_taken();
    }

    /// Whether Stripe has had enough for now.
    pub(super) fn is_paused(&self) -> bool {
        self.breaker().is_open(Instant::now())
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits in its lane, until this is dropped.
struct Waiting<'a> {
    lanes: &'a Lanes,
    lane: Lane,
}

impl<'a> Waiting<'a> {
    fn new(lanes: &'a Lanes, lane: Lane) -> Self {
        lanes.budget().join(lane);
        Self { lanes, lane }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.lanes.budget().leave(self.lane);
    }
}

impl Default for PerLane<tokio::sync::Mutex<()>> {
    fn default() -> Self {
        Self {
            create: tokio::sync::Mutex::default(),
            expire: tokio::sync::Mutex::default(),
            refunds: tokio::sync::Mutex::default(),
            verify: tokio::sync::Mutex::default(),
            background: tokio::sync::Mutex::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::arithmetic_side_effects,
        reason = "an overflow is a failed test"
    )]

    use super::*;

    /// Longer than a question of a buyer's waits, and shorter than any other call does.
    const LONG: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_question_of_a_buyers_is_sent_away_after_a_second_in_its_queue_and_nothing_else_is() {
        let lanes = Lanes::new(StripeLimits::SANDBOX);
        let _verify = lanes.queues.verify.lock().await;
        let _refunds = lanes.queues.refunds.lock().await;
        let begun = Instant::now();

        let (question, refund) = tokio::join!(
            timeout(LONG, lanes.enter(Lane::Verify)),
            timeout(2 * VERIFY_QUEUE_MAX, lanes.enter(Lane::Refunds)),
        );

        let sent_away = matches!(
            question,
            Ok(Err(StripeError::Unavailable(Unanswered::NotSent(_))))
        );
        assert!(sent_away, "{question:?}");
        assert!(refund.is_err(), "{refund:?}");
        assert!(begun.elapsed() >= 2 * VERIFY_QUEUE_MAX);
    }
}
