//! A booking's events come in any order, and each may come again: the end is the same as in order.
//!
//! Events of types that say nothing about a booking are ignored before anything is looked at, and
//! are left out here.

use serde_json::{Value, json};

use crate::harness::TestApp;

const SEPA: &str = "DE89370400440532013000";
const COMPLETED: &str = "checkout.session.completed";
const EXPIRED: &str = "checkout.session.expired";
const LATER_PAID: &str = "checkout.session.async_payment_succeeded";
const LATER_FAILED: &str = "checkout.session.async_payment_failed";
const MONEY_CAME: &str = "payment_intent.succeeded";

/// All that is known of a booking in the end, apart from ids and times.
const END: &str = "
  select concat_ws('; ',
    concat_ws(' ', b.status, b.paid_minor, 'of', b.total_minor),
    'until ' || case when b.live then b.hold_expires_at end,
    'seats ' || (select count(*) from seat_claims c where c.booking_id = b.id),
    'attempts ' || (select string_agg(status::text, ', ' order by id)
                    from checkout_attempts a where a.booking_id = b.id),
    'payments ' || (select string_agg(concat_ws(' ', disposition, surplus_reason, amount_minor),
                                      ', ' order by disposition)
                    from payments p
                    where p.booking_id = b.id and stripe_payment_intent_id is not null),
    'ledger ' || (select string_agg(concat_ws(' ', kind, debit, credit, amount_minor),
                                    ', ' order by kind, debit, credit)
                  from ledger_transfers l where l.booking_id = b.id),
    'refunds ' || (select string_agg(concat_ws(' ', status, amount_minor), ', ')
                   from refunds r where r.booking_id = b.id),
    'discrepancies ' || (select string_agg(kind, ', ')
                         from discrepancies d where d.booking_id = b.id)
  ) from bookings b where b.id = $booking";

/// What becomes of a booking at Stripe before we hear of any of it.
#[derive(Debug, Clone, Copy)]
enum Story {
    /// A card pays.
    Paid,
    /// A delayed method pays, after days.
    PaidLater,
    /// The delayed method fails.
    FailedLater,
    /// The first session, which was replaced, ends; the second is paid.
    OldOneExpired,
    /// The first session is paid although it was replaced; the second ends.
    OldOnePaid,
    /// Both are paid.
    BothPaid,
    /// Both end.
    BothExpired,
}

/// A harness on which Stripe's own deliveries go nowhere, with a show that has a seat for each
/// order.
struct Permutations {
    harness: TestApp,
    show: String,
    seats: Vec<String>,
}

impl Permutations {
    async fn open() -> Self {
        let harness = TestApp::holding_freely().await;
        let rows = ["A", "B", "C", "D"];
        let plan = rows.map(|row| json!({ "row": row, "seats": 30, "tier": "regular" }));
        let show = harness
            .show_with(json!({ "rows": plan, "blocked": [] }))
            .await;
        harness.knob("deliveries", json!({ "drop": true })).await;
        let seats = rows
            .iter()
            .flat_map(|row| (1..=30).map(move |number| format!("{row}{number}")))
            .collect();
        Self {
            harness,
            show,
            seats,
        }
    }

    /// Lets a story happen to a new booking.
    async fn play(&mut self, story: Story) -> Value {
        let seat = self.seats.pop().unwrap();
        let harness = &self.harness;
        if matches!(story, Story::Paid | Story::PaidLater | Story::FailedLater) {
            let booking = harness.customer("dana").booked(&self.show, &[&seat]).await;
            let session = &booking["checkout"]["sessionId"];
            let card = if matches!(story, Story::Paid) {
                "tok_visa"
            } else {
                SEPA
            };
            harness
                .knob("pay", json!({ "session": session, "card": card }))
                .await;
            if !matches!(story, Story::Paid) {
                let outcome = if matches!(story, Story::PaidLater) {
                    "succeeded"
                } else {
                    "failed"
                };
                harness
                    .knob("settle", json!({ "session": session, "outcome": outcome }))
                    .await;
            }
            return booking;
        }
        let (booking, old) = harness.booked_twice(&self.show, &seat).await;
        let new = &booking["checkout"]["sessionId"];
        for (session, paid) in [
            (&old, matches!(story, Story::OldOnePaid | Story::BothPaid)),
            (new, matches!(story, Story::OldOneExpired | Story::BothPaid)),
        ] {
            if paid {
                harness.knob("pay", json!({ "session": session })).await;
            } else {
                harness.expire(session).await;
            }
        }
        booking
    }

    /// The events of these types that Stripe has made of the newest booking, as they happened.
    async fn events(&self, booking: &Value, kinds: &[&str]) -> Vec<String> {
        let newest = self.harness.ask_stripe("/v1/events?limit=10").await;
        let newest = newest["data"].as_array().unwrap().iter().rev();
        let meant = newest.filter(|event| {
            let is_of_booking = event["data"]["object"]["metadata"]["bookingId"] == booking["id"];
            is_of_booking && kinds.iter().any(|kind| event["type"] == *kind)
        });
        let events: Vec<String> = meant
            .map(|event| serde_json::to_string_pretty(event).unwrap())
            .collect();
        assert_eq!(events.len(), kinds.len(), "{kinds:?}: {events:?}");
        events
    }

    /// Tells a story anew, in this order; returns how it ends.
    async fn run(&mut self, story: Story, kinds: &[&str], order: &[usize]) -> String {
        let booking = self.play(story).await;
        let events = self.events(&booking, kinds).await;
        for place in order {
            let answer = self.harness.deliver(&events[*place]).await;
            assert_eq!(answer.status, 200, "{order:?}: {answer:?}");
        }
        self.harness.run_jobs().await;
        let end = END.replace(
            "$booking",
            &format!("'{}'", booking["id"].as_str().unwrap()),
        );
        self.harness.sql(&end).await
    }

    /// Tells a story in order, and then in each of these orders: it always ends so.
    async fn ends_alike(&mut self, story: Story, kinds: &[&str], orders: &[Vec<usize>], end: &str) {
        let in_order = (0..kinds.len()).collect();
        for order in std::iter::once(&in_order).chain(orders) {
            assert_eq!(
                self.run(story, kinds, order).await,
                end,
                "{story:?}: {kinds:?} in the order {order:?}"
            );
        }
        self.harness.reconcile().await;
    }
}

/// Every order in which so many events can come, each as often as `times` says.
fn orders(events: usize, times: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for _ in 0..events * times {
        let longer = orders.iter().flat_map(|order: &Vec<usize>| {
            let next = (0..events)
                .filter(|event| order.iter().filter(|other| *other == event).count() < times);
            next.map(|event| [order.as_slice(), &[event]].concat())
        });
        orders = longer.collect();
    }
    orders
}

/// The end of a booking that was paid for once, by one of these attempts.
fn paid(attempts: &str) -> String {
    let ledger = "capture stripe_balance customer_payments 1200";
    format!(
        "confirmed 1200 of 1200; seats 1; attempts {attempts}; payments applied 1200; \
         ledger {ledger}"
    )
}

#[test]
fn no_order_is_left_out() {
    assert_eq!(orders(2, 1), [[0, 1], [1, 0]]);
    assert_eq!(orders(3, 1).len(), 6);
    assert_eq!(orders(3, 2).len(), 90);
}

#[tokio::test]
async fn a_payment_ends_confirmed_in_any_order() {
    let kinds = [MONEY_CAME, COMPLETED];
    Permutations::open()
        .await
        .ends_alike(Story::Paid, &kinds, &orders(2, 3), &paid("paid"))
        .await;
}

#[tokio::test]
async fn a_delayed_payment_ends_confirmed_in_any_order() {
    let kinds = [COMPLETED, MONEY_CAME, LATER_PAID];
    Permutations::open()
        .await
        .ends_alike(Story::PaidLater, &kinds, &orders(3, 2), &paid("paid"))
        .await;
}

#[tokio::test]
async fn a_delayed_payment_that_fails_ends_failed_in_any_order() {
    let kinds = [COMPLETED, LATER_FAILED];
    let end = "failed 0 of 1200; seats 0; attempts failed";
    Permutations::open()
        .await
        .ends_alike(Story::FailedLater, &kinds, &orders(2, 3), end)
        .await;
}

#[tokio::test]
async fn the_end_of_an_old_session_does_no_harm_in_any_order() {
    let kinds = [EXPIRED, MONEY_CAME, COMPLETED];
    Permutations::open()
        .await
        .ends_alike(
            Story::OldOneExpired,
            &kinds,
            &orders(3, 2),
            &paid("failed, paid"),
        )
        .await;
}

#[tokio::test]
async fn the_payment_of_an_old_session_ends_confirmed_in_any_order() {
    let kinds = [MONEY_CAME, COMPLETED, EXPIRED];
    Permutations::open()
        .await
        .ends_alike(
            Story::OldOnePaid,
            &kinds,
            &orders(3, 2),
            &paid("paid, expired"),
        )
        .await;
}

#[tokio::test]
async fn two_payments_end_as_one_and_a_refund_in_any_order() {
    let kinds = [MONEY_CAME, COMPLETED, MONEY_CAME, COMPLETED];
    let end = "confirmed 1200 of 1200; seats 1; attempts paid, paid; \
               payments applied 1200, surplus already_paid 1200; \
               ledger capture stripe_balance customer_payments 1200, \
               capture stripe_balance customer_surplus 1200, \
               refund customer_surplus stripe_balance 1200; refunds succeeded 1200";
    // Each order once more, after its end.
    let twice: Vec<_> = orders(4, 1).iter().map(|order| order.repeat(2)).collect();
    Permutations::open()
        .await
        .ends_alike(Story::BothPaid, &kinds, &twice, end)
        .await;
}

#[tokio::test]
async fn a_booking_whose_sessions_end_has_expired_in_any_order() {
    let end = "expired 0 of 1200; seats 0; attempts failed, expired";
    Permutations::open()
        .await
        .ends_alike(Story::BothExpired, &[EXPIRED, EXPIRED], &orders(2, 2), end)
        .await;
}
