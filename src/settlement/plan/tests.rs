//! What is planned of reports of which nothing is here.

use super::*;
use crate::domain::checkout::CheckoutReport;

const APP: &str = "holdfast";
const EXPIRED: StripeReport = StripeReport::Checkout(CheckoutReport::Expired);

/// What is planned of a report of which nothing was found here, this long after its event came.
fn planned(
    report: Result<&StripeReport, &'static str>,
    app: Option<&str>,
    waited: Option<TimeDelta>,
) -> String {
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let reference = AttemptReference {
        app: app.map(str::to_owned),
        ..AttemptReference::default()
    };
    let item = Item {
        report,
        reference: &reference,
        is_ours: app == Some(APP),
        attempt: None,
        settled_by: Some(SettledBy::Webhook),
        event: waited.map(|waited| ReportingEvent {
            id: "evt_1",
            received_at: now - waited,
            was_given_up: false,
        }),
        span: &Span::none(),
    };
    match plan(&item, None, now) {
        Plan::Ignore(reason) | Plan::Fault(reason) => reason.to_owned(),
        Plan::Defer(until) => format!("again after {} s", (until - now).num_seconds()),
        Plan::GiveUp => "given up".to_owned(),
        changed @ (Plan::Checkout(..)
        | Plan::NoChange(..)
        | Plan::Refund(..)
        | Plan::LeaveRefund(..)
        | Plan::LookAtRefunds(..)
        | Plan::RefundRefused(..)
        | Plan::KeepCharge(..)
        | Plan::KeepFailure(..)
        | Plan::Dispute(..)
        | Plan::FlagFraud(..)) => format!("{changed:?}"),
    }
}

#[test]
fn what_matches_nothing_is_ours_to_come_or_none_of_our_business() {
    let (ours, nothing_of_ours) = (Some(APP), "ignored: it is about nothing of ours");
    for (app, waited, expected) in [
        (None, Some(TimeDelta::zero()), nothing_of_ours),
        (Some("another"), Some(TimeDelta::zero()), nothing_of_ours),
        (ours, None, nothing_of_ours),
        (ours, Some(TimeDelta::zero()), "again after 5 s"),
        (ours, Some(TimeDelta::seconds(90)), "again after 90 s"),
        (ours, Some(TimeDelta::hours(9)), "again after 3600 s"),
        (ours, Some(DEFERRED_MAX), "again after 3600 s"),
        (ours, Some(DEFERRED_MAX + TimeDelta::seconds(1)), "given up"),
    ] {
        assert_eq!(
            planned(Ok(&EXPIRED), app, waited),
            expected,
            "{app:?} {waited:?}"
        );
    }
}

#[test]
fn a_warning_of_a_charge_that_is_not_here_waits_unless_it_is_of_another_application() {
    let not_ours = "ignored: it is about no payment of ours";
    let late = DEFERRED_MAX + TimeDelta::seconds(1);
    for (payment_intent_id, app, waited, expected) in [
        (Some("pi_1"), None, TimeDelta::zero(), "again after 5 s"),
        (Some("pi_1"), None, late, not_ours),
        (Some("pi_1"), Some(APP), late, "given up"),
        (Some("pi_1"), Some("another"), TimeDelta::zero(), not_ours),
        (None, None, TimeDelta::zero(), not_ours),
    ] {
        let warning = StripeReport::FraudWarning(FraudWarningReport {
            stripe_warning_id: "issfr_1".to_owned(),
            charge: ChargeReference {
                charge_id: None,
                payment_intent_id: payment_intent_id.map(str::to_owned),
            },
            fraud_type: None,
        });
        assert_eq!(
            planned(Ok(&warning), app, Some(waited)),
            expected,
            "{app:?}"
        );
    }
}

#[test]
fn an_answer_about_a_refund_that_is_not_here_is_a_fault() {
    let refused = StripeReport::RefundRefused(RefundRefusal {
        refund_id: crate::domain::ids::RefundId::new(),
        reason: String::new(),
        is_final: true,
        spends_key: true,
    });
    assert!(planned(Ok(&refused), None, None).starts_with("Stripe was asked"));
}

#[test]
fn what_does_not_matter_is_ignored_with_its_reason() {
    let reason = "ignored: it is of test mode";
    let said = planned(Err(reason), Some(APP), Some(TimeDelta::zero()));
    assert_eq!(said, reason);
}
