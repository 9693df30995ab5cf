//! What becomes of a refund that Stripe refuses to make, and when Stripe is asked again.

use chrono::{DateTime, TimeDelta, Utc};

use super::ids::RefundId;
use super::refund_state::{RefundState, RefundStatus, RefundedPayment};

/// The shortest and the longest pause before Stripe is asked again for a refund that it has
/// refused. A balance that is too low is filled up within hours or days.
const ASK_PAUSES: (TimeDelta, TimeDelta) = (TimeDelta::seconds(30), TimeDelta::hours(6));
/// The same, before it is asked how a refund stands that it has under way. Most settle at once, and
/// their events come.
const LOOK_PAUSES: (TimeDelta, TimeDelta) = (TimeDelta::hours(1), TimeDelta::days(1));
/// No pause is longer.
pub const PAUSE_MAX: TimeDelta = LOOK_PAUSES.1;
/// What is refused for so long is left to a person.
const REFUSED_FOR_MAX: TimeDelta = TimeDelta::days(30);

/// Stripe's refusal to make a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRefusal {
    /// The refund.
    pub refund_id: RefundId,
    /// Why, in Stripe's words.
    pub reason: String,
    /// Whether it is about the payment itself, so that it will always be refused.
    pub is_final: bool,
    /// Whether Stripe may have stored the refusal under the refund's key, and would repeat it.
    pub spends_key: bool,
}

/// What has to be done, in the transaction that holds the payment's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalDecision {
    /// Nothing: the sentence says why.
    NoChange(&'static str),
    /// Keep the reason, and ask again later.
    AskAgain(RefundState),
    /// The refund has failed.
    Fail(RefundState),
}

/// Decides what a refusal means for a refund of this payment.
pub fn decide(
    payment: &RefundedPayment,
    refusal: &RefundRefusal,
    now: DateTime<Utc>,
) -> RefusalDecision {
    let Some(refund) = payment.requested(refusal.refund_id) else {
        return RefusalDecision::NoChange("the refund was settled meanwhile");
    };
    // What a dispute has held back was not refused meanwhile.
    let refused_for = now.signed_duration_since(refund.refused_since.unwrap_or(now));
    if refusal.is_final || refused_for > REFUSED_FOR_MAX {
        RefusalDecision::Fail(refund.clone())
    } else {
        RefusalDecision::AskAgain(refund.clone())
    }
}

/// When Stripe is asked next about a refund that stands so: after as long as it has waited, within
/// bounds; never about one that has come to its end.
pub fn next_look_at(
    status: RefundStatus,
    created_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let (shortest, longest) = match status {
        RefundStatus::Requested => ASK_PAUSES,
        RefundStatus::Pending => LOOK_PAUSES,
        RefundStatus::Succeeded | RefundStatus::Failed | RefundStatus::Canceled => return None,
    };
    let waited = now.signed_duration_since(created_at);
    Some(now + waited.clamp(shortest, longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt::PaymentPart;
    use crate::domain::ids::{BookingId, PaymentId};
    use crate::domain::money::Money;

    fn payment(status: RefundStatus, refused_since: Option<DateTime<Utc>>) -> RefundedPayment {
        let money = Money::new(1_000, "eur".parse().unwrap());
        RefundedPayment {
            id: PaymentId::new(),
            booking_id: BookingId::new(),
            part: PaymentPart::Full,
            money,
            is_surplus: true,
            refunds: vec![RefundState {
                id: RefundId::new(),
                stripe_refund_id: None,
                is_by_hand: false,
                money,
                status,
                failure_reason: None,
                created_at: DateTime::UNIX_EPOCH - TimeDelta::days(90),
                refused_since,
            }],
        }
    }

    #[test]
    fn a_refusal_counts_for_what_waits_and_fails_it_at_once_or_after_a_month() {
        let (requested, failed) = (RefundStatus::Requested, RefundStatus::Failed);
        for (status, is_final, days, expected) in [
            (requested, false, None, "again"),
            (requested, false, Some(0), "again"),
            (requested, false, Some(30), "again"),
            (requested, false, Some(31), "failed"),
            (requested, true, None, "failed"),
            (RefundStatus::Pending, true, None, "stays"),
            (RefundStatus::Succeeded, false, None, "stays"),
            (failed, true, None, "stays"),
        ] {
            let now = DateTime::UNIX_EPOCH;
            let payment = payment(status, days.map(|days| now - TimeDelta::days(days)));
            let refusal = RefundRefusal {
                refund_id: payment.refunds[0].id,
                reason: "400 balance_insufficient".to_owned(),
                is_final,
                spends_key: true,
            };

            let decided = match decide(&payment, &refusal, now) {
                RefusalDecision::AskAgain(_) => "again",
                RefusalDecision::Fail(_) => "failed",
                RefusalDecision::NoChange(_) => "stays",
            };

            assert_eq!(decided, expected, "{status:?} {is_final} {days:?}");
        }
    }

    #[test]
    fn stripe_is_asked_again_after_as_long_as_it_has_waited() {
        let (requested, pending) = (RefundStatus::Requested, RefundStatus::Pending);
        for (status, waited, pause) in [
            (requested, 0, Some(30)),
            (requested, 90, Some(90)),
            (requested, 900_000, Some(21_600)),
            (pending, 0, Some(3_600)),
            (pending, 7_200, Some(7_200)),
            (pending, 900_000, Some(86_400)),
            (RefundStatus::Succeeded, 0, None),
            (RefundStatus::Failed, 0, None),
            (RefundStatus::Canceled, 0, None),
        ] {
            let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(waited);

            let next = next_look_at(status, DateTime::UNIX_EPOCH, now);

            let next = next.map(|next| (next - now).num_seconds());
            assert_eq!(next, pause, "{status:?} {waited}");
        }
    }
}
