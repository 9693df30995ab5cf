//! What is done when a whole show is cancelled.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use serde_json::{Value, json};

use super::bookings::id_of;
use super::money::Unheard;
use super::scenario::{Flow, Outcome, SEAT, Scenario};

/// The seat of somebody who has not paid.
const PENDING: &str = "A3";
/// No booking comes to a run any more.
const COMPLETE: TimeDelta = TimeDelta::seconds(61);
/// How often a run goes on before it is over.
const LOOKS: usize = 4;

impl Scenario<'_> {
    async fn cancel_show(&self) -> Outcome {
        let path = format!("/api/admin/shows/{}/cancel", self.show);
        let body = json!({ "reason": "the film has torn" });
        self.post_as(&self.harness.admin(), &path, &body, Some(&self.show))
            .await
    }

    /// The job that goes on with the run of the show.
    async fn go_on(&self) -> Job {
        let id = format!("select id from runs where show_id = '{}'", self.show);
        let id = self.harness.sql(&id).await;
        Job::CancelShow {
            run_id: id.parse().unwrap(),
        }
    }

    /// The run is over, all has ended, and so much has gone back, once.
    async fn is_called_off(&self, bookings: &str, back: &str) {
        for _ in 0..LOOKS {
            self.harness.advance(COMPLETE).await;
            assert!(self.perform(&Job::Sweep).await.is_success());
            self.harness.run_jobs().await;
        }
        self.stand(bookings).await;
        self.claims("0").await;
        let run = "select concat_ws(' ', finished_at is not null,
                                    (select count(*) from run_bookings
                                     where run_id = runs.id and state <> 'done'))
                   from runs where show_id = $show";
        self.finds(run, "t 0").await;
        let refunds = "select string_agg(r.source || ' ' || r.status || ' ' || r.amount_minor, ',')
                       from refunds r join bookings b on b.id = r.booking_id
                       where show_id = $show";
        self.finds(refunds, back).await;
        let told = "select count(*) from booking_events e join bookings b on b.id = e.booking_id
                    where show_id = $show and e.kind = 'showCancelled'";
        self.finds(told, &bookings.split(',').count().to_string())
            .await;
        self.rival()
            .book(&self.show, &[SEAT])
            .await
            .refused(409, "show_closed");
    }
}

async fn sold(scenario: &Scenario<'_>) {
    let unheard = Unheard::of(scenario, SEAT).await;
    unheard.deliver_all(scenario).await;
    scenario.stand("confirmed").await;
}

/// An admin cancels a show of which one seat is sold, and another one is held.
pub(super) struct CancelShow;

impl Flow for CancelShow {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        sold(scenario).await;
        scenario.rival().booked(&scenario.show, &[PENDING]).await;
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.cancel_show().await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        let count = "select count(*) from runs where show_id = $show";
        scenario.finds(count, "1").await;
        let back = "policy succeeded 1200";
        scenario.is_called_off("cancelled,cancelled", back).await;
    }
}

/// All that a run has Stripe asked for: a page is closed, and a payment goes back.
pub(super) struct EndAllSeats {
    pending: Value,
}

impl Flow for EndAllSeats {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        sold(scenario).await;
        let pending = scenario.rival().booked(&scenario.show, &[PENDING]).await;
        assert!(scenario.cancel_show().await.is_success());
        Self { pending }
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        let run = scenario.perform(&scenario.go_on().await).await;
        let refund = format!(
            "select r.id from refunds r join bookings b on b.id = r.booking_id
             where show_id = '{}'",
            scenario.show
        );
        let refund = Job::Refund {
            refund_id: scenario.harness.sql(&refund).await.parse().unwrap(),
            booking_id: None,
        };
        let close = Job::EndHold {
            booking_id: id_of(&self.pending),
        };
        let refunded = scenario.perform(&refund).await;
        let closed = scenario.perform(&close).await;
        let all = [run, refunded, closed].into_iter();
        all.reduce(|one, next| if one.is_success() { next } else { one })
            .unwrap()
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        let back = "policy succeeded 1200";
        scenario.is_called_off("cancelled,cancelled", back).await;
    }
}

/// A booking that is paid is ended, and its money asked back.
pub(super) struct EndSoldSeats;

impl Flow for EndSoldSeats {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        sold(scenario).await;
        assert!(scenario.cancel_show().await.is_success());
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.perform(&scenario.go_on().await).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario
            .is_called_off("cancelled", "policy succeeded 1200")
            .await;
    }
}

/// A booking that waits for its buyer is to be ended.
pub(super) struct EndHeldSeats;

impl Flow for EndHeldSeats {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        scenario.booked(SEAT).await;
        assert!(scenario.cancel_show().await.is_success());
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.perform(&scenario.go_on().await).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario.is_called_off("cancelled", "").await;
    }
}

/// A booking of another amount is ended.
pub(super) struct EndReviewedSeats;

impl Flow for EndReviewedSeats {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let booking = scenario.booked(SEAT).await;
        let less = json!({ "session": booking["checkout"]["sessionId"], "amount": 1_100 });
        let events = scenario.harness.pay_unheard(less).await;
        let unheard = Unheard { booking, events };
        unheard.deliver_all(scenario).await;
        scenario.stand("review").await;
        assert!(scenario.cancel_show().await.is_success());
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.perform(&scenario.go_on().await).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario
            .is_called_off("cancelled", "admin succeeded 1100")
            .await;
    }
}

/// All has gone back, and the run comes to its end.
pub(super) struct EndRun;

impl Flow for EndRun {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let flow = EndSoldSeats::begin(scenario).await;
        assert!(flow.run(scenario).await.is_success());
        scenario.harness.run_jobs().await;
        scenario.harness.advance(COMPLETE).await;
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.perform(&scenario.go_on().await).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        scenario
            .is_called_off("cancelled", "policy succeeded 1200")
            .await;
    }
}

/// What has failed is tried again.
pub(super) struct TryAgain;

impl Flow for TryAgain {
    async fn begin(scenario: &Scenario<'_>) -> Self {
        let flow = EndSoldSeats::begin(scenario).await;
        let refused = json!({ "kind": "status", "status": 400, "code": "charge_already_refunded" });
        scenario.inject("POST /v1/refunds", refused).await;
        assert!(flow.run(scenario).await.is_success());
        scenario.harness.run_jobs().await;
        scenario.harness.advance(COMPLETE).await;
        assert!(flow.run(scenario).await.is_success());
        let failed = "select string_agg(state, ',') from run_bookings
                      join runs on runs.id = run_id where show_id = $show";
        scenario.finds(failed, "failed").await;
        let path = format!("/api/admin/shows/{}/cancel", scenario.show);
        let again = json!({ "reason": "once more" });
        let again = scenario.harness.admin().post(&path, again).await;
        assert_eq!(again.status, 202, "{again:?}");
        Self
    }

    async fn run(&self, scenario: &Scenario<'_>) -> Outcome {
        scenario.perform(&scenario.go_on().await).await
    }

    async fn check(&self, scenario: &Scenario<'_>) {
        let back = "policy failed 1200,policy succeeded 1200";
        scenario.is_called_off("cancelled", back).await;
    }
}
