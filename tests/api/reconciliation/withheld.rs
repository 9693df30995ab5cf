//! Whichever of Stripe's events were withheld from us, a reconciliation brings about what they
//! would have.

use chrono::TimeDelta;
use holdfast::gateways::stripe::event::SUBSCRIBED_TYPES;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::{ask_stripe_to, hide, reconcile};
use crate::delayed::SEPA;
use crate::harness::TestApp;

/// A card whose refunds are pending until its bank decides.
const REFUNDED_SLOWLY: &str = "4000000000007726";
const REFUSED: &str = "4000000000009995";

/// All that is known in the end, apart from ids and times, and from who has brought it.
const END: &str = "
  select concat_ws('; ',
    (select string_agg(concat_ws(' ', seats, status, paid_minor), ', ' order by seats)
     from bookings),
    'seats ' || (select string_agg(label, ' ' order by label) from seat_claims),
    'attempts ' || (select string_agg(status::text, ' ' order by status) from checkout_attempts),
    'payments ' || (select string_agg(concat_ws(' ', disposition, amount_minor), ', '
                                      order by amount_minor) from payments),
    'paid by ' || (select string_agg(concat_ws(' ', method_type, method_last4), ', '
                                     order by method_last4) from charges),
    'failed ' || (select string_agg(concat_ws(' ', code, decline_code), ', '
                                    order by code, decline_code) from failed_payments),
    'refunds ' || (select string_agg(concat_ws(' ', source, status, amount_minor), ', '
                                     order by amount_minor) from refunds),
    'disputes ' || (select string_agg(concat_ws(' ', status, amount_minor), ', '
                                      order by amount_minor) from disputes),
    'ledger ' || (select string_agg(concat_ws(' ', account, sum), ', ' order by account)
                  from (select account, sum(sum)
                        from (select debit as account, amount_minor as sum from ledger_transfers
                              union all
                              select credit, -amount_minor from ledger_transfers) as entries
                        group by account having sum(sum) <> 0) as accounts),
    'warned ' || (select count(*) from booking_events where kind = 'fraudWarned'),
    'discrepancies ' || (select string_agg(concat_ws(' ', kind, status), ', '
                                           order by kind, status) from discrepancies))";

/// What happens to five buyers, of which we do not hear by events of these types: one pays at the
/// second try, one by a debit that succeeds, one by a debit that fails, one never, and one pays.
/// Ten days later, the first is given money back, twice, of which once in vain; the bank of the
/// last takes the money back, and then gives in.
async fn story(harness: &TestApp, withheld: &[&str]) {
    if !withheld.is_empty() {
        let drop = json!({ "drop": true, "types": withheld });
        harness.knob("deliveries", drop).await;
    }
    let show = json!({ "startsAt": harness.now() + TimeDelta::days(60) });
    let show = harness.show_with(show).await;
    let first = paid(harness, &show, ["anna", "A2"], &[REFUSED, REFUNDED_SLOWLY]).await;
    let debits = [["ben", "succeeded", "B1"], ["cleo", "failed", "A4"]];
    for [buyer, outcome, seat] in debits {
        let booking = harness.customer(buyer).booked(&show, &[seat]).await;
        let session = &booking["checkout"]["sessionId"];
        let debit = json!({ "session": session, "card": SEPA });
        harness.knob("pay", debit).await;
        let outcome = json!({ "session": session, "outcome": outcome });
        harness.knob("settle", outcome).await;
    }
    let unpaid = harness.customer("dora").booked(&show, &["A5"]).await;
    let session = unpaid["checkout"]["sessionId"].as_str().unwrap();
    let expired = format!("checkout/sessions/{session}/expire");
    assert_eq!(ask_stripe_to(harness, &expired, "").await.status, 200);
    let last = paid(harness, &show, ["emil", "A6"], &["tok_visa"]).await;
    harness.simulator.settled().await;

    harness.advance(TimeDelta::days(10)).await;
    given_back(harness, &first).await;
    taken_back(harness, &last).await;
    harness.simulator.settled().await;
}

/// A buyer has a seat, and pays with one card after the other; returns the PaymentIntent.
async fn paid(harness: &TestApp, show: &str, [buyer, seat]: [&str; 2], cards: &[&str]) -> String {
    let booking = harness.customer(buyer).booked(show, &[seat]).await;
    let session = &booking["checkout"]["sessionId"];
    let mut intent = Value::Null;
    for card in cards {
        let paid = json!({ "session": session, "card": card });
        intent = harness.knob("pay", paid).await["paymentIntent"].clone();
    }
    intent.as_str().unwrap().to_owned()
}

async fn given_back(harness: &TestApp, intent: &str) {
    for (amount, end) in [(500, "failed"), (300, "succeeded")] {
        let form = format!("payment_intent={intent}&amount={amount}");
        let made = ask_stripe_to(harness, "refunds", &form).await;
        let knob = format!("refunds/{}", made.body["id"].as_str().unwrap());
        harness.knob(&knob, json!({ "status": end })).await;
    }
}

async fn taken_back(harness: &TestApp, intent: &str) {
    let wanted = json!({ "paymentIntent": intent });
    harness.knob("fraud_warnings", wanted.clone()).await;
    let dispute = harness.knob("disputes", wanted).await;
    let knob = format!("disputes/{}", dispute["id"].as_str().unwrap());
    for status in ["under_review", "won"] {
        harness.knob(&knob, json!({ "status": status })).await;
    }
}

/// How all stands once a reconciliation has gone over it, and events have waited for each other.
/// Nobody does the jobs that would ask Stripe at the end of a hold.
async fn end(harness: &TestApp) -> String {
    sqlx::query("delete from jobs where kind = 'endHold'")
        .execute(harness.db())
        .await
        .unwrap();
    reconcile(harness, json!({})).await;
    harness.advance(TimeDelta::seconds(20)).await;
    harness.run_jobs().await;
    harness.reconcile().await;
    assert_eq!(harness.verify().await, Vec::<String>::new());
    harness.sql(END).await
}

/// How all stands if nothing is withheld.
async fn told() -> String {
    let harness = TestApp::new().await;
    story(&harness, &[]).await;
    let end = end(&harness).await;
    for part in [
        "{A2} confirmed 1200, {A4} failed 0, {A5} expired 0, {A6} confirmed 1200, {B1} confirmed",
        "refunds dashboard succeeded 300, dashboard failed 500; disputes won 1200",
        "warned 1",
    ] {
        assert!(end.contains(part), "{end}");
    }
    end
}

#[tokio::test]
async fn the_effect_of_any_type_of_event_is_brought_about() {
    let told = told().await;
    for kind in SUBSCRIBED_TYPES {
        let harness = TestApp::new().await;

        story(&harness, &[kind]).await;
        let undelivered = format!("/v1/events?delivery_success=false&type={kind}");
        let undelivered = harness.ask_stripe(&undelivered).await["data"].clone();
        assert_ne!(undelivered, json!([]), "{kind} is of the story");

        assert_eq!(end(&harness).await, told, "{kind}");
        for event in undelivered.as_array().unwrap() {
            let status = "select status from payment_events where id =";
            let status = format!("{status} '{}'", event["id"].as_str().unwrap());
            assert_eq!(harness.sql(&status).await, "processed", "{kind}");
        }
    }
}

#[tokio::test]
async fn the_effect_of_all_events_of_one_noun_or_of_any_is_brought_about() {
    let told = told().await;
    let of = |noun: &str| {
        let types = SUBSCRIBED_TYPES.into_iter();
        types.filter(|kind| kind.contains(noun)).collect::<Vec<_>>()
    };
    for withheld in [
        of("refund"),
        of("dispute"),
        of("checkout.session"),
        of("payment_intent"),
        of("charge"),
        of(""),
    ] {
        let harness = TestApp::new().await;

        story(&harness, &withheld).await;

        assert_eq!(end(&harness).await, told, "{withheld:?}");
    }
}

#[tokio::test]
async fn the_effect_of_any_subset_of_events_is_brought_about() {
    let told = told().await;
    for seed in 0..4 {
        let mut random = StdRng::seed_from_u64(seed);
        let harness = TestApp::new().await;
        let all = SUBSCRIBED_TYPES;
        story(&harness, &all).await;

        harness.knob("deliveries", json!({})).await;
        let events = harness.ask_stripe("/v1/events?limit=100").await;
        assert_eq!(events["has_more"], false);
        for event in events["data"].as_array().unwrap() {
            if random.random_bool(0.5) {
                let again = format!("events/{}/retry", event["id"].as_str().unwrap());
                ask_stripe_to(&harness, &again, "").await;
                harness.simulator.settled().await;
            }
        }

        assert_eq!(end(&harness).await, told, "seed {seed}");
    }
}

/// Where an endpoint was not subscribed to them, Stripe does not call such events undelivered.
#[tokio::test]
async fn refunds_and_disputes_of_old_payments_are_found_without_their_events() {
    let harness = TestApp::new().await;
    let show = json!({ "startsAt": harness.now() + TimeDelta::days(60) });
    let show = harness.show_with(show).await;
    let refunded = paid(&harness, &show, ["anna", "A2"], &[REFUNDED_SLOWLY]).await;
    let disputed = paid(&harness, &show, ["emil", "A3"], &["tok_visa"]).await;
    harness.simulator.settled().await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    harness.advance(TimeDelta::days(10)).await;
    given_back(&harness, &refunded).await;
    let wanted = json!({ "paymentIntent": disputed });
    let dispute = harness.knob("disputes", wanted).await;

    hide(&harness, "GET /v1/events").await;
    let found = reconcile(&harness, json!({})).await;

    let refunds = "select string_agg(concat_ws(' ', status, amount_minor), ', ' order by
                                     amount_minor) from refunds";
    assert_eq!(harness.sql(refunds).await, "succeeded 300, failed 500");
    let stands = "select concat_ws(' ', status, amount_minor) from disputes";
    assert_eq!(harness.sql(stands).await, "needs_response 1200");
    assert_eq!(found["healed"].as_array().unwrap().len(), 3, "{found}");
    assert_eq!(harness.verify().await, Vec::<String>::new());

    // A bank decides after months, when nobody has begun to look so far back.
    harness.advance(TimeDelta::days(75)).await;
    let knob = format!("disputes/{}", dispute["id"].as_str().unwrap());
    harness.knob(&knob, json!({ "status": "lost" })).await;
    hide(&harness, "GET /v1/events").await;
    reconcile(&harness, json!({})).await;

    assert_eq!(harness.sql(stands).await, "lost 1200");
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

#[test]
fn the_runbook_names_every_type_that_is_to_be_subscribed_to() {
    let runbook = include_str!("../../../RUNBOOK.md");
    for kind in SUBSCRIBED_TYPES {
        assert!(runbook.contains(&format!("`{kind}`")), "{kind}");
    }
}
