//! Postgres fails at every step of everything once: the caller is told cleanly, and who asks again
//! ends as if nothing had been. No seat stays blocked, and no cent is lost or doubled.
//!
//! A step is a statement, be it BEGIN or COMMIT. Steps are not counted beforehand: each flow is
//! spoilt at its first, its second, and so on, until it ends before the fault has come.

mod admins;
mod bookings;
mod money;
mod scenario;
mod shows;
mod slots;
mod stripe;
mod vouchers;

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use chrono::TimeDelta;
use futures_util::FutureExt;
use holdfast::domain::job::Job;
use holdfast::{jobs, routes};

use crate::harness::{TestApp, database};
use crate::pg_proxy::{Held, Interruption, PgProxy, Way};
use scenario::{Flow, Scenario};

/// What can go wrong on the way to Postgres: a statement is lost, its answer is lost, or it takes
/// too long. Whoever is held up too long loses their patience, as they do when the time of
/// their request is over; what they had asked for goes on.
const FAULTS: [(Held, Way); 3] = [
    (Held::Statement, Way::Cut),
    (Held::Answer, Way::Cut),
    (Held::Statement, Way::Through),
];
/// More steps than this are no flow of ours.
const STEPS_MAX: usize = 40;
/// How often somebody asks again before they count as stuck.
const TRIES_MAX: usize = 4;
/// Between two tries: what a dead request has left is free by then.
const PAUSE: TimeDelta = TimeDelta::seconds(41);

#[tokio::test]
async fn a_booking_is_made_once() {
    survives::<bookings::Book>().await;
}

#[tokio::test]
async fn bookings_that_are_made_together_are_made_once() {
    survives::<bookings::BookTogether>().await;
}

#[tokio::test]
async fn a_booking_under_a_key_is_made_once_and_answered_alike() {
    survives::<bookings::BookUnderKey>().await;
}

#[tokio::test]
async fn a_booking_that_stripe_refuses_for_good_frees_its_seats() {
    survives::<bookings::BookInVain>().await;
}

#[tokio::test]
async fn a_booking_whose_key_at_stripe_is_spent_goes_on_under_another() {
    survives::<bookings::BookAfterStoredFailure>().await;
}

#[tokio::test]
async fn an_unanswered_booking_is_resumed() {
    survives::<bookings::Reopen>().await;
}

#[tokio::test]
async fn an_unanswered_booking_is_finished_in_the_background() {
    survives::<bookings::FinishCheckout>().await;
}

#[tokio::test]
async fn a_booking_that_lost_its_jobs_is_found() {
    survives::<bookings::Sweep>().await;
}

#[tokio::test]
async fn a_cancellation_frees_the_seats_once() {
    survives::<bookings::CallOff>().await;
}

#[tokio::test]
async fn the_end_of_a_hold_frees_the_seats_once() {
    survives::<bookings::EndHold>().await;
}

#[tokio::test]
async fn the_end_of_an_unanswered_hold_frees_the_seats_once() {
    survives::<bookings::EndUnansweredHold>().await;
}

#[tokio::test]
async fn the_end_of_a_hold_that_was_paid_confirms_it() {
    survives::<money::EndPaidHold>().await;
}

#[tokio::test]
async fn a_payment_is_applied_once() {
    survives::<money::Pay>().await;
}

#[tokio::test]
async fn payments_that_are_told_together_are_applied_once() {
    survives::<money::PayTogether>().await;
}

#[tokio::test]
async fn a_duplicate_stays_one() {
    survives::<money::PayAgain>().await;
}

#[tokio::test]
async fn a_deferred_event_is_settled_once() {
    survives::<money::SettleDeferred>().await;
}

#[tokio::test]
async fn a_buyer_who_asks_is_confirmed_once() {
    survives::<money::Verify>().await;
}

#[tokio::test]
async fn a_late_payment_claims_its_seats_once() {
    survives::<money::PayLate>().await;
}

#[tokio::test]
async fn a_late_payment_for_sold_seats_goes_back_once() {
    survives::<money::PayTooLate>().await;
}

#[tokio::test]
async fn a_refund_is_made_once() {
    survives::<money::Refund>().await;
}

#[tokio::test]
async fn an_admin_gives_back_and_frees_once() {
    survives::<admins::Release>().await;
}

#[tokio::test]
async fn an_admin_cancels_a_review_once() {
    survives::<admins::CancelReview>().await;
}

#[tokio::test]
async fn a_show_is_cancelled_once() {
    survives::<shows::CancelShow>().await;
}

#[tokio::test]
async fn a_sold_booking_of_a_cancelled_show_ends_once() {
    survives::<shows::EndSoldSeats>().await;
}

#[tokio::test]
async fn a_held_booking_of_a_cancelled_show_ends_once() {
    survives::<shows::EndHeldSeats>().await;
}

#[tokio::test]
async fn a_reviewed_booking_of_a_cancelled_show_ends_once() {
    survives::<shows::EndReviewedSeats>().await;
}

#[tokio::test]
async fn the_run_of_a_cancelled_show_ends_once() {
    survives::<shows::EndRun>().await;
}

#[tokio::test]
async fn what_has_failed_of_a_cancelled_show_is_tried_again_once() {
    survives::<shows::TryAgain>().await;
}

#[tokio::test]
async fn a_slot_is_booked_once() {
    survives::<slots::BookSlot>().await;
}

#[tokio::test]
async fn a_voucher_is_used_once() {
    survives::<vouchers::BookWithVoucher>().await;
}

#[tokio::test]
async fn a_balance_is_paid_once() {
    survives::<slots::OpenBalance>().await;
}

/// Whoever gives up while BEGIN is under way must not leave their connection inside a transaction:
/// what others then write on it would be lost with it.
#[tokio::test]
async fn whoever_gives_up_at_the_beginning_leaves_no_transaction_open() {
    let database = database().await;
    let pg_proxy = PgProxy::start(&database.options_of_serve()).await;
    let harness = TestApp::on(database, &[("DATABASE_URL", pg_proxy.url())]).await;

    pg_proxy.hold_up(Held::Answer, 1);
    tokio::select! {
        begun = harness.app.begin() => panic!("it was to be held up: {begun:?}"),
        () = pg_proxy.held() => {}
    }
    pg_proxy.let_go(Way::Through);
    let mut db = harness.app.acquire().await.unwrap();
    sqlx::query("update write_probe set tried_at = 'epoch'")
        .execute(&mut db)
        .await
        .unwrap();

    assert_eq!(pg_proxy.statements(), ["begin"]);
    assert_eq!(
        harness
            .sql("select tried_at = 'epoch' from write_probe")
            .await,
        "true"
    );
}

/// It waits as long as Postgres may say nothing, 8 seconds.
#[tokio::test]
async fn a_connection_that_falls_silent_costs_time_and_no_answer() {
    let database = database().await;
    let pg_proxy = PgProxy::start(&database.options_of_serve()).await;
    let harness = TestApp::on(database, &[("DATABASE_URL", pg_proxy.url())]).await;
    let show = harness.show().await;
    let map = format!("/api/shows/{show}/seats");
    let dana = harness.customer("dana");
    assert_eq!(dana.get(&map).await.status, 200);
    pg_proxy.hold_up(Held::Statement, 1);

    let answer = dana.get(&map).await;
    pg_proxy.let_go(Way::Through);

    assert_eq!(answer.status, 200);
    assert_eq!(dana.get(&map).await.status, 200);
}

/// Spoils each step of the flow in each way.
async fn survives<F: Flow>() {
    let database = database().await;
    let pg_proxy = PgProxy::start(&database.options_of_serve()).await;
    let harness = TestApp::on(database, &[("DATABASE_URL", pg_proxy.url())]).await;
    let router = routes::router(harness.app.clone());
    for (held, way) in FAULTS {
        for step in 1..=STEPS_MAX {
            let interruption = Interruption { step, held, way };
            let case = async {
                let scenario = Scenario::new(&harness, &router).await;
                spoil::<F>(&scenario, &pg_proxy, interruption).await
            };
            let Ok(spoilt) = AssertUnwindSafe(case).catch_unwind().await else {
                panic!("{interruption:?}, the last of {:#?}", pg_proxy.statements());
            };
            if !spoilt {
                assert!(step > 1, "a flow without steps");
                break;
            }
            assert!(step < STEPS_MAX, "a flow without an end");
        }
    }
    harness.reconcile().await;
}

/// Spoils one step; false if the flow has not so many.
async fn spoil<F: Flow>(
    scenario: &Scenario<'_>,
    pg_proxy: &PgProxy,
    interruption: Interruption,
) -> bool {
    let flow = F::begin(scenario).await;
    pg_proxy.hold_up(interruption.held, interruption.step);
    let outcome = {
        let mut run = pin!(flow.run(scenario));
        tokio::select! {
            outcome = &mut run => Some(outcome),
            () = pg_proxy.held() => match interruption.way {
                Way::Cut => {
                    pg_proxy.let_go(interruption.way);
                    Some(run.await)
                }
                Way::Through => None,
            }
        }
    };
    pg_proxy.let_go(interruption.way);
    let spoilt = pg_proxy.restore();
    assert!(
        outcome
            .as_ref()
            .is_none_or(|outcome| flow.is_done(outcome) || (spoilt && outcome.is_clean())),
        "{outcome:?}"
    );
    ends_well(scenario, &flow).await;
    spoilt
}

/// Nothing is spoilt any more, and whoever was not told that it is done asks again.
async fn ends_well<F: Flow>(scenario: &Scenario<'_>, flow: &F) {
    let mut done = false;
    for _ in 0..TRIES_MAX {
        let outcome = flow.again(scenario).await;
        done = flow.is_done(&outcome);
        assert!(done || outcome.is_clean(), "{outcome:?}");
        if done {
            break;
        }
        scenario.harness.advance(PAUSE).await;
        jobs::perform(&scenario.harness.app, &Job::Sweep)
            .await
            .unwrap();
        scenario.harness.run_jobs().await;
    }
    assert!(done, "whoever asks again gets nowhere");
    flow.check(scenario).await;
    scenario.check().await;
}
