//! The first transaction of a booking: what is wanted is held for all who want something at this
//! moment, or refused.

use std::collections::HashSet;
use std::sync::Weak;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;

use super::draft::{Draft, Refused};
use super::voucher::{Named, redeem};
use crate::app::{App, BatchHandler, Batched, HeldBooking};
use crate::connection::Connection;
use crate::domain::booking::ReservedSeats;
use crate::domain::booking_request::BookingRequest;
use crate::domain::catalogue::BOOKING_SEATS_MAX;
use crate::domain::hold_limits::HoldLimits;
use crate::domain::ids::ShowId;
use crate::domain::job::Job;
use crate::domain::quote::Quote;
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::repositories::availabilities::{self, WantedSeats};
use crate::repositories::holds::{self, Held, NewHold};
use crate::repositories::idempotency_keys::{self, Claim};
use crate::repositories::jobs;

/// Holds what all who ask at the same moment want.
pub struct HoldBookings(pub(crate) Weak<App>);

impl BatchHandler for HoldBookings {
    type Request = BookingRequest;
    type Answer = HeldBooking;

    /// The user, and with them all that bears an idempotency key of theirs: what they hold is
    /// counted before they may hold more. Two who want the same seat do go together.
    fn conflict_keys(&self, request: &BookingRequest) -> Vec<String> {
        vec![request.user.id.as_str().to_owned()]
    }

    fn handle<'a>(
        &'a self,
        batch: &'a [Batched<BookingRequest>],
    ) -> BoxFuture<'a, Result<Vec<Result<HeldBooking>>>> {
        Box::pin(async { hold_all(&*App::upgrade(&self.0)?, batch).await })
    }
}

/// Holds what can be held, in one transaction, which it commits; who comes first gets a seat. No
/// two of the requests are of the same user. The quotes are made before it begins: in a rush most
/// buyers learn from that look that they are too late.
///
/// Round trips beside BEGIN and COMMIT: what is available, the holds; one more if there are
/// idempotency keys, and three more if there are vouchers.
async fn hold_all(
    app: &App,
    batch: &[Batched<BookingRequest>],
) -> Result<Vec<Result<HeldBooking>>> {
    let now = app.now();
    let limits = limits(app)?;
    let quotes = quotes(app, batch.iter().map(|batched| &batched.request)).await?;
    let quotes = quotes.into_iter().zip(batch);
    let mut drafts: Vec<_> = quotes
        .map(|(quote, batched)| Ok(Draft::new(batched, quote?, &app.config, now)))
        .collect();
    loop {
        let order = in_order(&drafts);
        let refused = if order.first.is_empty() {
            Refused::new()
        } else {
            store(app, &order.first, &limits, now).await?
        };
        if refused.is_empty() {
            let late = order.late;
            return Ok(without(late, drafts).map(|draft| draft.map(held)).collect());
        }
        // Another process was faster in this moment. Those who are left try again.
        drafts = without(refused, drafts).collect();
    }
}

fn without(
    mut refused: Refused,
    drafts: Vec<Result<Draft<'_>>>,
) -> impl Iterator<Item = Result<Draft<'_>>> {
    drafts.into_iter().map(move |draft| {
        let draft = draft?;
        refused.remove(&draft.booking().id).map_or(Ok(draft), Err)
    })
}

/// Those who are the first to want what they want, and the others with the answer for them if the
/// first get it.
struct Order<'d, 'r> {
    first: Vec<&'d Draft<'r>>,
    late: Refused,
}

fn in_order<'d, 'r>(drafts: &'d [Result<Draft<'r>>]) -> Order<'d, 'r> {
    let mut wanted: HashSet<(ShowId, &str)> = HashSet::new();
    let mut order = Order {
        first: Vec::new(),
        late: Refused::new(),
    };
    for draft in drafts.iter().flatten() {
        let booking = draft.booking();
        let Some(seats) = booking.reservation.seats() else {
            continue;
        };
        let lost: Vec<_> = seats
            .labels
            .iter()
            .filter(|label| wanted.contains(&(seats.show_id, label.as_str())))
            .collect();
        if lost.is_empty() {
            let labels = seats.labels.iter();
            wanted.extend(labels.map(|label| (seats.show_id, label.as_str())));
            order.first.push(draft);
        } else {
            // By others: of each user there is one.
            let own_booking = None;
            let seats = lost.into_iter().cloned().collect();
            let refusal = Refusal::SeatUnavailable { seats, own_booking };
            order.late.insert(booking.id, refusal.into());
        }
    }
    order
}

/// What each of the requests costs, or why it cannot be granted. One round trip, and one more if
/// there are vouchers.
async fn quotes(
    app: &App,
    requests: impl Iterator<Item = &BookingRequest> + Clone,
) -> Result<Vec<Result<Quote>>> {
    // Who names more seats than any booking may have is refused for that, and the others are not
    // looked up.
    let seats_max = usize::try_from(BOOKING_SEATS_MAX).unwrap_or(usize::MAX);
    let wanted = requests.clone().map(|request| {
        let seats = seats_of(request)?;
        Ok(WantedSeats {
            user_id: &request.user.id,
            show_id: seats.show_id,
            labels: seats.labels.get(..seats_max).unwrap_or(&seats.labels),
        })
    });
    let wanted: Vec<_> = wanted.collect::<Result<_>>()?;
    let (limits, now) = (limits(app)?, app.now());
    let mut db = app.acquire().await?;
    let available = availabilities::list(&mut db, &wanted, limits.lapsed_after(now)).await?;
    let vouchers = Named::find(&mut db, requests.clone()).await?;
    drop(db);
    let now = app.now();
    let quotes = available
        .into_iter()
        .zip(requests)
        .map(|(availability, request)| {
            let availability = availability.ok_or(Refusal::NotFound("show"))?;
            let seats = seats_of(request)?;
            let voucher = vouchers.of(request)?;
            let quote = availability.quote(&seats.labels, &request.user.id, voucher, now)?;
            // Who has too much already learns it here, and is no burden on the transaction.
            limits.check(&availability.holder, &quote, now)?;
            Ok(quote)
        });
    Ok(quotes.collect())
}

/// What one user may hold.
pub(super) fn limits(app: &App) -> Result<HoldLimits> {
    let hold = TimeDelta::from_std(app.config.hold);
    Ok(HoldLimits {
        per_user: app.config.holds_per_user,
        hold: hold.map_err(|error| Error::fault(error.to_string()))?,
    })
}

/// Slots are held one at a time.
fn seats_of(request: &BookingRequest) -> Result<&ReservedSeats> {
    let seats = request.seats();
    seats.ok_or_else(|| Error::fault("only seats are held in batches"))
}

/// Stores all of them and commits, or tells which of them are refused; then nothing is stored.
async fn store(
    app: &App,
    drafts: &[&Draft<'_>],
    limits: &HoldLimits,
    now: DateTime<Utc>,
) -> Result<Refused> {
    let mut tx = app.begin().await?;
    let in_use = keys_in_use(&mut tx, drafts, now).await?;
    if !in_use.is_empty() {
        tx.rollback().await?;
        return Ok(in_use);
    }
    let new = drafts.iter().map(|draft| NewHold {
        booking: draft.booking(),
        cancellation_policy: &draft.quote.cancellation_policy,
        attempt: draft.attempt.as_ref(),
        counted: limits.counted(&draft.quote, now),
    });
    let ends = drafts.iter().filter_map(|draft| {
        let booking_id = draft.booking().id;
        Some(Job::EndHold { booking_id }.at(draft.booking().hold_expires_at?))
    });
    let (new, ends): (Vec<_>, Vec<_>) = (new.collect(), ends.collect());
    let held = holds::insert(&mut tx, &new, &ends, now).await?;
    let lost = lost_seats(drafts, &held);
    if !lost.is_empty() {
        tx.rollback().await?;
        return seats_lost(app, lost).await;
    }
    let over_limit = over_limit(drafts, &held, limits, now);
    if !over_limit.is_empty() {
        tx.rollback().await?;
        return Ok(over_limit);
    }
    let too_late = redeem(&mut tx, drafts, now).await?;
    if !too_late.is_empty() {
        tx.rollback().await?;
        return Ok(too_late);
    }
    if !held.deferred_events.is_empty() {
        // Events that came before their attempt, in a database that was restored.
        let settle = held
            .deferred_events
            .into_iter()
            .map(|event_id| Job::SettleEvent { event_id }.at(now));
        jobs::enqueue(&mut tx, &settle.collect::<Vec<_>>()).await?;
    }
    app.commit(tx).await?;
    Ok(Refused::new())
}

/// Those who have not got all their seats, with the seats that others have.
fn lost_seats<'d, 'r>(drafts: &[&'d Draft<'r>], held: &Held) -> Vec<(&'d Draft<'r>, Vec<String>)> {
    let lost = drafts.iter().map(|draft| {
        let (id, seats) = (draft.booking().id, draft.booking().reservation.seats());
        let is_lost = |label: &&String| !held.claimed.contains(&(id, (*label).clone()));
        let labels = seats.into_iter().flat_map(|seats| &seats.labels);
        let lost: Vec<_> = labels.filter(is_lost).cloned().collect();
        (*draft, lost)
    });
    lost.filter(|(_, lost)| !lost.is_empty()).collect()
}

/// Those whose users have too much already: another process was faster, with another request of
/// theirs.
fn over_limit(
    drafts: &[&Draft<'_>],
    held: &Held,
    limits: &HoldLimits,
    now: DateTime<Utc>,
) -> Refused {
    let refused = drafts.iter().filter_map(|draft| {
        let id = draft.booking().id;
        let checked = limits.check(held.holders.get(&id)?, &draft.quote, now);
        Some((id, checked.err()?.into()))
    });
    refused.collect()
}

/// Claims the keys of all of them, or tells whose key another process has.
pub(super) async fn keys_in_use(
    tx: &mut Connection,
    drafts: &[&Draft<'_>],
    now: DateTime<Utc>,
) -> Result<Refused> {
    let claims = drafts.iter().filter_map(|draft| {
        Some(Claim {
            key: draft.request.key.as_ref()?,
            booking_id: Some(draft.booking().id),
        })
    });
    let claims: Vec<_> = claims.collect();
    if claims.is_empty() {
        return Ok(Refused::new());
    }
    let claimed = idempotency_keys::claim(tx, &claims, now).await?;
    let in_use = claims.iter().zip(claimed).filter(|(_, claimed)| !claimed);
    Ok(in_use
        .filter_map(|(claim, _)| Some((claim.booking_id?, Refusal::IdempotencyInProgress.into())))
        .collect())
}

/// Somebody was faster. A second look says whether it was the buyer, in another tab.
async fn seats_lost(app: &App, lost: Vec<(&Draft<'_>, Vec<String>)>) -> Result<Refused> {
    let quotes = quotes(app, lost.iter().map(|(draft, _)| draft.request)).await?;
    let refused = lost.into_iter().zip(quotes).map(|((draft, seats), quote)| {
        let refusal = Refusal::SeatUnavailable {
            seats,
            own_booking: None,
        };
        (
            draft.booking().id,
            quote.err().unwrap_or_else(|| refusal.into()),
        )
    });
    Ok(refused.collect())
}

pub(super) fn held(draft: Draft<'_>) -> HeldBooking {
    let booking = draft.booking();
    draft.span.in_scope(|| {
        tracing::info!(booking.id = %booking.id, "holds what {} reserves", booking.reference);
    });
    HeldBooking {
        details: draft.details,
        attempt: draft.attempt,
    }
}
