//! What must never be true of the cancellation of a show is refused by the database itself,
//! whatever the code does.

use crate::schema_harness::{SchemaHarness, hold, id, release, sale, set};

const RUN: u32 = 700;
const OVER: &str = "runs_over_has_none_open";
const FORWARD: &str = "runs_only_go_forward";
const CANCEL: &str = "update shows set status = 'cancelled';";

fn run(number: u32) -> String {
    format!(
        "insert into runs (id, show_id, reason, created_at, begun_at)
         values ('{}', '{}', 'rain', now(), now());",
        id(number),
        id(0)
    )
}

fn of_run(booking: u32) -> String {
    format!(
        "insert into run_bookings (run_id, booking_id, look_at) values ('{}', '{}', now());",
        id(RUN),
        id(booking)
    )
}

fn change(booking: u32, change: &str) -> String {
    format!(
        "update run_bookings set {change} where booking_id = '{}';",
        id(booking)
    )
}

/// A cancelled show with a booking, and its run.
async fn schema() -> SchemaHarness {
    let schema = SchemaHarness::new().await;
    let begun = hold(1, &["S1"]) + &hold(2, &["S2"]) + CANCEL + &run(RUN) + &of_run(1);
    schema.allows(&begun).await;
    schema
}

#[tokio::test]
async fn a_show_is_cancelled_once_and_for_good() {
    let schema = SchemaHarness::new().await;

    schema.refuses("runs_of_cancelled_show", &run(RUN)).await;
    let without = CANCEL.to_owned() + &run(RUN).replace("rain", "");
    schema.refuses("runs_reason_check", &without).await;
    schema.allows(&(CANCEL.to_owned() + &run(RUN))).await;
    schema.refuses("runs_one_of_show", &run(RUN + 1)).await;
    for status in ["on_sale", "closed"] {
        let revive = format!("update shows set status = '{status}'");
        schema.refuses("shows_cancelled_for_good", &revive).await;
    }
    schema.allows(CANCEL).await;
}

#[tokio::test]
async fn a_run_is_about_bookings_of_its_show_each_once() {
    let schema = schema().await;
    let other = format!(
        "insert into shows (id, title, starts_at, timezone, currency, max_seats_per_booking,
                            cancellation_policy, created_at, status)
         values ('{other}', 'Nosferatu', now(), 'UTC', 'eur', 10, '[]', now(), 'cancelled');
         insert into runs (id, show_id, reason, created_at, begun_at)
         values ('{other}', '{other}', 'rain', now(), now());",
        other = id(900)
    );
    schema.allows(&other).await;

    let of_other = of_run(2).replace(&id(RUN), &id(900));
    schema.refuses("run_bookings_of_show", &of_other).await;
    schema.refuses("run_bookings_of_show", &of_run(3)).await;
    schema.refuses("run_bookings_pkey", &of_run(1)).await;
    schema.allows(&of_run(2)).await;
}

#[tokio::test]
async fn a_run_is_not_over_while_a_booking_of_it_is_open() {
    let schema = schema().await;
    let finish = "update runs set finished_at = now();";
    let again = change(1, "state = 'waiting', error = null, begun_at = null");

    schema.refuses(OVER, finish).await;
    schema
        .allows(&change(1, "state = 'under_way', begun_at = now()"))
        .await;
    schema.refuses(OVER, finish).await;
    schema
        .allows(&(change(1, "state = 'failed', error = 'why', begun_at = now()") + finish))
        .await;
    schema.refuses(OVER, &again).await;
    schema.refuses(OVER, &of_run(2)).await;
    schema
        .allows(&(again + "update runs set finished_at = null;"))
        .await;
    schema
        .allows(&(change(1, "state = 'done', begun_at = now()") + finish))
        .await;
}

#[tokio::test]
async fn a_failure_says_why_and_nothing_else_does() {
    let schema = schema().await;
    let constraint = "run_bookings_failed_has_error";

    for wrong in [
        "state = 'failed', begun_at = now()",
        "error = 'why'",
        "state = 'done', begun_at = now(), error = 'why'",
    ] {
        schema.refuses(constraint, &change(1, wrong)).await;
    }
    schema
        .refuses(
            "run_bookings_state_check",
            &change(1, "state = 'lost', begun_at = now()"),
        )
        .await;
    for wrong in ["begun_at = now()", "state = 'under_way'", "state = 'done'"] {
        schema
            .refuses("run_bookings_begun_has_time", &change(1, wrong))
            .await;
    }
    schema
        .allows(&change(
            1,
            "state = 'failed', error = 'why', begun_at = now()",
        ))
        .await;
}

#[tokio::test]
async fn what_a_run_was_about_is_neither_rewritten_nor_forgotten() {
    let schema = schema().await;
    schema
        .allows(&change(1, "state = 'under_way', begun_at = now()"))
        .await;

    for wrong in [
        "update runs set reason = 'snow'".to_owned(),
        "update runs set created_at = created_at + interval '1 s'".to_owned(),
        "delete from run_bookings".to_owned(),
        "truncate run_bookings".to_owned(),
        "truncate runs cascade".to_owned(),
        change(1, "state = 'waiting', begun_at = null"),
        change(1, &format!("booking_id = '{}'", id(2))),
    ] {
        schema.refuses(FORWARD, &wrong).await;
    }
    schema
        .allows(&change(1, "state = 'done', begun_at = now()"))
        .await;
    for wrong in [
        "state = 'waiting', begun_at = null",
        "state = 'failed', error = 'why'",
    ] {
        schema.refuses(FORWARD, &change(1, wrong)).await;
    }
}

/// A bank may send a refund back long after the run is over.
#[tokio::test]
async fn what_is_done_is_done_again_only_once_money_of_it_has_come_back() {
    let schema = SchemaHarness::new().await;
    let done = change(1, "state = 'under_way', begun_at = now()") + &change(1, "state = 'done'");
    let begun = sale(1, "S1") + CANCEL + &run(RUN) + &of_run(1);
    let ended = release(1) + &set(1, "status = 'cancelled', cancelled_at = now()");
    schema.allows(&(begun + &ended + &done)).await;
    let again = change(1, "state = 'waiting', begun_at = null");
    let refund = format!(
        "insert into refunds (id, payment_id, booking_id, amount_minor, currency, source, reason,
                              next_look_at, created_at)
         values ('{}', '{}', '{}', 1000, 'eur', 'admin', 'x', now(), now());",
        id(800),
        id(101),
        id(1)
    );
    let finish = "update runs set finished_at = now();";

    schema.refuses(FORWARD, &again).await;
    schema.allows(&(refund + finish)).await;
    schema.refuses(FORWARD, &again).await;
    let back = "update refunds set status = 'failed', next_look_at = null, settled_at = now();";
    schema.allows(back).await;
    let under_way = change(1, "state = 'under_way'");
    schema.refuses(FORWARD, &under_way).await;
    schema.refuses(OVER, &again).await;
    schema
        .allows(&(again + "update runs set finished_at = null;"))
        .await;
}

#[tokio::test]
async fn the_pace_of_the_runs_is_one_and_is_kept() {
    let schema = SchemaHarness::new().await;

    for wrong in ["delete from run_pace", "truncate run_pace"] {
        schema.refuses("run_pace_is_kept", wrong).await;
    }
    let two = "insert into run_pace values (true, now())";
    schema.refuses("run_pace_pkey", two).await;
    let other = "insert into run_pace values (false, now())";
    schema.refuses("run_pace_is_one", other).await;
}
