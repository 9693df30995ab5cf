//! Events that were found to be of no booking: whether that is so, and which of them have said
//! something of one all the same.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::findings::{Findings, add};
use crate::connection::Connection;
use crate::domain::difference::Difference;
use crate::domain::ids::BookingId;
use crate::domain::payment_event::{EventStatus, StoredEvent};
use crate::error::Result;
use crate::repositories::replays::{self, Place};
use crate::settlement::{self, ReadEvent};

/// Events among which those without a booking are looked for in one transaction.
const EVENTS: i64 = 5_000;
/// An event may be seen so much later than it came: for as long as it is being settled, and as the
/// clocks of processes differ.
const LATE_MAX: TimeDelta = TimeDelta::minutes(10);

/// What is known of such events.
pub(super) struct Unmatched {
    now: DateTime<Utc>,
    /// Those that came until then were all looked at, but for the open ones.
    since: DateTime<Utc>,
    /// Events that could still be decided when they were looked for last.
    open: Vec<String>,
    /// Where events stood when they were looked at, of later ones and of those that were given up.
    seen: HashMap<String, EventStatus>,
    /// Events that have said something of a booking although it was not found by what they name.
    strays: BTreeMap<BookingId, Vec<String>>,
}

impl Unmatched {
    /// To look at those that have come a while ago, first.
    pub(super) async fn begin(db: &mut Connection, now: DateTime<Utc>) -> Result<Self> {
        let mut unmatched = Self {
            now,
            since: DateTime::UNIX_EPOCH,
            open: Vec::new(),
            seen: HashMap::new(),
            strays: BTreeMap::new(),
        };
        let open = unmatched.look_ahead(db).await?;
        unmatched.seen = open;
        Ok(unmatched)
    }

    /// Notes until when events have come, and which may still be decided; returns where those stand
    /// that came before.
    async fn look_ahead(&mut self, db: &mut Connection) -> Result<HashMap<String, EventStatus>> {
        if let Some(last) = replays::last_received(db).await? {
            self.since = last - LATE_MAX;
        }
        let open = replays::list_open_events(db).await?;
        self.open = open.iter().map(|event| event.id.clone()).collect();
        let before = open.into_iter();
        let before = before.filter(|event| event.received_at <= self.since);
        Ok(before.map(|event| (event.id, event.status)).collect())
    }

    /// Looks at the next of those that have come a while ago; the place where they end, `None` if
    /// there are no more.
    pub(super) async fn look_back(
        &mut self,
        db: &mut Connection,
        after: Option<&Place>,
        findings: &mut Findings,
    ) -> Result<Option<Place>> {
        let listed = replays::list_events_of_none(db, after, self.since, EVENTS);
        let (events, last) = listed.await?;
        self.look_at(db, events, findings).await?;
        Ok(last)
    }

    /// Looks at those that have come, or were decided, since it was done last.
    pub(super) async fn look_at_later(
        &mut self,
        db: &mut Connection,
        findings: &mut Findings,
    ) -> Result<()> {
        let later = replays::list_later_events_of_none(db, self.since, &self.open);
        let mut later = later.await?;
        later.retain(|event| self.seen.get(&event.id) != Some(&event.status));
        let stand = later.iter().map(|event| (event.id.clone(), event.status));
        let stand: Vec<_> = stand.collect();
        self.look_at(db, later, findings).await?;
        self.seen.extend(stand);
        self.look_ahead(db).await?;
        Ok(())
    }

    /// Those that have said something of these bookings.
    pub(super) fn strays(&self, ids: &[BookingId]) -> Vec<String> {
        let strays = ids.iter().filter_map(|id| self.strays.get(id)).flatten();
        strays.cloned().collect()
    }

    async fn look_at(
        &mut self,
        db: &mut Connection,
        stored: Vec<StoredEvent>,
        findings: &mut Findings,
    ) -> Result<()> {
        let mut differences: Vec<Difference> = Vec::new();
        let mut count = stored.len();
        let mut of_none = Vec::new();
        for event in settlement::read(stored, self.now, &mut differences) {
            if let Some(booking_id) = find_booking(db, &event).await? {
                // It is one of its booking's.
                count = count.saturating_sub(1);
                let strays = self.strays.entry(booking_id).or_default();
                strays.push(event.id().to_owned());
            } else {
                of_none.push(event);
            }
        }
        settlement::replay_unmatched(&of_none, self.now, &mut differences);
        findings.events = add(findings.events, count);
        findings.add(differences);
        Ok(())
    }
}

/// The booking of whose payment an event has said something, if it is here.
async fn find_booking(db: &mut Connection, event: &ReadEvent) -> Result<Option<BookingId>> {
    let Some((charge, refund_id)) = event.speaks_of_payment() else {
        return Ok(None);
    };
    replays::find_booking(db, &charge, refund_id.as_deref()).await
}
