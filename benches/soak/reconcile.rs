//! What must be true at the end: in our database, at Stripe, and between the two.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::{AssertSqlSafe, query_as, query_scalar};

use crate::invariants::INVARIANTS;
use crate::world::World;

/// What is still to come to an end: each counts it.
pub(crate) const UNDER_WAY: [(&str, &str); 3] = [
    (
        "jobs",
        // Those of the schedule always wait.
        "select count(*) from jobs
         where run_at < now() + interval '1 hour' and kind not in ('sweep', 'beginReconciliation')",
    ),
    (
        "bookings that wait",
        "select count(*) from bookings where status = 'pending'",
    ),
    (
        "events that are put off",
        "select count(*) from payment_events where status = 'deferred'",
    ),
];

/// What may take as long as a delayed payment, which is weeks; Stripe is asked about it every few
/// hours at most.
pub(crate) const UNDER_WAY_FOR_LONG: [(&str, &str); 2] = [
    (
        "jobs",
        "select count(*) from jobs where kind not in ('sweep', 'beginReconciliation')",
    ),
    (
        "delayed payments",
        "select count(*) from bookings where status = 'processing'",
    ),
];

/// What may be open until Stripe's sessions end by themselves.
pub(crate) const OPEN: [(&str, &str); 1] = [(
    "open attempts",
    "select count(*) from checkout_attempts where status in ('creating', 'open', 'processing')",
)];

/// Each counts what must not be at the end.
const LEGAL: [(&str, &str); 8] = [
    (
        "seats that nobody has paid for",
        "select count(*) from seat_claims c join bookings b on b.id = c.booking_id
         where b.status <> 'review'
           and (b.status <> 'confirmed' or b.paid_minor <> b.total_minor)",
    ),
    (
        "confirmed bookings without their seats",
        "select count(*) from bookings b where status = 'confirmed'
         and array(select label from unnest(seats) as label order by label collate \"C\")
           <> array(select label from seat_claims c where c.booking_id = b.id order by label)",
    ),
    (
        "bookings that were paid twice",
        "select count(*) from (select booking_id from payments where disposition = 'applied'
                               group by booking_id having count(*) > 1) as twice",
    ),
    (
        "surplus that neither goes back once nor waits for a person",
        "select count(*) from payments p where disposition = 'surplus' and case
           when surplus_reason in ('already_paid', 'late_payment', 'cancelled')
           then 1 <> (select count(*) from refunds r
                      where r.payment_id = p.id and r.status in ('pending', 'succeeded')
                        and r.amount_minor = p.amount_minor)
           else not exists (select from discrepancies d
                            where d.booking_id = p.booking_id and d.status = 'open') end",
    ),
    (
        "refunds of what was not surplus",
        "select count(*) from refunds r join payments p on p.id = r.payment_id
         where p.disposition <> 'surplus'",
    ),
    (
        "bookings that a voucher has made cheaper by another part than its own",
        "select count(*) from voucher_redemptions r join vouchers v on v.id = r.voucher_id
         join bookings b on b.id = r.booking_id
         where abs((b.total_minor + r.discount_minor) * v.percent_off
                   - r.discount_minor * 100) > 50",
    ),
    (
        "uses of vouchers beyond their limit that no late money has brought",
        "select count(*) from voucher_redemptions r
         where beyond_limit and not exists (
           select from booking_events e
           where e.booking_id = r.booking_id and e.kind in ('claimedAgain', 'review')
         )",
    ),
    (
        "events that nobody has decided",
        "select count(*) from payment_events where status not in ('processed', 'ignored')",
    ),
];

/// What is captured, and what ought to be given back, by PaymentIntent.
const OURS: &str = "
  select coalesce(stripe_payment_intent_id, ''), amount_minor,
         case when surplus_reason in ('already_paid', 'late_payment', 'cancelled')
              then amount_minor else 0 end
  from payments";

/// How many delayed payments have no outcome here.
pub(crate) async fn undecided(world: &World) -> i64 {
    count(
        world,
        "select count(*) from bookings where status = 'processing'",
    )
    .await
}

/// Brings forward what is hours or weeks ahead: when Stripe is asked about a delayed payment.
pub(crate) async fn let_weeks_pass(world: &World) {
    for statement in [
        "update bookings set hold_expires_at = now() where status = 'processing'",
        "update jobs set run_at = now()
         where run_at > now() + interval '1 hour'",
    ] {
        sqlx::query(statement)
            .execute(world.database().pool())
            .await
            .unwrap();
    }
}

/// What of these there still is.
pub(crate) async fn left(world: &World, of: &[(&str, &str)]) -> Vec<String> {
    let mut left = Vec::new();
    for (what, query) in of {
        let number = count(world, query).await;
        if number > 0 {
            left.push(format!("{number} {what}"));
        }
    }
    left
}

/// What is wrong, when nothing is under way.
pub(crate) async fn check(world: &World, when: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (what, query) in INVARIANTS.into_iter().chain(LEGAL) {
        let number = count(world, query).await;
        if number > 0 {
            wrong.push(format!("{when}: {number} {what}"));
        }
    }
    let ours: Vec<(String, i64, i64)> = query_as(OURS)
        .fetch_all(world.database().pool())
        .await
        .unwrap();
    let rows = ours.len();
    let ours: BTreeMap<String, (i64, i64)> = ours
        .into_iter()
        .map(|(id, paid, back)| (id, (paid, back)))
        .collect();
    if rows != ours.len() {
        wrong.push(format!(
            "{when}: {rows} payments of {} PaymentIntents",
            ours.len()
        ));
    }
    let theirs = theirs(world).await;
    for intent in ours
        .keys()
        .chain(theirs.keys().filter(|intent| !ours.contains_key(*intent)))
    {
        let (here, there) = (ours.get(intent), theirs.get(intent));
        if here != there {
            wrong.push(format!(
                "{when}: {intent} captured and to be given back: {here:?}; at Stripe: {there:?}"
            ));
        }
    }
    wrong
}

/// The rule of the fence: who can still pay at Stripe has seats that wait for them, or are
/// theirs already.
pub(crate) async fn check_fence(world: &World) -> Vec<String> {
    let live: Vec<String> = query_scalar("select id::text from bookings where live")
        .fetch_all(world.database().pool())
        .await
        .unwrap();
    let open = world.sessions("open").await;
    let dead = open.iter().filter(|session| {
        !live
            .iter()
            .any(|id| session["metadata"]["bookingId"] == id.as_str())
    });
    dead.map(|session| format!("its booking has ended, but it can be paid: {session}"))
        .collect()
}

/// What is captured, and what was given back, by PaymentIntent.
async fn theirs(world: &World) -> BTreeMap<String, (i64, i64)> {
    let mut theirs: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let intent = |object: &Value| object["payment_intent"].as_str().unwrap().to_owned();
    for charge in all(world, "charges")
        .await
        .iter()
        .filter(|charge| charge["captured"] == true)
    {
        theirs.entry(intent(charge)).or_default().0 += charge["amount_captured"].as_i64().unwrap();
    }
    for refund in all(world, "refunds")
        .await
        .iter()
        .filter(|refund| refund["status"] != "failed")
    {
        theirs.entry(intent(refund)).or_default().1 += refund["amount"].as_i64().unwrap();
    }
    theirs
}

/// All pages of a list of Stripe's.
pub(crate) async fn all(world: &World, list: &str) -> Vec<Value> {
    let mut objects: Vec<Value> = Vec::new();
    let first = format!(
        "/v1/{list}{}limit=100",
        if list.contains('?') { '&' } else { '?' }
    );
    let mut path = first.clone();
    loop {
        let page = world.look(&path).await;
        objects.extend(page["data"].as_array().unwrap().iter().cloned());
        if page["has_more"] != true {
            return objects;
        }
        path = format!(
            "{first}&starting_after={}",
            objects.last().unwrap()["id"].as_str().unwrap()
        );
    }
}

/// Says how many of each there are.
pub(crate) async fn print_counts(world: &World) {
    println!("\nin the database:");
    for query in [
        "select 'bookings ' || status, count(*) from bookings group by 1 order by 1",
        "select 'payments ' || disposition || coalesce(' ' || surplus_reason, ''), count(*)
         from payments group by 1 order by 1",
        "select 'refunds ' || status, count(*) from refunds group by 1 order by 1",
        "select 'attempts ' || status, count(*) from checkout_attempts group by 1 order by 1",
        "select 'uses of vouchers' || case when beyond_limit then ' beyond the limit'
                                           when live then '' else ' given back' end, count(*)
         from voucher_redemptions group by 1 order by 1",
        "select 'webhook events ' || status, count(*) from payment_events group by 1 order by 1",
        "select 'webhook deliveries', coalesce(sum(deliveries), 0)::bigint from payment_events",
    ] {
        let rows: Vec<(String, i64)> = query_as(query)
            .fetch_all(world.database().pool())
            .await
            .unwrap();
        for (what, number) in rows {
            println!("  {number:>7} {what}");
        }
    }
}

async fn count(world: &World, query: &str) -> i64 {
    // A sum of numbers is a decimal to Postgres.
    query_scalar(AssertSqlSafe(format!("select ({query})::bigint")))
        .fetch_one(world.database().pool())
        .await
        .unwrap()
}
