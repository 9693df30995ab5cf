//! Settles a batch of reports in rounds.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use tracing::Instrument;

use super::execute::Done;
use super::plan::{Item, State, plan};
use super::round::Round;
use crate::connection::Connection;
use crate::domain::charge::ChargeReference;
use crate::domain::checkout_state::CheckoutState;
use crate::domain::dispute::DisputedPayment;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::refund::RefundReference;
use crate::domain::refund_state::RefundedPayment;
use crate::error::Result;
use crate::repositories::{attempts, disputes, payments, refunds};

/// Settles reports, in their order for each booking, and says of each what was done. The caller
/// commits.
///
/// Reports are taken in rounds, so that each is planned on what those before it have made of its
/// booking: what changes a booking makes the later reports of the same one wait for the next round.
/// Usually there is one round, of two round trips: lock and read, write.
pub(super) async fn settle(
    db: &mut Connection,
    items: &[Item<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<Done>> {
    let mut done: Vec<Option<Done>> = vec![None; items.len()];
    while done.iter().any(Option::is_none) {
        let round = settle_round(db, open(items, &mut done), now).await?;
        round.finish(db).await?;
    }
    Ok(done.into_iter().flatten().collect())
}

/// The same, without what follows: no job, and no refund of what is not owed.
pub(super) async fn settle_without_consequences(
    db: &mut Connection,
    items: &[Item<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<Done>> {
    let mut done: Vec<Option<Done>> = vec![None; items.len()];
    while done.iter().any(Option::is_none) {
        let round = settle_round(db, open(items, &mut done), now).await?;
        round.write(db).await?;
    }
    Ok(done.into_iter().flatten().collect())
}

fn open<'a, 's>(
    items: &'a [Item<'s>],
    done: &'a mut [Option<Done>],
) -> Vec<(&'a Item<'s>, &'a mut Option<Done>)> {
    let all = items.iter().zip(done);
    all.filter(|(_, done)| done.is_none()).collect()
}

/// How what the reports are about stands, under its locks.
struct States {
    checkouts: HashMap<AttemptId, CheckoutState>,
    refunds: HashMap<RefundReference, RefundedPayment>,
    payments: HashMap<ChargeReference, DisputedPayment>,
}

impl States {
    async fn lock<'a>(
        db: &mut Connection,
        items: impl Iterator<Item = &'a Item<'a>> + Clone,
    ) -> Result<Self> {
        Ok(Self {
            checkouts: lock_checkouts(db, items.clone()).await?,
            refunds: lock_refunds(db, items.clone()).await?,
            payments: lock_payments(db, items).await?,
        })
    }

    fn of(&self, item: &Item<'_>) -> Option<State<'_>> {
        let checkout = || self.checkouts.get(&item.attempt_to_lock()?.attempt_id);
        let refunds = || self.refunds.get(&item.refund_reference()?);
        let payment = || self.payments.get(item.disputed_charge()?);
        checkout()
            .map(State::Checkout)
            .or_else(|| refunds().map(State::Refunds))
            .or_else(|| payment().map(State::Payment))
    }
}

/// How the attempts that the reports are about stand, under the locks of their bookings.
async fn lock_checkouts<'a>(
    db: &mut Connection,
    items: impl Iterator<Item = &'a Item<'a>> + Clone,
) -> Result<HashMap<AttemptId, CheckoutState>> {
    let attempts: Vec<_> = items.clone().filter_map(Item::attempt_to_lock).collect();
    if attempts.is_empty() {
        return Ok(HashMap::new());
    }
    let mut states = attempts::lock(db, &attempts).await?;
    // A paid attempt knows its first PaymentIntent. Another one may have come before, too.
    let others = items.filter_map(|item| {
        let state = states.get(&item.attempt_to_lock()?.attempt_id)?;
        let id = item.payment_intent_id()?;
        state
            .is_paid_by_another(id)
            .then_some((state.attempt.attempt_id, id))
    });
    let others: Vec<_> = others.collect();
    if !others.is_empty() {
        let ids: Vec<_> = others.iter().map(|(_, id)| *id).collect();
        let recorded = payments::recorded_intents(db, &ids).await?;
        for (attempt_id, id) in others
            .into_iter()
            .filter(|(_, id)| recorded.iter().any(|one| one == id))
        {
            if let Some(state) = states.get_mut(&attempt_id) {
                state.paid_by.push(Some(id.to_owned()));
            }
        }
    }
    Ok(states)
}

/// The payments whose refunds are spoken of, and with them, in one order, those against which
/// something is said.
async fn lock_refunds<'a>(
    db: &mut Connection,
    items: impl Iterator<Item = &'a Item<'a>> + Clone,
) -> Result<HashMap<RefundReference, RefundedPayment>> {
    let disputed = items.clone().filter_map(Item::disputed_charge);
    let disputed = disputed.map(|charge| RefundReference {
        charge: charge.clone(),
        ..RefundReference::default()
    });
    let refunded = items.filter_map(Item::refund_reference);
    let references: Vec<_> = refunded.chain(disputed).collect();
    if references.is_empty() {
        return Ok(HashMap::new());
    }
    refunds::lock_payments(db, &references).await
}

/// The payments against which something is said, locked one after the other: a batch seldom has
/// more than one.
async fn lock_payments<'a>(
    db: &mut Connection,
    items: impl Iterator<Item = &'a Item<'a>>,
) -> Result<HashMap<ChargeReference, DisputedPayment>> {
    let mut payments = HashMap::new();
    for charge in items.filter_map(Item::disputed_charge) {
        if let Some(payment) = disputes::lock_payment(db, charge).await? {
            payments.insert(charge.clone(), payment);
        }
    }
    Ok(payments)
}

async fn settle_round<'a>(
    db: &mut Connection,
    open: Vec<(&'a Item<'a>, &mut Option<Done>)>,
    now: DateTime<Utc>,
) -> Result<Round<'a>> {
    let states = States::lock(db, open.iter().map(|(item, _)| *item)).await?;
    let mut changed: HashSet<BookingId> = HashSet::new();
    let mut round = Round::new(now);
    for (item, done) in open {
        let state = states.of(item);
        if state.is_some_and(|state| changed.contains(&state.booking_id())) {
            continue;
        }
        let plan = plan(item, state, now);
        changed.extend(plan.changes());
        let executed = round
            .execute(db, item, plan)
            .instrument(item.span.clone())
            .await?;
        *done = Some(executed);
    }
    Ok(round)
}
