//! The process is killed at every step that it takes in the database, once before and once after;
//! the next one goes on.
//!
//! A step is a statement. Each flow is killed at its first, its second, and so on, until it ends
//! before the kill.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use super::crash_flow::{Flow, FlowScenario};
use super::harness::{Harness, Server};
use crate::pg_proxy::{Held, Interruption, PgProxy, Way};

/// Before the statement, and after it: the answer comes for nobody.
const DEATHS: [(Held, Way); 2] = [(Held::Statement, Way::Cut), (Held::Answer, Way::Through)];
/// More steps than this are no flow of ours.
const STEPS_MAX: usize = 40;
/// How often somebody asks again before they count as stuck.
const TRIES_MAX: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_that_stripe_refuses_for_good_frees_its_seats() {
    survives(Flow::BookInVain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_whose_key_at_stripe_is_spent_goes_on_under_another() {
    survives(Flow::BookAfterStoredFailure).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_applied_once() {
    survives(Flow::Pay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deferred_event_is_settled_once() {
    survives(Flow::SettleDeferred).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_who_asks_is_confirmed_once() {
    survives(Flow::Verify).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_payment_for_sold_seats_goes_back_once() {
    survives(Flow::PayTooLate).await;
}

/// Kills the process at each step of the flow.
async fn survives(flow: Flow) {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let pg_proxy = PgProxy::start(&harness.database.options_of_serve()).await;
    let mut server = Some(serve(&harness, &pg_proxy));
    for (held, way) in DEATHS {
        for step in 1..=STEPS_MAX {
            let death = Interruption { step, held, way };
            let case = async {
                let scenario = FlowScenario::new(&harness, flow).await;
                kill(&scenario, &pg_proxy, death, &mut server).await
            };
            let Ok(killed) = AssertUnwindSafe(case).catch_unwind().await else {
                panic!(
                    "{flow:?}, {death:?}, the last of {:#?}",
                    pg_proxy.statements()
                );
            };
            if !killed {
                assert!(step > 1, "a flow without steps");
                break;
            }
            assert!(step < STEPS_MAX, "a flow without an end");
        }
    }
    harness.reconcile().await;
}

fn serve(harness: &Harness, pg_proxy: &PgProxy) -> Server {
    harness.serve(&[("DATABASE_URL", pg_proxy.url())])
}

/// Kills the process at one step, and lets another finish; false if the flow has not so many.
async fn kill(
    scenario: &FlowScenario<'_>,
    pg_proxy: &PgProxy,
    death: Interruption,
    server: &mut Option<Server>,
) -> bool {
    let first = server.take().unwrap();
    let prepared = scenario.prepare(&first).await;
    pg_proxy.hold_up(death.held, death.step);
    tokio::select! {
        outcome = scenario.run(&first, &prepared) => {
            assert!(scenario.is_done(&outcome), "{outcome:?}");
        }
        () = pg_proxy.held() => {}
    }
    let killed = pg_proxy.restore();
    let second = if killed {
        pg_proxy.held().await;
        first.kill();
        pg_proxy.let_go(death.way);
        scenario.harness.until_forgotten().await;
        scenario.take_over().await;
        serve(scenario.harness, pg_proxy)
    } else {
        first
    };
    let mut outcome = None;
    for _ in 0..TRIES_MAX {
        outcome = scenario.run(&second, &prepared).await;
        if scenario.is_done(&outcome) {
            break;
        }
        scenario.take_over().await;
    }
    assert!(scenario.is_done(&outcome), "{outcome:?}");
    scenario.check(&second, &prepared).await;
    *server = Some(second);
    killed
}
