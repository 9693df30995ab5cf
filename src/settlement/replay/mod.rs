//! Decides stored events again, in a transaction that has copies of the tables (`scratch`): by the
//! same `plan` and the same statements as when they came, and without anything that follows from
//! them.
//!
//! Most reports come to the same in any order, and are settled one after the other as they were.
//! What money means for a booking depends on the moment: it is planned on the booking as it stood
//! then, by its past. What was learned by asking, what people have decided, and what had to be
//! tried (whether seats could be claimed again) are given: they are in the past as well.

mod checkouts;
mod events;
mod meanings;

use chrono::{DateTime, Utc};
use tracing::Span;

pub use checkouts::replay_checkouts;
use events::differs;
pub use events::{ReadEvent, read};

use super::plan::{Item, Plan, plan};
use super::sentences;
use super::settle::settle_without_consequences;
use crate::connection::Connection;
use crate::domain::difference::Difference;
use crate::domain::payment_event::EventStatus;
use crate::domain::stripe_report::StripeReport;
use crate::error::Result;

/// Decides again what is about nothing of ours, as far as was known.
pub fn replay_unmatched(
    events: &[ReadEvent],
    now: DateTime<Utc>,
    differences: &mut Vec<Difference>,
) {
    let span = Span::none();
    for event in events {
        let item = event.item(&span);
        match plan(&item, None, now) {
            Plan::Ignore(reason) => event.compare(EventStatus::Ignored, reason, differences),
            Plan::KeepCharge(_) => {
                event.compare(EventStatus::Processed, sentences::CHARGE_KEPT, differences);
            }
            Plan::GiveUp => event.compare(EventStatus::Failed, sentences::GIVEN_UP, differences),
            Plan::Defer(_) => {
                event.compare(EventStatus::Deferred, sentences::DEFERRED, differences);
            }
            other => {
                let said = Some(format!("{other:?}"));
                differences.push(differs(event.id(), event.stored.outcome.clone(), said));
            }
        }
    }
}

/// Settles again what events have said of charges, and after that of refunds, disputes and fraud,
/// of payments that are there.
pub async fn replay_returns(
    db: &mut Connection,
    events: &[ReadEvent],
    now: DateTime<Utc>,
    differences: &mut Vec<Difference>,
) -> Result<()> {
    let span = Span::none();
    let items = events.iter().map(|event| (event, event.item(&span)));
    let (charges, others): (Vec<_>, Vec<_>) = items
        .filter(|(_, item)| item.report.is_ok() && item.attempt_to_lock().is_none())
        .partition(|(_, item)| is_of_charge(item));
    for (of, is_exact) in [(charges, true), (others, false)] {
        let (events, items): (Vec<_>, Vec<_>) = of.into_iter().unzip();
        let done = settle_without_consequences(db, &items, now).await?;
        for (event, done) in events.into_iter().zip(done) {
            if is_exact || !event.could_have_ended_so() {
                event.compare(done.status, done.sentence, differences);
            }
        }
    }
    Ok(())
}

fn is_of_charge(item: &Item<'_>) -> bool {
    matches!(
        item.report,
        Ok(StripeReport::Charge(_) | StripeReport::FailedPayment(_))
    )
}
