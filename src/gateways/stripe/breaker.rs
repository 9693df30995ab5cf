//! After several answers 429 in a row, whatever can wait pauses, so that what Stripe still takes is
//! left to buyers. Pure: it is told the time. <https://docs.stripe.com/rate-limits>

use std::time::{Duration, Instant};

use super::lane::Lane;

/// Answers 429 without another answer between them: one may be of a moment, or of one endpoint.
const OPENS_AFTER: u32 = 3;
/// The first pause; it doubles while Stripe goes on refusing …
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest pause that Stripe is believed to want: a minute is what a buyer's page may wait for
/// the background.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// Stripe has taken no notice of a call, as there were too many.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RateLimited {
    /// For how many seconds it wants to be left alone, if it says so.
    pub(super) retry_after_seconds: Option<u32>,
}

impl RateLimited {
    /// How long Stripe wants to be left alone, if it says so.
    pub(super) fn retry_after(self) -> Option<Duration> {
        let seconds = self.retry_after_seconds?;
        Some(Duration::from_secs(seconds.into()))
    }
}

/// Open while Stripe has had enough. Payment pages are opened and closed all the same: each such
/// call shows whether it still has.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    limited_in_a_row: u32,
    openings_in_a_row: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Stripe has answered with anything but 429.
    pub(super) fn note_taken(&mut self) {
        *self = Self::default();
    }

    /// Stripe has answered 429.
    pub(super) fn note_limited(&mut self, limited: RateLimited, now: Instant) {
        self.limited_in_a_row = self.limited_in_a_row.saturating_add(1);
        // What was under way when it opened says nothing new.
        if self.is_open(now) {
            return;
        }
        let wanted = limited
            .retry_after()
            .map(|wanted| wanted.min(RETRY_AFTER_MAX));
        if self.limited_in_a_row < OPENS_AFTER && wanted.is_none() {
            return;
        }
        let doublings = self.openings_in_a_row.min(5);
        let pause = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(doublings));
        let pause = pause.min(PAUSE_MAX).max(wanted.unwrap_or_default());
        self.openings_in_a_row = self.openings_in_a_row.saturating_add(1);
        self.open_until = now.checked_add(pause);
        tracing::warn!(
            "Stripe answers 429: for {pause:?} it is only asked to open and close payment pages"
        );
    }

    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }

    /// For how long a call has to wait, if its lane pauses.
    pub(super) fn refuses(&self, lane: Lane, now: Instant) -> Option<Duration> {
        match lane {
            Lane::Create | Lane::Expire => None,
            Lane::Refunds | Lane::Verify | Lane::Background => {
                let left = self.open_until?.saturating_duration_since(now);
                (!left.is_zero()).then_some(left)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limited(breaker: &mut Breaker, times: u32, now: Instant) {
        (0..times).for_each(|_| breaker.note_limited(RateLimited::default(), now));
    }

    #[test]
    fn what_can_wait_pauses_after_three_in_a_row_and_what_buyers_wait_for_does_not() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());

        limited(&mut breaker, 2, now);
        assert_eq!(breaker.refuses(Lane::Refunds, now), None);
        limited(&mut breaker, 1, now);

        for lane in [Lane::Refunds, Lane::Verify, Lane::Background] {
            assert_eq!(breaker.refuses(lane, now), Some(SECOND), "{lane:?}");
            assert_eq!(breaker.refuses(lane, now + SECOND), None, "{lane:?}");
        }
        assert_eq!(breaker.refuses(Lane::Create, now), None);
        assert_eq!(breaker.refuses(Lane::Expire, now), None);
    }

    #[test]
    fn any_other_answer_ends_the_pause() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        limited(&mut breaker, 3, now);

        breaker.note_taken();

        assert!(!breaker.is_open(now));
        limited(&mut breaker, 2, now);
        assert!(!breaker.is_open(now));
    }

    #[test]
    fn pauses_double_up_to_half_a_minute_while_stripe_goes_on_refusing() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        limited(&mut breaker, 2, now);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            // However many were under way.
            limited(&mut breaker, 20, now);
            let pause = Duration::from_secs(seconds);
            assert_eq!(breaker.refuses(Lane::Background, now), Some(pause));
            now += pause;
        }
    }

    #[test]
    fn stripe_is_left_alone_for_as_long_as_it_wants_within_reason() {
        for (wanted, pause) in [(7, 7), (3_600, 60)] {
            let (mut breaker, now) = (Breaker::default(), Instant::now());
            let retry_after_seconds = Some(wanted);

            breaker.note_limited(
                RateLimited {
                    retry_after_seconds,
                },
                now,
            );

            let pause = Some(Duration::from_secs(pause));
            assert_eq!(breaker.refuses(Lane::Refunds, now), pause);
        }
    }
}
