//! What may still help where Stripe has refused the session of an attempt, or answers its key with
//! a stored failure: the same request in another form, under a key of its own.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::ids::AttemptId;
use crate::gateways::stripe::StripeError;
use crate::gateways::stripe::checkout::{OPTIONAL_PARAMETERS, revised};
use crate::repositories::unanswered_attempts::UnansweredAttempt;

/// A session lives 35 minutes: Stripe's minimum of 30 is counted on its clock, and a call may be
/// slow.
const SESSION_LIFE: TimeDelta = TimeDelta::minutes(35);
/// A session outlives the hold at least by this.
const SESSION_AFTER_HOLD: TimeDelta = TimeDelta::minutes(5);

/// When a session ends that is asked for at `now`, for a booking whose hold may have an end.
pub(super) fn session_end(
    now: DateTime<Utc>,
    hold_expires_at: Option<DateTime<Utc>>,
) -> DateTime<Utc> {
    let after_hold = hold_expires_at.map_or(now, |end| end + SESSION_AFTER_HOLD);
    after_hold.max(now + SESSION_LIFE)
}

/// What to ask for in place of an attempt that has come to nothing, if anything may help.
pub(super) fn remedy(
    spent: &UnansweredAttempt,
    error: &StripeError,
    now: DateTime<Utc>,
) -> Option<UnansweredAttempt> {
    let id = AttemptId::new();
    let mut next = UnansweredAttempt {
        id,
        ..spent.clone()
    };
    let mut parameters = revised(&spent.parameters);
    match error {
        // If there is a session behind the failure after all, nobody was given its link.
        StripeError::ReplayedFailure(_) => {}
        StripeError::Refused { param, .. } if error.is_final() => {
            if OPTIONAL_PARAMETERS.contains(&param.as_str()) {
                parameters = parameters.without(param);
            } else if param == "expires_at" && spent.is_wanted(now) {
                // Stripe was away for so long that the session would live less than it must.
                next.expires_at = session_end(now, spent.hold_expires_at);
                parameters = parameters.with("expires_at", next.expires_at.timestamp());
            } else {
                return None;
            }
        }
        StripeError::Refused { .. }
        | StripeError::Unavailable(_)
        | StripeError::Unusable { .. } => {
            return None;
        }
    }
    next.parameters = parameters.naming(&spent.id, &id);
    Some(next)
}
