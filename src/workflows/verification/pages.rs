//! The pages of a replay, each in a transaction of its own.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::Executor;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::findings::Findings;
use super::kept::{compare_charges, compare_failures};
use crate::connection::Connection;
use crate::domain::booking_past::BookingPast;
use crate::domain::difference::Difference;
use crate::domain::ids::BookingId;
use crate::error::{Error, Result, explain};
use crate::repositories::replays::{self, Place};
use crate::repositories::scratch::{self, Given};
use crate::repositories::verification;
use crate::settlement::{self, ReadEvent};

/// Bookings that are replayed in one transaction.
const BOOKINGS: i64 = 1_000;
/// What cannot be replayed is looked for in pages that are smaller by this.
const SMALLER: i64 = 8;
/// Pages after which the copies are cleared: that takes longer than a page does.
const CLEARED_EVERY: u32 = 20;
/// Events among which those without a booking are looked for in one transaction.
const EVENTS: i64 = 5_000;

/// A replay that is under way.
pub(super) struct Replay {
    session: Connection,
    snapshot: String,
    livemode: bool,
    now: DateTime<Utc>,
    /// Events that have said something of a booking although it was not found by what they name.
    strays: BTreeMap<BookingId, Vec<String>>,
    last: Option<BookingId>,
    limit: i64,
    pages: u32,
    pub(super) findings: Findings,
}

/// What was found in a page.
struct Found {
    /// Its last booking.
    last: BookingId,
    bookings: usize,
    events: usize,
    differences: Vec<Difference>,
}

impl Replay {
    /// In this session, which has the copies, on what `snapshot` sees.
    pub(super) fn new(
        session: Connection,
        snapshot: String,
        livemode: bool,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            session,
            snapshot,
            livemode,
            now,
            strays: BTreeMap::new(),
            last: None,
            limit: BOOKINGS,
            pages: 0,
            findings: Findings::default(),
        }
    }

    /// Goes through the events that were found to be of no booking.
    pub(super) async fn go_through_unmatched(&mut self) -> Result<()> {
        let mut after: Option<Place> = None;
        loop {
            self.begin().await?;
            let listed = replays::list_events_of_none(&mut self.session, after.as_ref(), EVENTS);
            let (stored, last) = listed.await?;
            let mut differences = Vec::new();
            self.findings.events = add(self.findings.events, stored.len());
            let events = settlement::read(stored, self.livemode, self.now, &mut differences);
            let mut unmatched = Vec::new();
            for event in events {
                match self.find_stray(&event).await? {
                    Some(booking_id) => {
                        let strays = self.strays.entry(booking_id).or_default();
                        strays.push(event.id().to_owned());
                    }
                    None => unmatched.push(event),
                }
            }
            settlement::replay_unmatched(&unmatched, self.now, &mut differences);
            self.session.execute("rollback").await?;
            self.findings.add(differences);
            after = last;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// The booking of whose payment an event has said something, if it is here.
    async fn find_stray(&mut self, event: &ReadEvent) -> Result<Option<BookingId>> {
        let Some((charge, refund_id)) = event.speaks_of_payment() else {
            return Ok(None);
        };
        replays::find_booking(&mut self.session, &charge, refund_id.as_deref()).await
    }

    /// Goes through the next bookings; false if there are no more. What cannot be replayed is
    /// looked for, named, and left behind.
    pub(super) async fn go_on(&mut self) -> Result<bool> {
        self.begin().await?;
        let found = self
            .replay_page()
            .with_subscriber(NoSubscriber::default())
            .await;
        // There is nothing to keep.
        self.session.execute("rollback").await?;
        match found {
            Ok(None) => return Ok(false),
            Ok(Some(found)) => self.keep(found).await?,
            Err(error) if error.is_database_unavailable() => return Err(error),
            Err(_) if self.limit > 1 => {
                self.limit = self.limit.checked_div(SMALLER).unwrap_or(1).max(1);
            }
            Err(error) => self.leave_behind(&error).await?,
        }
        Ok(true)
    }

    async fn keep(&mut self, found: Found) -> Result<()> {
        self.limit = BOOKINGS;
        self.pages = self.pages.saturating_add(1);
        if self.pages.is_multiple_of(CLEARED_EVERY) {
            scratch::clear(&mut self.session).await?;
        }
        self.last = Some(found.last);
        self.findings.bookings = add(self.findings.bookings, found.bookings);
        self.findings.events = add(self.findings.events, found.events);
        self.findings.add(found.differences);
        Ok(())
    }

    /// Names a booking that cannot be replayed, and only checks its sums.
    async fn leave_behind(&mut self, error: &Error) -> Result<()> {
        self.begin().await?;
        let pasts = replays::list_pasts(&mut self.session, self.last, 1).await?;
        let past = pasts.first();
        let past = past.ok_or_else(|| Error::fault("a booking that was there is gone"))?;
        let mut differences = verification::check_bookings(&mut self.session, &[past.id]).await?;
        differences.push(Difference {
            subject: format!("booking {}", past.id),
            stored: Some("what cannot be replayed".to_owned()),
            witness: "the database says".to_owned(),
            said: Some(explain(error)),
        });
        self.session.execute("rollback").await?;
        let found = Found {
            last: past.id,
            bookings: 1,
            events: 0,
            differences,
        };
        self.keep(found).await
    }

    /// Checks what belongs to no booking, and says what has come out.
    pub(super) async fn end(mut self) -> Result<Findings> {
        self.begin().await?;
        let differences = verification::check_vouchers(&mut self.session).await?;
        self.session.execute("rollback").await?;
        self.session.close();
        self.findings.add(differences);
        Ok(self.findings)
    }

    async fn begin(&mut self) -> Result<()> {
        self.session.execute("begin").await?;
        scratch::enter(&mut self.session, &self.snapshot).await
    }

    async fn replay_page(&mut self) -> Result<Option<Found>> {
        let db = &mut self.session;
        let pasts = replays::list_pasts(db, self.last, self.limit).await?;
        let Some(last) = pasts.last().map(|past| past.id) else {
            return Ok(None);
        };
        let ids: Vec<_> = pasts.iter().map(|past| past.id).collect();
        let mut differences = check_ends(&pasts);
        differences.extend(verification::check_bookings(db, &ids).await?);

        let strays = ids.iter().filter_map(|id| self.strays.get(id)).flatten();
        let strays: Vec<_> = strays.cloned().collect();
        let stored = replays::list_events(db, &ids, &strays).await?;
        let events = stored.len();
        let read = settlement::read(stored, self.livemode, self.now, &mut differences);
        let pasts: BTreeMap<_, _> = pasts.into_iter().map(|past| (past.id, past)).collect();
        for given in [Given::Bookings, Given::Attempts, Given::Refunds] {
            scratch::give(db, given, &ids).await?;
        }
        settlement::replay_checkouts(db, &pasts, &read, self.now, &mut differences).await?;
        differences.extend(verification::compare_payments(db, &ids).await?);
        if read.iter().any(ReadEvent::is_about_payment) {
            scratch::forget_payments(db).await?;
            scratch::give(db, Given::Payments, &ids).await?;
        }
        settlement::replay_returns(db, &read, self.now, &mut differences).await?;
        differences.extend(verification::compare_returns(db, &ids).await?);
        differences.extend(compare_charges(db, &ids, &read).await?);
        differences.extend(compare_failures(db, &ids, &read).await?);
        Ok(Some(Found {
            last,
            bookings: ids.len(),
            events,
            differences,
        }))
    }
}

/// Bookings that do not stand where all that has happened to them leads.
fn check_ends(pasts: &[BookingPast]) -> Vec<Difference> {
    let ends = pasts.iter().map(|past| {
        let end = past.booking_at(past.end());
        let currency = past.total.currency.as_str();
        let words = |status, met_minor| format!("{status:?}, {met_minor} {currency} met");
        Difference {
            subject: format!("booking {}", past.id),
            stored: Some(words(past.status, past.met_minor)),
            witness: "its past says".to_owned(),
            said: Some(words(end.status, end.met_minor)),
        }
    });
    ends.filter(|end| end.stored != end.said).collect()
}

fn add(sum: u64, number: usize) -> u64 {
    sum.saturating_add(u64::try_from(number).unwrap_or_default())
}
