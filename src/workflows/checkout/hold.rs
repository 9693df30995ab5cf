//! The first transaction of a booking: seats are held for all who want some at this moment, or
//! refused.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::app::{App, AppState};
use crate::domain::booking::{
    BookedShow, Booking, BookingDetails, BookingKind, BookingStatus, NewAttempt, PaymentOption,
    PaymentPart, reference_of,
};
use crate::domain::booking_request::BookingRequest;
use crate::domain::catalogue::{BOOKING_SEATS_MAX, PolicyStep};
use crate::domain::ids::{AttemptId, BookingId, ShowId};
use crate::domain::money::Money;
use crate::domain::refusal::Refusal;
use crate::domain::seat_availability::{Quote, SeatAvailability};
use crate::error::{Error, Result, explain};
use crate::gateways::stripe::checkout::{Line, SessionRequest};
use crate::repositories::bookings::{self, NewHold};
use crate::repositories::idempotency_keys::{self, Claim};
use crate::repositories::shows;

/// A session lives 35 minutes: Stripe's minimum of 30 is counted on its clock, and a call may be
/// slow.
const SESSION_LIFE: TimeDelta = TimeDelta::minutes(35);
/// A session outlives the hold at least by this.
const SESSION_AFTER_HOLD: TimeDelta = TimeDelta::minutes(5);

/// A committed booking, and the attempt to pay for it unless it costs nothing.
type Held = (BookingDetails, Option<NewAttempt>);

/// Holds the seats of a request, together with those of others who come meanwhile. Once it is in line,
/// this goes on even if the caller goes away.
pub(super) async fn hold(app: &AppState, request: BookingRequest) -> Result<Held> {
    app.lines
        .wishes
        .join(app, request, |app, requests| {
            Box::pin(hold_all(app, requests))
        })
        .await
}

/// A request that can be granted, as far as is known.
struct Plan<'a> {
    request: &'a BookingRequest,
    booking: Booking,
    show: BookedShow,
    cancellation_policy: Vec<PolicyStep>,
    attempt: Option<NewAttempt>,
}

/// Holds what can be held, in one transaction, which it commits; who comes first gets a seat. No
/// two of the requests have the same key. The availabilities are read before it begins: in a rush most buyers
/// learn from that look that they are too late.
///
/// Round trips beside BEGIN and COMMIT: the availabilities, the holds; one more if there are idempotency
/// keys.
async fn hold_all(app: &App, requests: &[BookingRequest]) -> Result<Vec<Result<Held>>> {
    let now = app.now();
    let quotes = quotes(app, requests.iter())
        .await?
        .into_iter()
        .zip(requests);
    let mut plans: Vec<_> = quotes
        .map(|(quoted, request)| Ok(plan(app, request, quoted?, now)))
        .collect();
    loop {
        let (first, late) = in_order(&plans);
        let refused = if first.is_empty() {
            HashMap::new()
        } else {
            store(app, &first, now).await?
        };
        if refused.is_empty() {
            return Ok(without(late, plans).map(|plan| plan.map(held)).collect());
        }
        // Another process was faster in this moment. Those who are left try again.
        plans = without(refused, plans).collect();
    }
}

fn without(
    mut refused: HashMap<BookingId, Error>,
    plans: Vec<Result<Plan<'_>>>,
) -> impl Iterator<Item = Result<Plan<'_>>> {
    plans.into_iter().map(move |plan| {
        let plan = plan?;
        refused.remove(&plan.booking.id).map_or(Ok(plan), Err)
    })
}

/// Those who are the first to want their seats, and the others with the answer for them if the
/// first get them.
fn in_order<'p, 'w>(
    plans: &'p [Result<Plan<'w>>],
) -> (Vec<&'p Plan<'w>>, HashMap<BookingId, Error>) {
    let mut wanted: HashMap<(ShowId, &str), &Booking> = HashMap::new();
    let (mut first, mut late) = (Vec::new(), HashMap::new());
    for plan in plans.iter().flatten() {
        let seats = plan
            .booking
            .seats
            .iter()
            .map(|label| (plan.show.id, label.as_str()));
        let lost: Vec<_> = seats
            .clone()
            .filter_map(|seat| Some((seat, *wanted.get(&seat)?)))
            .collect();
        if lost.is_empty() {
            wanted.extend(seats.map(|seat| (seat, &plan.booking)));
            first.push(plan);
        } else {
            let own = |booking: &Booking| {
                booking.user_id == plan.request.user.id && booking.status == BookingStatus::Pending
            };
            let own_booking = lost
                .iter()
                .find_map(|(_, booking)| own(booking).then_some(booking.id));
            let seats = lost
                .iter()
                .map(|((_, label), _)| (*label).to_owned())
                .collect();
            late.insert(
                plan.booking.id,
                Refusal::SeatUnavailable { seats, own_booking }.into(),
            );
        }
    }
    (first, late)
}

/// What each of the requests costs, or why it cannot be granted.
async fn quotes(
    app: &App,
    requests: impl Iterator<Item = &BookingRequest> + Clone,
) -> Result<Vec<Result<(SeatAvailability, Quote)>>> {
    // Who names more seats than any booking may have is refused for that, and the others are not
    // looked up.
    let seats_max = usize::try_from(BOOKING_SEATS_MAX).unwrap_or(usize::MAX);
    let wanted = requests.clone().map(|request| {
        (
            request.show_id,
            request.seats.get(..seats_max).unwrap_or(&request.seats),
        )
    });
    let availabilities =
        shows::availabilities(&mut *app.acquire().await?, &wanted.collect::<Vec<_>>()).await?;
    let now = app.now();
    let quotes = availabilities
        .into_iter()
        .zip(requests)
        .map(|(availability, request)| {
            let availability = availability.ok_or(Refusal::NotFound("show"))?;
            let quote = availability.quote(&request.seats, &request.user.id, now)?;
            Ok((availability, quote))
        });
    Ok(quotes.collect())
}

/// Stores all of them and commits, or tells which of them are refused; then nothing is stored.
async fn store(
    app: &App,
    plans: &[&Plan<'_>],
    now: DateTime<Utc>,
) -> Result<HashMap<BookingId, Error>> {
    let mut tx = app.begin().await?;
    let in_use = keys_in_use(&mut tx, plans, now).await?;
    if !in_use.is_empty() {
        tx.rollback().await?;
        return Ok(in_use);
    }
    let holds = plans.iter().map(|plan| NewHold {
        booking: &plan.booking,
        show_id: plan.show.id,
        cancellation_policy: &plan.cancellation_policy,
        attempt: plan.attempt.as_ref(),
    });
    let claimed = bookings::hold(&mut tx, &holds.collect::<Vec<_>>(), now).await?;
    let claimed: HashSet<(BookingId, String)> = claimed.into_iter().collect();
    let lost = plans.iter().map(|plan| {
        let lost = plan
            .booking
            .seats
            .iter()
            .filter(|label| !claimed.contains(&(plan.booking.id, (*label).clone())));
        (*plan, lost.cloned().collect::<Vec<_>>())
    });
    let lost: Vec<_> = lost.filter(|(_, lost)| !lost.is_empty()).collect();
    if !lost.is_empty() {
        tx.rollback().await?;
        return seats_lost(app, lost).await;
    }
    match tx.commit().await.map_err(Error::from) {
        Ok(()) => Ok(HashMap::new()),
        // Whether they are stored is not known. To try again would be to find the own seats taken.
        Err(error) if error.is_database_unavailable() => {
            let unsure = || Error::Database(sqlx::Error::Protocol(explain(&error)));
            Ok(plans
                .iter()
                .map(|plan| (plan.booking.id, unsure()))
                .collect())
        }
        Err(error) => Err(error),
    }
}

/// Claims the keys of all of them, or tells whose key another process has.
async fn keys_in_use(
    tx: &mut PgConnection,
    plans: &[&Plan<'_>],
    now: DateTime<Utc>,
) -> Result<HashMap<BookingId, Error>> {
    let claims = plans.iter().filter_map(|plan| {
        Some(Claim {
            key: plan.request.key.as_ref()?,
            booking_id: Some(plan.booking.id),
        })
    });
    let claims: Vec<_> = claims.collect();
    if claims.is_empty() {
        return Ok(HashMap::new());
    }
    let claimed = idempotency_keys::claim(tx, &claims, now).await?;
    let in_use = claims.iter().zip(claimed).filter(|(_, claimed)| !claimed);
    Ok(in_use
        .filter_map(|(claim, _)| Some((claim.booking_id?, Refusal::IdempotencyInProgress.into())))
        .collect())
}

/// Somebody was faster. A second look says whether it was the buyer himself, in another tab.
async fn seats_lost(
    app: &App,
    lost: Vec<(&Plan<'_>, Vec<String>)>,
) -> Result<HashMap<BookingId, Error>> {
    let quotes = quotes(app, lost.iter().map(|(plan, _)| plan.request)).await?;
    let refused = lost.into_iter().zip(quotes).map(|((plan, seats), quoted)| {
        let lost = || {
            Refusal::SeatUnavailable {
                seats,
                own_booking: None,
            }
            .into()
        };
        (plan.booking.id, quoted.err().unwrap_or_else(lost))
    });
    Ok(refused.collect())
}

fn held(plan: Plan<'_>) -> Held {
    let booking = plan.booking;
    tracing::info!(booking.id = %booking.id, "holds {} seats for {}", booking.seats.len(), booking.reference);
    (
        BookingDetails {
            booking,
            show: Some(plan.show),
            checkout: None,
        },
        plan.attempt,
    )
}

fn plan<'a>(
    app: &App,
    request: &'a BookingRequest,
    (availability, quote): (SeatAvailability, Quote),
    now: DateTime<Utc>,
) -> Plan<'a> {
    let id = BookingId::new();
    let hold = TimeDelta::from_std(app.config.hold).unwrap_or(SESSION_LIFE);
    let expires_at = now + SESSION_LIFE.max(hold + SESSION_AFTER_HOLD);
    let is_free = quote.total.amount_minor == 0;
    let attempt = (!is_free).then(|| new_attempt(id, request, (&availability, &quote), expires_at));
    let cancellation_policy = availability.cancellation_policy.clone();
    Plan {
        request,
        booking: new_booking(id, request, quote, (now, hold)),
        show: availability.into(),
        cancellation_policy,
        attempt,
    }
}

fn new_booking(
    id: BookingId,
    request: &BookingRequest,
    quote: Quote,
    (now, hold): (DateTime<Utc>, TimeDelta),
) -> Booking {
    let is_free = quote.total.amount_minor == 0;
    Booking {
        id,
        reference: reference_of(rand::random()),
        user_id: request.user.id.clone(),
        kind: BookingKind::Show,
        status: if is_free {
            BookingStatus::Confirmed
        } else {
            BookingStatus::Pending
        },
        seats: quote.seats,
        payment_option: PaymentOption::Full,
        total: quote.total,
        due: quote.total,
        paid: Money::new(0, quote.total.currency),
        hold_expires_at: (!is_free).then_some(now + hold),
        confirmed_at: is_free.then_some(now),
        cancelled_at: None,
        version: 1,
        created_at: now,
    }
}

fn new_attempt(
    booking_id: BookingId,
    request: &BookingRequest,
    (availability, quote): (&SeatAvailability, &Quote),
    expires_at: DateTime<Utc>,
) -> NewAttempt {
    let id = AttemptId::new();
    let part = PaymentPart::Full;
    let lines = quote.lines.iter().map(|line| Line {
        name: format!(
            "{} · {} · {}",
            availability.title,
            line.tier,
            line.seats.join(", ")
        ),
        unit: line.unit,
        quantity: u64::try_from(line.seats.len()).unwrap_or_default(),
    });
    let request = SessionRequest {
        booking_id,
        attempt_id: id,
        part,
        ui: request.ui,
        lines: lines.collect(),
        email: request.user.email.as_deref(),
        origin: &request.origin,
        expires_at,
    };
    let parameters = request.parameters();
    NewAttempt {
        id,
        part,
        ui: request.ui,
        amount_minor: quote.total.amount_minor,
        parameters,
        expires_at,
    }
}
