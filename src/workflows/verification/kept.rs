//! What is kept of charges, of tries to pay and of disputes, beside what events have said of them.
//! Each event says all there is to keep; of charges, the last word counts.

use std::collections::HashMap;
use std::fmt;

use crate::connection::Connection;
use crate::domain::charge::{ChargeReport, FailedPayment};
use crate::domain::difference::Difference;
use crate::domain::ids::BookingId;
use crate::error::Result;
use crate::repositories::verification;
use crate::settlement::ReadEvent;

/// Charges that are stored otherwise than any event has said last.
pub(super) async fn compare_charges(
    db: &mut Connection,
    bookings: &[BookingId],
    events: &[ReadEvent],
) -> Result<Vec<Difference>> {
    let mut said: HashMap<String, Vec<&ChargeReport>> = HashMap::new();
    for charge in events.iter().filter_map(ReadEvent::charge) {
        let words = said.entry(charge.payment_intent_id.clone()).or_default();
        words.retain(|word| word.reported_at >= charge.reported_at);
        let is_last = words
            .iter()
            .all(|word| word.reported_at <= charge.reported_at);
        if is_last {
            words.push(charge);
        }
    }
    let intents: Vec<_> = said.keys().map(String::as_str).collect();
    let stored = verification::list_charges(db, bookings, &intents).await?;
    Ok(compare("the charge of", &stored, &said))
}

/// Disputes of which is stored, beside where they stand, what no event has said.
pub(super) async fn compare_disputes(
    db: &mut Connection,
    bookings: &[BookingId],
    events: &[ReadEvent],
) -> Result<Vec<Difference>> {
    let reports = events.iter().filter_map(ReadEvent::dispute);
    let reports: Vec<_> = reports.collect();
    let stored = verification::list_dispute_terms(db, bookings).await?;
    let differ = stored.into_iter().filter_map(|(id, stored)| {
        let of_it = reports.iter().filter(|one| one.stripe_dispute_id == id);
        let said: Vec<_> = of_it.map(|report| report.terms()).collect();
        // The reason is kept, and a later time counts: each may be of another report.
        let is_reason_said = said.iter().any(|terms| terms.reason == stored.reason);
        let is_time_said = said
            .iter()
            .any(|terms| terms.evidence_due_by == stored.evidence_due_by);
        (!is_reason_said || !is_time_said).then(|| Difference {
            subject: format!("what is told of dispute {id}"),
            stored: Some(format!("{stored:?}")),
            witness: "the replay says".to_owned(),
            said: said.first().map(|terms| format!("{terms:?}")),
        })
    });
    Ok(differ.collect())
}

/// Failed tries that are stored otherwise than an event has said.
pub(super) async fn compare_failures(
    db: &mut Connection,
    bookings: &[BookingId],
    events: &[ReadEvent],
) -> Result<Vec<Difference>> {
    let mut said: HashMap<String, Vec<FailedPayment>> = HashMap::new();
    for (name, failure) in events.iter().filter_map(ReadEvent::failure) {
        // It is stored under a name that is its charge's or else its event's.
        let named = FailedPayment {
            charge_id: Some(name.to_owned()),
            ..failure.clone()
        };
        said.entry(name.to_owned()).or_default().push(named);
    }
    let said = said
        .iter()
        .map(|(name, words)| (name.clone(), words.iter().collect()))
        .collect();
    let stored = verification::list_failures(db, bookings).await?;
    Ok(compare("the failed try", &stored, &said))
}

fn compare<T: PartialEq + fmt::Debug>(
    what: &str,
    stored: &HashMap<String, T>,
    said: &HashMap<String, Vec<&T>>,
) -> Vec<Difference> {
    let difference = |name: &String, stored: Option<&T>, said: Option<&T>| Difference {
        subject: format!("{what} {name}"),
        stored: stored.map(|stored| format!("{stored:?}")),
        witness: "the replay says".to_owned(),
        said: said.map(|said| format!("{said:?}")),
    };
    let differ = stored.iter().filter_map(|(name, stored)| {
        let words = said.get(name).map(Vec::as_slice).unwrap_or_default();
        let is_said = words.iter().any(|word| **word == *stored);
        (!is_said).then(|| difference(name, Some(stored), words.first().copied()))
    });
    let missing = said.iter().filter_map(|(name, words)| {
        let is_stored = stored.contains_key(name);
        (!is_stored).then(|| difference(name, None, words.first().copied()))
    });
    differ.chain(missing).collect()
}
